"""Engine: one SQLite file in WAL mode.

A commit is one transaction: it changes rows of rooms, members, restrictions and webhooks' messages, and appends the
turn's log entries and numbers as one row of the table `turns`. To write them where they belong would touch two pages
a room; `sqlite_folding.py` does that later, for many turns at once, a part with each commit.

Durability `process` (synchronous=NORMAL): a commit is in the operating system's hands, so it survives `kill -9` of any
process; SQLite syncs the WAL at checkpoints only. `full` (synchronous=FULL): SQLite syncs the WAL at each commit, so it
survives a power cut as well. After a power cut under `process` the last commits may be missing. So if the operating
system was started again before a store was closed, rooms begin a new epoch: positions may be given again. They do so
too if the file is a copy, which may be older than what gateways have seen.
Sources: sqlite.org/wal.html, "Performance Considerations"; sqlite.org/pragma.html#pragma_synchronous.
"""

import contextlib
import operator
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from threading import Lock
from typing import Literal

import msgspec

from tsudoi.protocol.errors import SettingError, StoreError

from . import file_identity, sqlite_file
from .interface import Batch, Chunk, MemberRow, PostRow, Restriction, RoomRow, Snapshot
from .sqlite_checkpoints import Checkpoints
from .sqlite_log import Logs
from .sqlite_schema import FROM_0_1_0, NEW_EPOCHS, OF_0_1_0, SCHEMA, VERSION

Durability = Literal["process", "full"]

_ROOM = tuple(column.name for column in fields(RoomRow))
_MEMBER = tuple(column.name for column in fields(MemberRow))
_POST = tuple(column.name for column in fields(PostRow))
_room_values = operator.attrgetter(*_ROOM)
_member_values = operator.attrgetter(*_MEMBER)
_post_values = operator.attrgetter(*_POST)
"""Columns are named as the fields, so a new field needs only its column in the schema."""
_BUSY_MS = 5_000
"""How long a commit waits for another program that writes to the file."""
_CACHE_KIB = 512
"""Instead of SQLite's 2 MiB, which are 200 bytes a member with 10,000 members."""
_EMPTY_JOURNAL = 8
"""Bytes of a journal of 0.1.0 without turns."""


