"""Engine: one SQLite file in WAL mode, one transaction a batch.

Durability `process`: a commit is in the operating system's hands, so it survives `kill -9` of any process; the WAL is
synced at checkpoints only. `full`: synchronous=FULL syncs the WAL at each commit, so it survives a power cut as well.
Sources: sqlite.org/wal.html, "Performance Considerations"; sqlite.org/pragma.html#pragma_synchronous.
"""

import contextlib
import fcntl
import operator
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

from broker.store import Batch, Chunk, MemberRow, RoomRow, Snapshot
from broker.store_schema import MIGRATIONS
from protocol.errors import SettingError, StoreError

Durability = Literal["process", "full"]

_ROOM = tuple(column.name for column in fields(RoomRow))
_MEMBER = tuple(column.name for column in fields(MemberRow))
_room_values = operator.attrgetter(*_ROOM)
_member_values = operator.attrgetter(*_MEMBER)
"""A row's columns are named as its fields, so a new field needs a migration and nothing here."""
_AGED_AT_ONCE = 10_000
"""Chunks that one call of `trim` looks at for their age: it holds everybody up."""


class StoreInUse(SettingError):
    """Another broker has the store open; it may be about to end."""


class SqliteStore:
    """Keeps everything in the file at `path`, which no other broker may have open at the same time."""

    def __init__(self, path: Path, durability: Durability = "process") -> None:
        """Open or create the file, mode 0600.

        Raises:
            SettingError: it can not be opened, is no store of this version, or another broker has it open.
        """
        self._lock = _take(path)
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(durability)
            except sqlite3.Error:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as exc:
            os.close(self._lock)
            raise SettingError(f"can not open the store {path}: {exc}") from exc
        self._grown: set[int] = set()
        """Rooms whose logs grew since the last trim."""
        self._aged = 0
        """Up to this row of the log, `trim` has found all that was too old."""

    def _prepare(self, durability: Durability) -> None:
        version = self._value("PRAGMA user_version") or 0
        if version == 0 and self._value("SELECT count(*) FROM sqlite_master"):
            raise sqlite3.DatabaseError("it is another program's")
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"it has version {version}, this program reads up to {len(MIGRATIONS)}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
        # What was said is erased, not only unlinked, when a room closes or its log is trimmed.
        self._db.execute("PRAGMA secure_delete=FAST")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def load(self) -> Snapshot:
        """See `Store.load`."""
        try:
            rooms = [
                RoomRow(*row) for row in self._db.execute(f"SELECT {_listed(_ROOM)} FROM rooms ORDER BY created_ms, id")
            ]
            rows = self._db.execute(f"SELECT {_listed(_MEMBER)} FROM members ORDER BY id")
            members = [replace(member, live=bool(member.live)) for member in (MemberRow(*row) for row in rows)]
            accepted = dict(self._db.execute("SELECT gateway, number FROM accepted"))
            delivered = {(r, g): n for r, g, n in self._db.execute("SELECT room, gateway, offset FROM delivered")}
            ends: dict[int, tuple[int, int]] = {}
            # Steps from room to room in the index; a GROUP BY would walk the whole of it.
            oldest = "SELECT room, first FROM log WHERE room>? ORDER BY room, last LIMIT 1"
            newest = "SELECT last FROM log WHERE room=? ORDER BY last DESC LIMIT 1"
            row = self._db.execute(oldest, (-1,)).fetchone()
            while row is not None:
                room_id, first = row
                ends[room_id] = (first, self._db.execute(newest, (room_id,)).fetchone()[0])
                row = self._db.execute(oldest, (room_id,)).fetchone()
        except sqlite3.Error as exc:
            raise StoreError(f"can not read the store: {exc}") from exc
        self._grown.update(ends)
        return Snapshot(rooms, members, ends, accepted, delivered)

    def commit(self, batch: Batch) -> None:
        """See `Store.commit`."""
        db = self._db
        with self._transaction("write to"):
            if batch.rooms:
                self._commit_rooms(batch.rooms)
            if batch.members:
                self._commit_members(batch.members)
            db.executemany(
                "INSERT INTO log (room, last, first, at_ms, news) VALUES (?, ?, ?, ?, ?)",
                [(c.room, c.last, c.first, c.at_ms, c.news) for c in batch.chunks],
            )
            db.executemany("INSERT OR REPLACE INTO accepted VALUES (?, ?)", batch.accepted.items())
            db.executemany(
                "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?)",
                [(room, gateway, n) for (room, gateway), n in batch.delivered.items()],
            )
            if batch.purged:
                self._purge(batch.purged)
            for table in ("accepted", "delivered") if batch.forgotten else ():
                db.executemany(f"DELETE FROM {table} WHERE gateway=?", [(name,) for name in batch.forgotten])
        self._grown.update(chunk.room for chunk in batch.chunks)
        self._grown.difference_update(batch.purged)

    @contextlib.contextmanager
    def _transaction(self, purpose: str) -> Iterator[None]:
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise StoreError(f"can not {purpose} the store: {exc}") from exc

    def _commit_rooms(self, rooms: dict[int, RoomRow]) -> None:
        changed = ", ".join(f"{column}=excluded.{column}" for column in _ROOM[1:])
        self._db.executemany(
            f"INSERT INTO rooms ({_listed(_ROOM)}) VALUES ({_marks(_ROOM)}) ON CONFLICT (id) DO UPDATE SET {changed}",
            [_room_values(room) for room in rooms.values()],
        )

    def _commit_members(self, members: dict[int, MemberRow | None]) -> None:
        gone = [(member_id,) for member_id, member in members.items() if member is None]
        self._db.executemany("DELETE FROM members WHERE id=?", gone)
        self._db.executemany(
            f"INSERT OR REPLACE INTO members ({_listed(_MEMBER)}) VALUES ({_marks(_MEMBER)})",
            [_member_values(member) for member in members.values() if member],
        )

    def _purge(self, rooms: set[int]) -> None:
        for table, column in (("log", "room"), ("members", "room"), ("delivered", "room"), ("rooms", "id")):
            self._db.executemany(f"DELETE FROM {table} WHERE {column}=?", [(room_id,) for room_id in rooms])
        # The number of the table's last row is given again when that row goes.
        (last,) = self._db.execute("SELECT max(row) FROM log").fetchone()
        self._aged = min(self._aged, last or 0)

    def read(self, room: int, after: int, limit: int) -> list[Chunk]:
        """See `Store.read`."""
        found: list[Chunk] = []
        try:
            rows = self._db.execute(
                "SELECT room, first, last, at_ms, news FROM log WHERE room=? AND last>? ORDER BY last", (room, after)
            )
            for row in rows:
                if limit <= 0:
                    break
                chunk = Chunk(*row)
                found.append(chunk)
                limit -= chunk.last - max(chunk.first - 1, after)
        except sqlite3.Error as exc:
            raise StoreError(f"can not read the store: {exc}") from exc
        return found

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        """See `Store.trim`. Only rooms that grew since the last call are looked at for their count."""
        changed: dict[int, int] = {}
        with self._transaction("trim"):
            for room in self._grown | self._aged_rooms(before_ms):
                newest = "SELECT last FROM log WHERE room=? ORDER BY last DESC LIMIT 1"
                last = self._value(newest, room)
                if last is None:
                    continue
                # Only from the start: a hole in the middle would pass for a whole log.
                kept = "SELECT last FROM log WHERE room=? AND last>? AND at_ms>=? ORDER BY last LIMIT 1"
                oldest = self._value(kept, room, last - keep, before_ms) or last
                if self._db.execute("DELETE FROM log WHERE room=? AND last<?", (room, oldest)).rowcount:
                    first = self._value("SELECT first FROM log WHERE room=? ORDER BY last LIMIT 1", room)
                    assert first is not None
                    changed[room] = first
        self._grown.clear()
        return changed

    def _aged_rooms(self, before_ms: int) -> set[int]:
        """Return the rooms of the next chunks that were stamped before `before_ms`.

        Rows are in the order of their time, so these follow on the ones that were found before.
        """
        rooms: set[int] = set()
        query = "SELECT row, room, at_ms FROM log WHERE row>? ORDER BY row LIMIT ?"
        for row, room, at_ms in self._db.execute(query, (self._aged, _AGED_AT_ONCE)):
            if at_ms >= before_ms:
                break
            self._aged = row
            rooms.add(room)
        return rooms

    def _value(self, query: str, *parameters: int) -> int | None:
        row = self._db.execute(query, parameters).fetchone()
        return None if row is None else int(row[0])

    def close(self) -> None:
        """See `Store.close`."""
        self._db.close()
        os.close(self._lock)


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(columns)


def _marks(columns: tuple[str, ...]) -> str:
    return ", ".join("?" * len(columns))


def _take(path: Path) -> int:
    """Return the descriptor of a lock on the store; the kernel gives it back when the process ends, however it does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise StoreInUse(f"another broker has the store {path} open") from exc
    return lock
