"""Engine: one SQLite file in WAL mode, one transaction a batch.

Durability `process`: a commit is in the operating system's hands, so it survives `kill -9` of any process; the WAL is
synced at checkpoints only. `full`: synchronous=FULL syncs the WAL at each commit, so it survives a power cut as well.
Sources: sqlite.org/wal.html, "Performance Considerations"; sqlite.org/pragma.html#pragma_synchronous.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Literal

from broker.store import Batch, Chunk, MemberRow, RoomRow, Snapshot
from protocol.errors import SettingError, StoreError

Durability = Literal["process", "full"]

_AGED_AT_ONCE = 10_000
"""Chunks that one call of `trim` looks at for their age: it holds everybody up."""
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, host INTEGER NOT NULL,
    password_hash TEXT NOT NULL, created_ms INTEGER NOT NULL);
CREATE TABLE members (id INTEGER PRIMARY KEY, room INTEGER NOT NULL, name TEXT NOT NULL, token_hash BLOB NOT NULL,
    dialect TEXT NOT NULL, ip TEXT NOT NULL, address BLOB NOT NULL, gateway TEXT NOT NULL, idle_ms INTEGER NOT NULL,
    live INTEGER NOT NULL, delivered INTEGER NOT NULL);
CREATE INDEX members_room ON members (room);
-- Rows are appended at the end of the table, whatever the room; the index finds a room's.
CREATE TABLE log (row INTEGER PRIMARY KEY, room INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, news BLOB NOT NULL);
CREATE UNIQUE INDEX log_room ON log (room, last, first);
CREATE TABLE accepted (gateway TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE delivered (room INTEGER NOT NULL, gateway TEXT NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (room, gateway)) WITHOUT ROWID;
"""


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
        version = self._value("PRAGMA user_version")
        if version == 0 and self._value("SELECT count(*) FROM sqlite_master"):
            raise sqlite3.DatabaseError("it is another program's")
        if version not in (0, _SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"it has version {version}, this program reads version {_SCHEMA_VERSION}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
        # What was said is erased, not only unlinked, when a room closes or its log is trimmed.
        self._db.execute("PRAGMA secure_delete=FAST")
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}; COMMIT;")

    def load(self) -> Snapshot:
        """See `Store.load`."""
        try:
            rooms = [RoomRow(*row) for row in self._db.execute("SELECT * FROM rooms ORDER BY created_ms, id")]
            members = [
                replace(MemberRow(*row), live=bool(row[9]))
                for row in self._db.execute("SELECT * FROM members ORDER BY id")
            ]
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
                self._commit_members(batch.members, batch.rooms)
            db.executemany(
                "INSERT INTO log (room, last, first, at_ms, news) VALUES (?, ?, ?, ?, ?)",
                [(c.room, c.last, c.first, c.at_ms, c.news) for c in batch.chunks],
            )
            db.executemany("INSERT OR REPLACE INTO accepted VALUES (?, ?)", batch.accepted.items())
            db.executemany(
                "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?)",
                [(room, gateway, n) for (room, gateway), n in batch.delivered.items() if batch.rooms.get(room, self)],
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

    def _commit_rooms(self, rooms: dict[int, RoomRow | None]) -> None:
        gone = [(room_id,) for room_id, room in rooms.items() if room is None]
        for statement in (
            "DELETE FROM members WHERE room=?",
            "DELETE FROM delivered WHERE room=?",
            "DELETE FROM rooms WHERE id=?",
        ):
            self._db.executemany(statement, gone)
        self._db.executemany(
            "INSERT INTO rooms VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " name=excluded.name, epoch=excluded.epoch, host=excluded.host, password_hash=excluded.password_hash",
            [(r.id, r.name, r.epoch, r.host, r.password_hash, r.created_ms) for r in rooms.values() if r],
        )

    def _commit_members(self, members: dict[int, MemberRow | None], rooms: dict[int, RoomRow | None]) -> None:
        gone = [(member_id,) for member_id, member in members.items() if member is None]
        self._db.executemany("DELETE FROM members WHERE id=?", gone)
        self._db.executemany(
            "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [astuple(m) for m in members.values() if m and rooms.get(m.room, m)],
        )

    def _purge(self, rooms: set[int]) -> None:
        self._db.executemany("DELETE FROM log WHERE room=?", [(room_id,) for room_id in rooms])
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
