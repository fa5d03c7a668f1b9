"""Engine: dicts, for tests and for rooms that need not survive the process."""

from bisect import bisect_right
from threading import Lock
from typing import TypeVar

from .interface import Batch, Chunk, MemberRow, PostRow, Restriction, RoomRow, Snapshot, with_entries

_Key = TypeVar("_Key")
_Row = TypeVar("_Row")


class MemoryStore:
    """Keeps everything until the process ends; the methods are those of `Store`."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._rooms: dict[int, RoomRow] = {}
        self._members: dict[int, MemberRow] = {}
        self._logs: dict[int, list[Chunk]] = {}
        self._accepted: dict[str, int] = {}
        self._delivered: dict[tuple[int, str], int] = {}
        self._restrictions: dict[tuple[int, int, str, str], Restriction] = {}
        self._posts: dict[bytes, PostRow] = {}

    @property
    def shards(self) -> int:
        return 1

    @property
    def is_long_commit_due(self) -> bool:
        return False

    @property
    def survives_a_machine(self) -> bool:
        return False

    def unhealthy_reason(self) -> str:
        return ""

    def load(self, shard: int = 0) -> Snapshot:
        with self._mutex:
            ends = {room: (log[0].first, log[-1].last) for room, log in self._logs.items() if log}
            return Snapshot(
                list(self._rooms.values()),
                list(self._members.values()),
                ends,
                dict(self._accepted),
                dict(self._delivered),
                list(self._restrictions.values()),
                list(self._posts.values()),
            )

    def commit(self, *batches: Batch) -> None:
        (batch,) = batches  # there is one shard
        with self._mutex:
            self._rooms.update(batch.rooms)
            _change(self._members, batch.members)
            _change(self._restrictions, batch.restrictions)
            _change(self._posts, batch.posts)
            for chunk in batch.chunks:
                self._logs.setdefault(chunk.room, []).append(chunk)
            self._accepted.update(batch.accepted)
            self._delivered.update(batch.delivered)
            for room_id in batch.purged:
                self._rooms.pop(room_id, None)
                self._logs.pop(room_id, None)
            for instance in batch.forgotten:
                self._accepted.pop(instance, None)
            if batch.purged:
                self._members = {id_: row for id_, row in self._members.items() if row.room not in batch.purged}
                self._restrictions = {
                    key: row for key, row in self._restrictions.items() if row.room not in batch.purged
                }
                self._posts = {key: row for key, row in self._posts.items() if row.room not in batch.purged}
            if batch.purged or batch.forgotten:
                self._delivered = {
                    key: offset
                    for key, offset in self._delivered.items()
                    if key[0] not in batch.purged and key[1] not in batch.forgotten
                }

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        with self._mutex:
            log = self._logs.get(room, [])
            return with_entries(log[bisect_right(log, after, key=lambda c: c.last) :], after, limit)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        with self._mutex:
            changed: dict[int, int] = {}
            for room, log in self._logs.items():
                end = log[-1].last - keep
                count = 0
                while count < len(log) - 1 and (log[count].last <= end or log[count].at_ms < before_ms):
                    count += 1
                if count:
                    del log[:count]
                    changed[room] = log[0].first
            return changed

    def close(self) -> None:
        pass


def _change(table: dict[_Key, _Row], changes: dict[_Key, _Row | None]) -> None:
    for key, row in changes.items():
        if row is None:
            table.pop(key, None)
        else:
            table[key] = row