class SqliteStore:
    """Keeps everything in the file at `path`, which no other broker may have open at the same time."""

    def __init__(self, path: Path, durability: Durability = "process", boot: str | None = None) -> None:
        """Open or create the file, mode 0600; raise SettingError or StoreInUse.

        `boot` is the id of this run of the operating system; None: ask the system.
        """
        sqlite_file.check_place(path)
        path = sqlite_file.resolve(path)
        boot = sqlite_file.boot_id() if boot is None else boot
        self._mutex = Lock()
        """Commits come from another thread than reads: one at a time."""
        self._locks = sqlite_file.Locks(path)
        self._holds_erased = False
        """The WAL may still have texts that were erased from the database."""
        self.is_long_commit_due = False
        try:
            with contextlib.ExitStack() as opened:
                opened.callback(self._locks.close)
                has_wal = sqlite_file.wal_path(path).exists()
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000)
                opened.callback(self._db.close)
                self._prepare(path, durability)
                self._logs = Logs(self._db)
                self._check_whence(path, has_wal, boot)
                self._note_open(boot if durability == "process" else "")
                self._locks.mark(self._mark)
                self._checkpoints = Checkpoints(path, self._synchronous)
                opened.pop_all()
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as exc:
            raise SettingError(f"can not open the store {path}: {sqlite_file.why(exc)}") from exc

    def _check_whence(self, path: Path, has_wal: bool, boot: str) -> None:
        """Begin new epochs if commits may be missing, or the file is a copy; raise SettingError for a wrong name."""
        opened_in, file, is_open = self._db.execute("SELECT opened_in, file, is_open FROM run").fetchone()
        identity, self._mark = file_identity.identity(self._locks.store), secrets.token_hex(8)
        self._file = f"{identity}#{self._mark}"
        self._has_lost = opened_in not in ("", boot)
        known, _, mark = file.partition("#")
        marks = self._locks.marks  # none, if another version or a store of another name had the lock
        self._is_copy = file != "" and (known != identity or bool(mark and marks and mark not in marks))
        if is_open and not has_wal:
            if not self._is_copy:
                sqlite_file.check_name(path)
            # A copy of the file alone, made while a broker had it open, lacks what the -wal held.
            self._has_lost |= self._is_copy
        if self._has_lost or self._is_copy:
            self._fold()
            self._db.execute(NEW_EPOCHS)
        self._locks.mark(mark, self._mark)

    def _prepare(self, path: Path, durability: Durability) -> None:
        """Set the connection up, and make the tables, or bring those of an earlier release up to date."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0 and self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise sqlite3.DatabaseError("it is another program's")
        if version not in (0, OF_0_1_0, VERSION):
            raise sqlite3.DatabaseError(f"it has version {version}, this program reads {OF_0_1_0} and {VERSION}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._synchronous = f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}"
        self._db.execute(self._synchronous)
        self._db.execute("PRAGMA wal_autocheckpoint=0")  # `Checkpoints` has taken that over
        # The broker reads few pages again, and the system's cache has these as well.
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        # Texts are overwritten, not only unlinked, when they leave a table; `trim` removes them from the WAL.
        self._db.execute("PRAGMA secure_delete=ON")
        if version == OF_0_1_0:
            self._convert(path.with_name(path.name + ".journal"))
        elif version == 0:
            self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")

    def _convert(self, journal: Path) -> None:
        """Bring a store of 0.1.0 up to date, which kept the turns since its last fold in a journal beside it."""
        (turns,) = self._db.execute("SELECT count(*) FROM turns").fetchone()
        if turns or (journal.exists() and journal.stat().st_size > _EMPTY_JOURNAL):
            raise sqlite3.DatabaseError("tsudoi 0.1.0 has not closed it: start that once more, and stop it by SIGTERM")
        self._db.executescript(f"BEGIN; {FROM_0_1_0} PRAGMA user_version={VERSION}; COMMIT;")
        # Free pages still had texts of closed rooms.
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        journal.unlink(missing_ok=True)

    def _note_open(self, boot: str, is_open: bool = True) -> None:
        """Write, synced, whether the store is open, and in which run of the system; empty: no commit can be lost.

        The note goes into the file itself, so that a store without its -wal is noticed.
        """
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("UPDATE run SET opened_in=?, file=?, is_open=?", (boot, self._file, is_open))
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._db.execute(self._synchronous)

    # --- the interface; see `Store` -------------------------------------------------------------------------------

    def load(self, shard: int = 0) -> Snapshot:
        with self._mutex, self._errors("read"):
            self._fold()
            # SQLite has no booleans, only 0 and 1.
            rows = self._db.execute(f"SELECT {', '.join(_ROOM)} FROM rooms ORDER BY created_ms, id")
            rooms = [replace(room, persistent=bool(room.persistent)) for room in (RoomRow(*row) for row in rows)]
            rows = self._db.execute(f"SELECT {', '.join(_MEMBER)} FROM members ORDER BY id")
            members = [replace(member, live=bool(member.live)) for member in (MemberRow(*row) for row in rows)]
            accepted = dict(self._db.execute("SELECT gateway, number FROM accepted"))
            delivered = {(r, g): n for r, g, n in self._db.execute("SELECT room, gateway, offset FROM delivered")}
            rows = self._db.execute("SELECT room, kind, name, ip, until_ms FROM restrictions")
            restrictions = [Restriction(*row) for row in rows]
            rows = self._db.execute(f"SELECT {', '.join(_POST)} FROM posts ORDER BY at_ms")
            posts = [PostRow(*row) for row in rows]
            ends, newest_ms = self._logs.ends(), self._logs.newest_ms()
            origin = self._has_lost, self._is_copy
            return Snapshot(rooms, members, ends, accepted, delivered, restrictions, posts, *origin, newest_ms)

    @property
    def shards(self) -> int:
        return 1

    @property
    def survives_a_machine(self) -> bool:
        return False

    def unhealthy_reason(self) -> str:
        return ""

    def commit(self, *batches: Batch) -> None:
        (batch,) = batches  # there is one shard
        # Not `_errors`: a context manager costs a tenth of a small commit.
        try:
            with self._mutex:
                self._commit(batch)
        except (sqlite3.Error, msgspec.MsgspecError, OverflowError) as exc:
            raise StoreError(f"can not write to the store: {sqlite_file.why(exc)}") from exc

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        with self._mutex, self._errors("read"):
            return self._logs.read(room, after, limit)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        if not self._locks.are_files_there:
            # Commits go on into files without a name, and all is lost with this process: PostgreSQL stops then, too.
            raise StoreError("its files were removed, moved or replaced while it was open: nothing more would be kept")
        with self._mutex, self._errors("trim"):
            self._fold()
            with self._transaction():
                changed = self._logs.trim(keep, before_ms)
            if changed or self._holds_erased:
                self._holds_erased = not self._empty_wal()
            return changed

    def close(self) -> None:
        with self._mutex:
            self._checkpoints.close()
            with contextlib.suppress(sqlite3.Error):  # then the next start folds
                self._fold()
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._note_open("", is_open=False)
            self._db.close()
            self._locks.close()

    # --- for a copy into another engine ---------------------------------------------------------------------------

    def continue_elsewhere(self) -> None:
        """Note, synced, that another store continues from this one's state: opened again, its rooms begin a new epoch.

        Raises:
            StoreError: it can not be written.
        """
        with self._mutex, self._errors("write to"):
            self._file = "continued elsewhere"
            self._checkpoints.wait()
            self._note_open("")

    # --- internals ------------------------------------------------------------------------------------------------

    def _commit(self, batch: Batch) -> None:
        logs = self._logs
        if conflict := logs.find_conflict(batch.chunks):
            raise sqlite3.IntegrityError(f"room {conflict.room} has entry {conflict.first}")
        if self.is_long_commit_due:
            if self._checkpoints.is_restart_due:
                self._restart_wal()
            if logs.is_behind:
                self._fold()
        if logs.turns.is_full:
            logs.begin_fold()
        drops = batch.purged or batch.forgotten
        changes_members = len(batch.members) > len(batch.said)
        if drops or logs.folding or batch.rooms or changes_members or batch.restrictions or batch.posts:
            self._commit_rows(batch)
        elif batch.chunks or batch.accepted or batch.delivered or batch.said:
            logs.added(batch, logs.append(batch))  # one statement is a transaction
        self._checkpoints.note(self._db.total_changes, logs.written)
        self.is_long_commit_due = logs.is_behind or self._checkpoints.is_restart_due

    def _commit_rows(self, batch: Batch) -> None:
        """Commit a batch that changes more than logs and positions, with a part of what is being folded."""
        logs, drops = self._logs, bool(batch.purged or batch.forgotten)
        kept, row = batch.without_dropped() if drops else batch, 0
        with self._transaction():
            if drops:
                # So that the tables have everything of the rooms and gateways.
                logs.fold()
            else:
                logs.fold_part(kept)
            self._write_rows(kept)
            self._drop(batch.purged, batch.forgotten)
            if kept.chunks or kept.accepted or kept.delivered or kept.said:
                row = logs.append(kept)
        if drops:
            logs.folded()
            self._holds_erased |= bool(batch.purged)
        else:
            logs.confirm_part()
        if row:
            logs.added(kept, row)

    def _fold(self) -> None:
        if self._logs.has_turns:
            with self._transaction():
                self._logs.fold()
            self._logs.folded()

    def _restart_wal(self) -> None:
        """Move the last commits from the WAL to the database, so that the next one begins the WAL anew."""
        self._checkpoints.wait()
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._checkpoints.restarted(self._db.total_changes, self._logs.written)

    def _empty_wal(self) -> bool:
        """Move all commits from the WAL to the database, and empty the file; return False if a backup is reading."""
        self._checkpoints.wait()
        self._db.execute("PRAGMA busy_timeout=0")
        try:
            busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._db.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        return not busy

    @contextlib.contextmanager
    def _errors(self, purpose: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError) as exc:
            raise StoreError(f"can not {purpose} the store: {sqlite_file.why(exc)}") from exc

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _write_rows(self, batch: Batch) -> None:
        """Write what a batch changes of rooms, members, restrictions and webhooks' messages."""
        if batch.rooms:
            changed = ", ".join(f"{column}=excluded.{column}" for column in _ROOM[1:])
            query = f"INSERT INTO rooms ({', '.join(_ROOM)}) VALUES ({_marks(_ROOM)}) ON CONFLICT (id) DO UPDATE SET "
            self._db.executemany(query + changed, [_room_values(room) for room in batch.rooms.values()])
        if batch.members:
            gone = [(member_id,) for member_id, member in batch.members.items() if member is None]
            self._db.executemany("DELETE FROM members WHERE id=?", gone)
            query = f"INSERT OR REPLACE INTO members ({', '.join(_MEMBER)}) VALUES ({_marks(_MEMBER)})"
            rows = (each for each in batch.members.values() if each and each.id not in batch.said)
            self._db.executemany(query, map(_member_values, rows))
        if batch.restrictions:
            lifted = [key for key, restriction in batch.restrictions.items() if restriction is None]
            query = "DELETE FROM restrictions WHERE room=? AND kind=? AND name=? AND ip=?"
            self._db.executemany(query, lifted)
            query = "INSERT OR REPLACE INTO restrictions (room, kind, name, ip, until_ms) VALUES (?, ?, ?, ?, ?)"
            self._db.executemany(query, [(*each.key, each.until_ms) for each in batch.restrictions.values() if each])
        if batch.posts:
            forgotten = [(key,) for key, post in batch.posts.items() if post is None]
            self._db.executemany("DELETE FROM posts WHERE key=?", forgotten)
            query = f"INSERT OR REPLACE INTO posts ({', '.join(_POST)}) VALUES ({_marks(_POST)})"
            self._db.executemany(query, [_post_values(post) for post in batch.posts.values() if post])

    def _drop(self, rooms: set[int], gateways: set[str]) -> None:
        if rooms:
            self._logs.purge(rooms)
        for table in ("members", "delivered", "restrictions", "posts", "rooms"):
            column = "id" if table == "rooms" else "room"
            self._db.executemany(f"DELETE FROM {table} WHERE {column}=?", [(room,) for room in rooms])
        for table in ("accepted", "delivered"):
            self._db.executemany(f"DELETE FROM {table} WHERE gateway=?", [(gateway,) for gateway in gateways])


def _marks(columns: tuple[str, ...]) -> str:
    return ", ".join("?" * len(columns))
