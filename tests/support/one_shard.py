"""One shard of a store that brokers share, as a store with one shard."""

import threading

from msgspec.structs import replace

from broker.store.interface import Batch, Chunk, Snapshot
from broker.store.sharing import Broker, SharedStore, View
from tsudoi.protocol.errors import StoreError

PATIENCE_S = 60.0


class OneShard:
    """The methods are those of `Store`. After a loss it takes the shard again."""

    def __init__(self, store: SharedStore, shard: int = 7) -> None:
        self._store, self._shard = store, shard
        self._is_held = False
        self._is_registered = threading.Event()
        store.register(Broker("", "tcp://a:1", "", False), self._note_view, self._note_loss)
        self._hold()

    def _note_view(self, view: View) -> None:
        self._is_registered.set()

    def _note_loss(self, reason: str) -> None:
        self._is_registered.clear()
        self._is_held = False

    def _hold(self) -> None:
        if self._is_held:
            return
        assert self._is_registered.wait(PATIENCE_S)
        self._is_held = True
        if self._shard not in self._store.take([self._shard]):
            raise StoreError("another broker has the shard")
        self._store.load(self._shard)

    @property
    def shards(self) -> int:
        return 1

    @property
    def is_long_commit_due(self) -> bool:
        return self._store.is_long_commit_due

    @property
    def survives_a_machine(self) -> bool:
        return self._store.survives_a_machine

    def unhealthy_reason(self) -> str:
        return self._store.unhealthy_reason()

    def load(self, shard: int = 0) -> Snapshot:
        self._hold()
        return self._store.load(self._shard)

    def commit(self, *batches: Batch) -> None:
        self._hold()
        self._store.commit(*(replace(batch, shard=self._shard) for batch in batches))

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        self._hold()
        return self._store.read(room, after, limit, self._shard)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        self._hold()
        return self._store.trim(keep, before_ms)

    def close(self) -> None:
        self._store.close()
