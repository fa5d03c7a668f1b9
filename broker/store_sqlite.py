"""Engine: one SQLite file in WAL mode, and a journal beside it.

What a turn brings to rooms' logs is one record of the journal, appended: to write each room's news where the room's log
is would touch two pages a room, and a transaction locks and writes pages even for one message. It is moved there when
2,000 chunks have come, a room's in one row; until then it is also held in memory, where reads find it. A turn that
changes rooms, members or sanctions as well is one transaction, and what it brings to logs a row of the table `turns`:
numbers say in which order these and the journal's follow.

Durability `process`: a commit is in the operating system's hands, so it survives `kill -9` of any process; the WAL is
synced at checkpoints only, the journal never. `full`: synchronous=FULL syncs the WAL at each commit, and so is the
journal, so it survives a power cut as well. After a power cut under `process` a part in the middle may be missing, or
the end, of which nothing shows. What comes after a gap is left out; and when the system has been started since a store
was opened and not closed, the end may be missing. Then rooms begin a new epoch: positions of before may be given again.
Sources: sqlite.org/wal.html, "Performance Considerations"; sqlite.org/pragma.html#pragma_synchronous.
"""

import contextlib
import fcntl
import itertools
import operator
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from broker.journal import Journal, beside
from broker.store import Batch, Chunk, MemberRow, RoomRow, Sanction, Snapshot
from broker.store_schema import MIGRATIONS
from tsudoi.protocol.errors import SettingError, StoreError

Durability = Literal["process", "full"]

_ROOM = tuple(column.name for column in fields(RoomRow))
_MEMBER = tuple(column.name for column in fields(MemberRow))
_room_values = operator.attrgetter(*_ROOM)
_member_values = operator.attrgetter(*_MEMBER)
"""A row's columns are named as its fields, so a new field needs a migration and nothing here."""
_FOLDED_AT = 2_000, 2**22
"""Chunks and bytes of news that turns may hold before they are moved to the rooms' logs: that takes milliseconds."""
NEW_EPOCHS = "UPDATE rooms SET epoch = max(epoch + 1, CAST(strftime('%s', 'now') AS INTEGER))"
"""Whoever goes on from here has lost what came after it. Positions are given again then, so they belong to a new epoch,
one that nothing else has that went on from the same place: gateways that were not stopped see it."""
_CACHE_KIB = 512
"""SQLite's own default, 2 MiB, is worth 200 bytes a member with 10,000 of them."""
_AGED_AT_ONCE = 10_000
"""Chunks that one call of `trim` looks at for their age: it holds everybody up."""


_turn = msgspec.msgpack.Decoder(tuple[list[Chunk], dict[str, int], list[tuple[int, str, int]]])
"""What a turn brought: chunks, accepted, (room, gateway, delivered)."""
_chunks = msgspec.msgpack.Decoder(list[Chunk])
_encode = msgspec.msgpack.Encoder().encode


class StoreInUse(SettingError):
    """Another broker has the store open; it may be about to end."""


