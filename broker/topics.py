"""Who has ZeroMQ hear which topics: it keeps them for as long as somebody does, and has no bound of its own."""

from tsudoi.ops.keyfiles import Owner


class TopicCounts:
    """Topics that somebody hears, each counted for whose gateways subscribed to it first."""

    def __init__(self, most: int) -> None:
        """Let gateways of one key hear topics of so many bytes in all."""
        self._most = most
        self._owners: dict[bytes, Owner] = {}
        self._sizes: dict[Owner, int] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, topic: bytes) -> bool:
        return topic in self._owners

    def add(self, topic: bytes, owner: Owner | None) -> None:
        """A gateway hears a topic that nobody heard; who it is, is not known if its key was taken away just now."""
        if owner is not None:
            self._owners[topic] = owner
            self._sizes[owner] = self._sizes.get(owner, 0) + len(topic)

    def discard(self, topic: bytes) -> None:
        """Nobody hears a topic any more."""
        owner = self._owners.pop(topic, None)
        if owner is not None:
            self._sizes[owner] -= len(topic)

    def too_many(self) -> list[Owner]:
        """Return whose gateways hear more than they may."""
        return [owner for owner, size in self._sizes.items() if size > self._most]

    def clear(self) -> None:
        """All connections are cut."""
        self._owners.clear()
        self._sizes.clear()
