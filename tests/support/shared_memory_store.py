"""A store in memory that brokers of one test share, with leases by a clock of its own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import RLock

from broker.store.interface import Batch, Chunk, Snapshot
from broker.store.memory import MemoryStore
from broker.store.sharing import LEASE_S, STOP_S, Broker, View
from tsudoi.protocol.errors import StoreError


@dataclass
class SharedMemory:
    """What a database is to brokers."""

    shards: int = 8
    now: float = 0.0
    """Seconds; a test lets them go by."""
    mutex: RLock = field(default_factory=RLock)
    brokers: dict[str, tuple[Broker, float]] = field(default_factory=dict)
    """By id, with the end of the lease."""
    runs: int = 0

    def __post_init__(self) -> None:
        self.owners: list[tuple[int, str]] = [(0, "")] * self.shards
        self.kept = [MemoryStore() for _ in range(self.shards)]

    def living(self) -> list[Broker]:
        return [broker for broker, until in self.brokers.values() if until > self.now]

    def owner(self, shard: int) -> tuple[int, str]:
        term, id_ = self.owners[shard]
        return term, id_ if id_ in {broker.id for broker in self.living()} else ""


class SharedMemoryStore:
    """One broker's connection; `SharedStore`. A test calls `tick` for what a thread of the real one does."""

    def __init__(self, shared: SharedMemory) -> None:
        self.shared = shared
        self.is_cut_off = False
        """Nothing reaches the database."""
        self.id = ""
        self.terms: dict[int, int] = {}
        self.commits: list[tuple[Batch, ...]] = []
        self.is_long_commit_due = False
        self.before_commit: Callable[[], None] = lambda: None
        """Called in the thread that commits."""
        self._about = Broker("", "", "", False)
        self._renewed_at = float("-inf")
        self._on_view: Callable[[View], None] = lambda view: None
        self._on_lost: Callable[[str], None] = lambda why: None

    # --- `Store` ----------------------------------------------------------------------------------------------------

    @property
    def shards(self) -> int:
        return self.shared.shards

    @property
    def survives_a_machine(self) -> bool:
        return False

    def unhealthy_reason(self) -> str:
        return ""

    def load(self, shard: int = 0) -> Snapshot:
        with self.shared.mutex:
            self._check([shard])
            return self.shared.kept[shard].load()

    def commit(self, *batches: Batch) -> None:
        self.before_commit()
        with self.shared.mutex:
            self._check(batch.shard for batch in batches)
            for batch in batches:
                ends = self.shared.kept[batch.shard].load().ends
                if any(chunk.first <= ends.get(chunk.room, (0, 0))[1] for chunk in batch.chunks):
                    self.lose("a turn can not be kept")
                    raise StoreError("a chunk is there already")
            for batch in batches:
                self.shared.kept[batch.shard].commit(batch)
            self.commits.append(batches)

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        with self.shared.mutex:
            return self.shared.kept[shard].read(room, after, limit)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        with self.shared.mutex:
            found: dict[int, int] = {}
            for shard in self.terms:
                found |= self.shared.kept[shard].trim(keep, before_ms)
            return found

    def close(self) -> None:
        with self.shared.mutex:
            self.shared.brokers.pop(self.id, None)

    # --- `SharedStore` ----------------------------------------------------------------------------------------------

    def register(self, broker: Broker, on_view: Callable[[View], None], on_lost: Callable[[str], None]) -> None:
        self._about, self._on_view, self._on_lost = broker, on_view, on_lost
        self.tick()

    def take(self, shards: Iterable[int]) -> dict[int, int]:
        with self.shared.mutex:
            self._check([])
            taken = {shard: self.shared.owners[shard][0] + 1 for shard in shards if not self.shared.owner(shard)[1]}
            for shard, term in taken.items():
                self.shared.owners[shard] = term, self.id
            self.terms |= taken
            return taken

    def give(self, shards: Iterable[int]) -> None:
        with self.shared.mutex:
            given = list(shards)
            self._check(given)
            for shard in given:
                self.shared.owners[shard] = self.terms.pop(shard), ""

    def leave(self) -> None:
        with self.shared.mutex:
            broker, until = self.shared.brokers[self.id]
            self.shared.brokers[self.id] = replace(broker, is_leaving=True), until

    def note_reach(self, has_gateways: bool, is_unreached: bool) -> None:
        with self.shared.mutex:
            self._about = replace(self._about, has_gateways=has_gateways)
            broker, until = self.shared.brokers[self.id]
            self.shared.brokers[self.id] = replace(broker, has_gateways=has_gateways, is_unreached=is_unreached), until

    def may_serve(self) -> bool:
        return bool(self.id) and self.shared.now - self._renewed_at < STOP_S

    # --- what a test does -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Renew the lease, or register anew; and look."""
        with self.shared.mutex:
            if self.id and self.id not in {broker.id for broker in self.shared.living()}:
                self.lose("the lease is over")
            if self.is_cut_off:
                return
            if not self.id:
                self.shared.runs += 1
                self.id = f"broker {self.shared.runs}"
            is_unreached = not self._about.has_gateways and any(each.has_gateways for each in self.shared.living())
            broker, _ = self.shared.brokers.get(
                self.id, (replace(self._about, id=self.id, is_unreached=is_unreached), 0.0)
            )
            self.shared.brokers[self.id] = broker, self.shared.now + LEASE_S
            self._renewed_at = self.shared.now
            view = View(self.id, sorted(self.shared.living(), key=lambda each: each.id), self._owners())
        self._on_view(view)

    def lose(self, why: str) -> None:
        self.shared.brokers.pop(self.id, None)
        self.id, self._renewed_at = "", float("-inf")
        self.terms.clear()
        self._on_lost(why)

    def _owners(self) -> list[tuple[int, str]]:
        return [self.shared.owner(shard) for shard in range(self.shared.shards)]

    def _check(self, shards: Iterable[int]) -> None:
        """Raise StoreError if the database is away, or a shard's term is over."""
        if self.is_cut_off:
            raise StoreError("the database is away")
        for shard in shards:
            if shard not in self.terms:
                raise StoreError(f"this broker does not own shard {shard}")
            if self.shared.owners[shard] != (self.terms[shard], self.id):
                self.lose("a shard has another owner")
                raise StoreError(f"shard {shard} has another owner")