class SqliteStore:
    """Keeps everything in the file at `path`, which no other broker may have open at the same time."""

    def __init__(self, path: Path, durability: Durability = "process", run: str | None = None) -> None:
        """Open or create the file, mode 0600.

        Args:
            path: where.
            durability: see above.
            run: what this run of the operating system is called, which a power cut ends; None: ask it.

        Raises:
            SettingError: it can not be opened, is no store of this version, or another broker has it open.
        """
        self._lock = _take(path)
        self._grown: set[int] = set()
        """Rooms whose logs grew since the last trim."""
        self._aged = 0
        """Up to this row of the log, `trim` has found all that was too old."""
        self._turns = _Turns()
        self._last = 0
        """Number of the last turn."""
        self._has_gap = False
        """A part of what was committed was missing at the start."""
        try:
            path.touch(mode=0o600)
            _keep_from_others(path)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(durability)
                owner, folded, opened_in = self._db.execute("SELECT owner, folded, opened_in FROM journal").fetchone()
                run = _name_of_run() if run is None else run
                self._journal = Journal(beside(path), owner, durability == "full")
                try:
                    self._find_turns(folded, opened_in not in ("", run))
                    self._note_run(run if durability == "process" else "")
                except BaseException:
                    self._journal.close()
                    raise
            except (sqlite3.Error, StoreError, OSError, msgspec.MsgspecError):
                self._db.close()
                raise
        except (sqlite3.Error, StoreError, OSError, msgspec.MsgspecError) as exc:
            os.close(self._lock)
            raise SettingError(f"can not open the store {path}: {exc}") from exc

    def _prepare(self, durability: Durability) -> None:
        version = self._value("PRAGMA user_version") or 0
        if version == 0 and self._value("SELECT count(*) FROM sqlite_master"):
            raise sqlite3.DatabaseError("it is another program's")
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"it has version {version}, this program reads up to {len(MIGRATIONS)}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._synchronous = f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}"
        self._db.execute(self._synchronous)
        # Pages that a broker comes back to are few: what it reads is in the system's cache as well.
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        # What was said is erased, not only unlinked, when a room closes or its log is trimmed.
        self._db.execute("PRAGMA secure_delete=FAST")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def _note_run(self, run: str) -> None:
        """Write down, for good, in which run of the system the store is open; empty: nothing can be lost any more."""
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("UPDATE journal SET opened_in=?", (run,))
        self._db.execute(self._synchronous)

    def _find_turns(self, folded: int, was_cut: bool) -> None:
        """Take up the turns after number `folded`, those of the table and those of the journal, up to the first gap.

        If the system `was_cut` off while the store was open, what came last may be missing.
        """
        journal = self._journal.take()
        found = journal.records | dict(self._db.execute("SELECT row, body FROM turns"))
        self._last = folded
        while (body := found.get(self._last + 1)) is not None:
            self._last += 1
            self._turns.add(*_turn.decode(body))
        self._has_gap = was_cut or journal.is_broken or max(found, default=0) > self._last
        if self._has_gap:
            with self._transaction("mend"):
                self._fold()
                self._db.execute(NEW_EPOCHS)
            self._folded()

    def load(self) -> Snapshot:
        """See `Store.load`."""
        self._fold_alone("write to")
        try:
            # SQLite knows no truth, only 0 and 1.
            rows = self._db.execute(f"SELECT {_listed(_ROOM)} FROM rooms ORDER BY created_ms, id")
            rooms = [replace(room, persistent=bool(room.persistent)) for room in (RoomRow(*row) for row in rows)]
            rows = self._db.execute(f"SELECT {_listed(_MEMBER)} FROM members ORDER BY id")
            members = [replace(member, live=bool(member.live)) for member in (MemberRow(*row) for row in rows)]
            accepted = dict(self._db.execute("SELECT gateway, number FROM accepted"))
            delivered = {(r, g): n for r, g, n in self._db.execute("SELECT room, gateway, offset FROM delivered")}
            sanctions = [
                Sanction(*row) for row in self._db.execute("SELECT room, kind, name, ip, until_ms FROM sanctions")
            ]
            ends: dict[int, tuple[int, int]] = {}
            # Steps from room to room in the index; a GROUP BY would walk the whole of it.
            oldest = "SELECT room, first FROM log WHERE room>? ORDER BY room, last LIMIT 1"
            row = self._db.execute(oldest, (-1,)).fetchone()
            while row is not None:
                room_id, first = row
                ends[room_id] = (first, self._db.execute(_NEWEST, (room_id,)).fetchone()[0])
                row = self._db.execute(oldest, (room_id,)).fetchone()
        except sqlite3.Error as exc:
            raise StoreError(f"can not read the store: {exc}") from exc
        self._grown.update(ends)
        return Snapshot(rooms, members, ends, accepted, delivered, sanctions, self._has_gap)

    def commit(self, batch: Batch) -> None:
        """See `Store.commit`."""
        turns, chunks, forgotten = self._turns, batch.chunks, batch.forgotten
        accepted = {gateway: n for gateway, n in batch.accepted.items() if gateway not in forgotten}
        delivered = [
            (room, gateway, n)
            for (room, gateway), n in batch.delivered.items()
            if gateway not in forgotten and room not in batch.purged
        ]
        self._check(chunks)
        ends = bool(batch.purged or forgotten)
        # What forgets a room or a gateway must find in the tables all that there is of it.
        is_full = turns.size >= _FOLDED_AT[0] or turns.bytes >= _FOLDED_AT[1]
        turn = _encode((chunks, accepted, delivered)) if chunks or accepted or delivered else b""
        if is_full:
            self._fold_alone("write to")
        if ends or batch.rooms or batch.members or batch.sanctions:
            self._transact(batch, turn, ends)
        elif turn:
            self._journal.append(self._last + 1, turn)
        self._last += bool(turn)
        turns.add(chunks, accepted, delivered)
        self._grown.difference_update(batch.purged)

    def _transact(self, batch: Batch, turn: bytes, ends: bool) -> None:
        """Keep a batch that changes more than logs; if it ends something, in the tables alone."""
        with self._transaction("write to"):
            if ends:
                self._fold()
            if batch.rooms:
                self._commit_rooms(batch.rooms)
            if batch.members:
                self._commit_members(batch.members)
            if batch.sanctions:
                self._commit_sanctions(batch)
            if batch.purged:
                self._purge(batch.purged)
            for table in ("accepted", "delivered") if batch.forgotten else ():
                self._db.executemany(f"DELETE FROM {table} WHERE gateway=?", [(name,) for name in batch.forgotten])
            if turn:
                self._db.execute("INSERT INTO turns (row, body) VALUES (?, ?)", (self._last + 1, turn))
        if ends:
            self._folded()

    def _check(self, chunks: list[Chunk]) -> None:
        """Raise StoreError if one does not come after what its room has: to find that later would be too late."""
        for chunk in chunks:
            log = self._turns.logs.get(chunk.room)
            try:
                last = log[-1].last if log else self._value(_NEWEST, chunk.room) or 0
            except sqlite3.Error as exc:
                raise StoreError(f"can not read the store: {exc}") from exc
            if chunk.first <= last:
                raise StoreError(f"can not write to the store: room {chunk.room} has entry {chunk.first}")

    def _fold(self) -> None:
        """Move what turns brought to where it is found by room and by gateway."""
        turns = self._turns
        self._db.executemany(
            "INSERT INTO log (room, last, first, at_ms, since_ms, chunks, news) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [_log_row(chunks) for chunks in turns.logs.values()],
        )
        self._db.executemany("INSERT OR REPLACE INTO accepted VALUES (?, ?)", turns.accepted.items())
        self._db.executemany(
            "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?)", [(*key, n) for key, n in turns.delivered.items()]
        )
        self._db.execute("DELETE FROM turns")
        self._db.execute("UPDATE journal SET folded=?", (self._last,))
        self._grown.update(turns.logs)

    def _folded(self) -> None:
        """That was committed. If we are killed before the journal is empty, its numbers say that it counts no more."""
        self._turns.clear()
        try:
            self._journal.clear()
        except OSError as exc:
            raise StoreError(f"can not empty the store's journal: {exc.strerror}") from exc

    def _fold_alone(self, purpose: str) -> None:
        if self._turns:
            with self._transaction(purpose):
                self._fold()
            self._folded()

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
            (_member_values(member) for member in members.values() if member),
        )

    def _commit_sanctions(self, batch: Batch) -> None:
        lifted = [key for key, sanction in batch.sanctions.items() if sanction is None]
        self._db.executemany("DELETE FROM sanctions WHERE room=? AND kind=? AND name=? AND ip=?", lifted)
        self._db.executemany(
            "INSERT OR REPLACE INTO sanctions (room, kind, name, ip, until_ms) VALUES (?, ?, ?, ?, ?)",
            [(*s.key, s.until_ms) for s in batch.sanctions.values() if s],
        )

    def _purge(self, rooms: set[int]) -> None:
        tables = (("log", "room"), ("members", "room"), ("delivered", "room"), ("sanctions", "room"), ("rooms", "id"))
        for table, column in tables:
            self._db.executemany(f"DELETE FROM {table} WHERE {column}=?", [(room_id,) for room_id in rooms])
        # The number of the table's last row is given again when that row goes.
        (last,) = self._db.execute("SELECT max(row) FROM log").fetchone()
        self._aged = min(self._aged, last or 0)

    def read(self, room: int, after: int, limit: int) -> list[Chunk]:
        """See `Store.read`."""
        found: list[Chunk] = []
        try:
            query = f"SELECT {_LOG} FROM log WHERE room=? AND last>? ORDER BY last"
            rows = (_chunks_in(row) for row in self._db.execute(query, (room, after)))
            for chunk in itertools.chain(itertools.chain.from_iterable(rows), self._turns.logs.get(room, ())):
                if chunk.last <= after:
                    continue
                if limit <= 0:
                    break
                found.append(chunk)
                limit -= chunk.last - max(chunk.first - 1, after)
        except (sqlite3.Error, msgspec.MsgspecError) as exc:
            raise StoreError(f"can not read the store: {exc}") from exc
        return found

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        """See `Store.trim`. Only rooms that grew since the last call are looked at for their count."""
        self._fold_alone("trim")
        changed: dict[int, int] = {}
        with self._transaction("trim"):
            for room in self._grown | self._aged_rooms(before_ms):
                last = self._value(_NEWEST, room)
                if last is not None and (first := self._trim_room(room, last, last - keep, before_ms)):
                    changed[room] = first
        self._grown.clear()
        return changed

    def _trim_room(self, room: int, last: int, end: int, before_ms: int) -> int:
        """Drop the chunks up to the first that must stay; return the offset that the log begins with, 0 if as before.

        Only from the start: a hole in the middle would pass for a whole log.
        """
        row, chunks = self._first_kept(room, last, end, before_ms)
        kept = next((at for at, c in enumerate(chunks) if c.last > end and c.at_ms >= before_ms), len(chunks) - 1)
        deleted = self._db.execute("DELETE FROM log WHERE room=? AND last<?", (room, chunks[-1].last)).rowcount
        if kept:
            _, _, first, at_ms, _, count, news = _log_row(chunks[kept:])
            # The row's oldest time stays: those of the rows after it are not before it.
            query = "UPDATE log SET first=?, at_ms=?, chunks=?, news=? WHERE row=?"
            self._db.execute(query, (first, at_ms, count, news, row))
        return chunks[kept].first if deleted or kept else 0

    def _first_kept(self, room: int, last: int, end: int, before_ms: int) -> tuple[int, list[Chunk]]:
        """Return the row that the first chunk which must stay is in, and its chunks; the last row stays in any case."""
        query = f"SELECT {_LOG}, row FROM log WHERE room=? AND last>? AND (at_ms>=? OR last=?) ORDER BY last"
        for *columns, row in self._db.execute(query, (room, end, before_ms, last)):
            chunks = _chunks_in(columns)
            if chunks[-1].last == last or any(c.last > end and c.at_ms >= before_ms for c in chunks):
                return row, chunks
        raise sqlite3.DatabaseError("a row has gone")

    def _aged_rooms(self, before_ms: int) -> set[int]:
        """Return the rooms of the next chunks that were stamped before `before_ms`.

        Rows are in the order of their oldest chunks, so these follow on the ones that were found before. A row of which
        only a part was too old is looked at again.
        """
        rooms: set[int] = set()
        query = "SELECT row, room, since_ms, at_ms FROM log WHERE row>? ORDER BY row LIMIT ?"
        aged = self._aged
        is_whole = True
        for row, room, since_ms, at_ms in self._db.execute(query, (self._aged, _AGED_AT_ONCE)):
            if since_ms >= before_ms:
                break
            is_whole = is_whole and at_ms < before_ms
            if is_whole:
                aged = row
            rooms.add(room)
        self._aged = aged
        return rooms

    def _value(self, query: str, *parameters: int) -> int | None:
        row = self._db.execute(query, parameters).fetchone()
        return None if row is None else int(row[0])

    def close(self) -> None:
        """See `Store.close`."""
        with contextlib.suppress(StoreError, sqlite3.Error):  # then the next one takes care
            self._fold_alone("write to")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._note_run("")
        self._db.close()
        self._journal.close()
        os.close(self._lock)


