"""Let one broker use the PostgreSQL engine as a store with one shard, until it serves several."""

from tsudoi.protocol.errors import StoreError

from .interface import Batch, Chunk, Snapshot, StoreInUse
from .postgres import PostgresStore
from .sharing import Broker


class SinglePostgresStore:
    """Keeps everything in shard 0. The methods are those of `Store`; once the lease is lost, all of them fail."""

    def __init__(self, url: str, *, requires_synchronous: bool | None = False) -> None:
        """Open the store and take it; raise SettingError or StoreInUse."""
        self._lost = ""
        self._store = PostgresStore(url, requires_synchronous=bool(requires_synchronous))
        self._store.register(Broker("", "", "", False), lambda view: None, self._note_loss)
        if not self._store.take([0]):
            self._store.close()
            raise StoreInUse(f"another broker has the store at {self._store.place}")
        self._store.load()

    def _note_loss(self, reason: str) -> None:
        self._lost = reason

    @property
    def shards(self) -> int:
        return 1

    @property
    def is_long_commit_due(self) -> bool:
        return self._store.is_long_commit_due

    @property
    def survives_a_machine(self) -> bool:
        return self._store.survives_a_machine

    def illness(self) -> str:
        return self._lost or self._store.illness()

    def load(self, shard: int = 0) -> Snapshot:
        self._check()
        return self._store.load()

    def commit(self, *batches: Batch) -> None:
        self._check()
        self._store.commit(*batches)

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        self._check()
        return self._store.read(room, after, limit)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        self._check()
        return self._store.trim(keep, before_ms)

    def close(self) -> None:
        self._store.close()

    def _check(self) -> None:
        if self._lost:
            raise StoreError(self._lost)
