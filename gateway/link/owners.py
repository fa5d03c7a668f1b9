"""Know which broker owns each shard, from the Cluster frames of all brokers; ARCHITECTURE.md, "Several brokers".

Frames of several brokers come in any order, and some are late. A shard's owner changes with its term only, so the
highest term is right. Within a term only the owner itself is believed when it says that it has given the shard up:
another broker may just have lost sight of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tsudoi.protocol.backbone import Cluster, parse_to_connect
from tsudoi.protocol.errors import MalformedMessage, SettingError

FORGET_S = 10.0
"""A term is forgotten when for this time frames have named lower ones only: the database may have been restored to an
older state. Brokers tell the owners each second."""
LISTED_S = 60.0
"""How long a broker that is no longer listed stays connected: it may come back."""


@dataclass(slots=True)
class Owned:
    """What is known of one shard."""

    term: int = -1
    endpoint: str | None = None
    """Where gateways reach its owner; None: it has none now."""
    denied_since: float | None = None
    """When the first frame since then came that named a lower term; None: the last frame named this term."""


class Owners:
    """The owners of a fixed number of shards; `now` is monotonic seconds."""

    def __init__(self, shards: int) -> None:
        """Begin without knowledge."""
        self._shards = [Owned() for _ in range(shards)]
        self._listed: dict[str, float] = {}
        """Endpoint → when a broker was last listed there."""
        self.heard_at = float("-inf")
        """When the last frame came."""

    def __len__(self) -> int:
        return len(self._shards)

    def endpoint(self, shard: int) -> str | None:
        """Return where gateways reach a shard's owner; None: it has none now."""
        return self._shards[shard].endpoint

    def term(self, shard: int) -> int:
        """Return the highest known term of a shard; -1: none is known."""
        return self._shards[shard].term

    @property
    def brokers(self) -> list[str]:
        """The endpoints of brokers that were listed lately."""
        return list(self._listed)

    def take(self, cluster: Cluster, now: float) -> list[int]:
        """Take a frame; return the shards whose term or owner has changed.

        Raises:
            MalformedMessage: it contradicts itself, names no endpoint, or has another number of shards.
        """
        brokers, sender = check(cluster)
        if len(cluster.owners) != len(self._shards):
            raise MalformedMessage(f"{len(cluster.owners)} shards, and there were {len(self._shards)}")
        self.heard_at = now
        self._listed.update(dict.fromkeys(brokers, now))
        self._listed = {endpoint: at for endpoint, at in self._listed.items() if now - at < LISTED_S}
        return list(self._changed(cluster, brokers, sender, now))

    def _changed(self, cluster: Cluster, brokers: list[str], sender: str | None, now: float) -> Iterator[int]:
        for shard, (known, (term, index)) in enumerate(zip(self._shards, cluster.owners, strict=True)):
            endpoint = brokers[index - 1] if index else None
            if term < known.term:
                if known.denied_since is None:
                    known.denied_since = now
                if now - known.denied_since < FORGET_S:
                    continue
            known.denied_since = None
            if term == known.term:
                is_its_own = sender is not None and sender in (known.endpoint, endpoint)
                # A term has one owner, so from one endpoint to another there is no way.
                if endpoint == known.endpoint or not is_its_own or None not in (endpoint, known.endpoint):
                    continue
            known.term, known.endpoint = term, endpoint
            yield shard


def check(cluster: Cluster) -> tuple[list[str], str | None]:
    """Return the endpoints of a frame, and that of its sender (None: it is not listed), or raise MalformedMessage."""
    brokers = cluster.brokers
    if cluster.answers > len(brokers) or any(index > len(brokers) for _, index in cluster.owners):
        raise MalformedMessage("a broker that is not listed")
    if len(cluster.owners) < 2:
        raise MalformedMessage("one shard needs no Cluster")
    try:
        for endpoint in brokers:
            parse_to_connect(endpoint)
    except SettingError as exc:
        raise MalformedMessage(str(exc)) from exc
    return brokers, brokers[cluster.answers - 1] if cluster.answers else None