def _name_of_run() -> str:
    """Return what this run of the system is called, empty where it does not say: then a power cut is not noticed."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class _Turns:
    """What turns brought since it was last moved to the tables, by where it is to go."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.logs: dict[int, list[Chunk]] = {}
        self.accepted: dict[str, int] = {}
        self.delivered: dict[tuple[int, str], int] = {}
        self.size = self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self.size or self.accepted or self.delivered)

    def add(self, chunks: list[Chunk], accepted: dict[str, int], delivered: list[tuple[int, str, int]]) -> None:
        """Take what one more turn brought."""
        for chunk in chunks:
            self.bytes += len(chunk.news)
            log = self.logs.get(chunk.room)
            if log is None:
                self.logs[chunk.room] = [chunk]
            else:
                log.append(chunk)
        self.size += len(chunks)
        self.accepted.update(accepted)
        for room, gateway, offset in delivered:
            self.delivered[room, gateway] = offset


_NEWEST = "SELECT last FROM log WHERE room=? ORDER BY last DESC LIMIT 1"
_LOG = "room, first, last, at_ms, chunks, news"


def _log_row(chunks: list[Chunk]) -> tuple[int, int, int, int, int, int, bytes]:
    """Return room, last, first, newest and oldest time, number and content of consecutive chunks of one room."""
    head, last = chunks[0], chunks[-1]
    times = [chunk.at_ms for chunk in chunks]
    news = head.news if len(chunks) == 1 else _encode(chunks)
    return head.room, last.last, head.first, max(times), min(times), len(chunks), news


def _chunks_in(row: Sequence[Any]) -> list[Chunk]:
    """Return the chunks in a row of `_LOG`'s columns."""
    room, first, last, at_ms, count, news = row
    return [Chunk(room, first, last, at_ms, news)] if count == 1 else _chunks.decode(news)


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(columns)


def _marks(columns: tuple[str, ...]) -> str:
    return ", ".join("?" * len(columns))


def _keep_from_others(path: Path) -> None:
    """Take others' rights from what was there, a copy that was put back perhaps; SQLite gives new files the store's."""
    for file in (path, beside(path), *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def _take(path: Path) -> int:
    """Return the descriptor of a lock on the store; the kernel gives it back when the process ends, however it does."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise StoreInUse(f"another broker has the store {path} open") from exc
    return lock
