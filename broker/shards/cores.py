"""The cores of the shards that this broker serves: of one, or of some of those that brokers share."""

from collections.abc import Iterable, Iterator

from tsudoi.protocol import backbone

from ..core import Core
from ..rooms.directory import Directory
from ..rooms.gateway_leases import Gateway
from ..turn import Moment, Turn


class Cores:
    """The cores by shard. What concerns all of a gateway or of the broker goes to each of them."""

    def __init__(self, cores: Iterable[Core], shards: int = 1) -> None:
        """Begin with some cores of a store with `shards` shards."""
        self.shards = shards
        self._by_shard: dict[int, Core] = {}
        self._touched: set[int] = set()
        """Shards that may have work for the next turn."""
        self._ending: list[Core] = []
        """Removed; they take part in the next turn still."""
        self.alone: Core | None = None
        """The only core of a store on one machine."""
        for core in cores:
            self.add(core)
            if shards == 1:
                self.alone = core

    def __len__(self) -> int:
        return len(self._by_shard)

    def __iter__(self) -> Iterator[Core]:
        return iter(self._by_shard.values())

    def __contains__(self, core: Core) -> bool:
        """Return whether it is this core that serves its shard, and no earlier one."""
        return self._by_shard.get(core.shard) is core

    def add(self, core: Core) -> None:
        """Serve a shard."""
        core.directory.siblings = self._directories
        self._by_shard[core.shard] = core
        self._touched.add(core.shard)

    def find(self, shard: int) -> Core | None:
        """Return the core of a shard, which may have work for the next turn then; None: it is not served here."""
        if (core := self._by_shard.get(shard)) is not None:
            self._touched.add(shard)
        return core

    def end(self, shard: int) -> None:
        """Stop serving a shard; what its core has decided goes into its last turn."""
        self._ending.append(self._by_shard.pop(shard))

    def drop_all(self) -> None:
        """Stop serving all shards, and forget what is not committed."""
        self._by_shard.clear()
        self._ending.clear()

    def touch_all(self) -> None:
        """Let all cores take part in the next turn."""
        self._touched.update(self._by_shard)

    def take_turns(self, moment: Moment) -> list[tuple[Core, Turn]]:
        """Return the next turn of each core that may have work."""
        if self.alone is not None:
            return [(self.alone, self.alone.take_turn(moment))]
        touched, self._touched = self._touched, set()
        ending, self._ending = self._ending, []
        for core in ending:
            core.reports_due = True
        cores = [*(self._by_shard[shard] for shard in touched if shard in self._by_shard), *ending]
        return [(core, core.take_turn(moment)) for core in cores]

    @property
    def have_rows(self) -> bool:
        """Whether the next turn changes rooms or members, and not only logs."""
        if self.alone is not None:
            return self.alone.directory.records.has_rows
        return any(
            self._by_shard[shard].directory.records.has_rows for shard in self._touched if shard in self._by_shard
        )

    # --- to all of them -------------------------------------------------------------------------------------------

    def subscribed(self, topic: bytes) -> None:
        """Let the core that has the room of a topic publish its position; only a core alone knows that none has it."""
        if self.alone is not None:
            self.alone.subscribed(topic)
        elif (room := backbone.topic_room(topic)) is not None:
            for core in self:
                if core.directory.known_room(room) is not None:
                    core.subscribed(topic)
                    self._touched.add(core.shard)

    def tick(self, moment: Moment) -> None:
        for core in self:
            core.tick(moment)
        self.touch_all()

    def expel(self, name: str, account: str, moment: Moment) -> None:
        for core in self:
            core.expel(name, account, moment)
        self.touch_all()

    def unreachable(self, peer: str, now: float) -> None:
        """Note that a gateway has no connection."""
        for core in self:
            core.ownership.unreachable(peer, now)

    def trimmed(self, firsts: dict[int, int]) -> None:
        """Note that the store has dropped old entries: room id → its oldest offset now."""
        for core in self:
            known = core.directory.known_room
            core.trimmed({room: first for room, first in firsts.items() if known(room)} if self.shards > 1 else firsts)

    def gateways(self) -> dict[str, Gateway]:
        """Return the known gateways; of one that several cores know, the state of a core to which it is connected."""
        if self.alone is not None:
            return self.alone.gateways.known
        found: dict[str, Gateway] = {}
        for core in list(self):
            for instance, gateway in list(core.gateways.known.items()):
                if (before := found.get(instance)) is None or before.gone or not before.greeted:
                    found[instance] = gateway
        return found

    def _directories(self) -> Iterator[Directory]:
        return (core.directory for core in self._by_shard.values())
