"""The rooms' logs in an SQLite store.

A turn is one row of the table `turns`, and is also held in memory. Many turns are folded together
(`sqlite_folding.py`): all chunks of one room since the last time become one row of the table `log`.
"""

import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from .interface import Batch, Chunk, with_entries
from .sqlite_folding import Folding, log_row
from .unfolded_turns import UnfoldedTurns, decode_turn, encode_turn

_AGED_AT_ONCE = 10_000
"""Rows whose age one call of `trim` looks at; the broker waits meanwhile."""

_chunks = msgspec.msgpack.Decoder(list[Chunk])

_NEWEST = "SELECT last FROM log WHERE room=? ORDER BY last DESC LIMIT 1"
_OLDEST = "SELECT first FROM log WHERE room=? ORDER BY last LIMIT 1"
_LOG = "room, first, last, at_ms, chunks, news"


class Logs:
    """All rooms' logs. The caller begins and ends transactions, and handles sqlite3's errors."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Read the turns that the last broker had not folded."""
        self._db = db
        self._appending = db.cursor()
        """Used for each turn: to make a cursor takes a tenth of its commit."""
        self._grown: set[int] = set()
        """Rooms whose logs grew since the last trim."""
        self._kept = 0
        """What the last trim kept of each log; with less, all rooms are looked at."""
        self._aged = 0
        """Up to this row of the log, `trim` has dropped all that was too old."""
        self.turns = UnfoldedTurns()
        """Those that are not being folded yet."""
        self.folding: Folding | None = None
        """Those that are, the older ones."""
        self.written = 0
        """Bytes of entries that were written since the store was opened."""
        self._first_row = self._last_row = 0
        """Where `turns` are in the table; 0: there are none."""
        ends: dict[int, int | None] = {}
        for row, body in db.execute("SELECT row, body FROM turns ORDER BY row"):
            turn = decode_turn(body)
            for chunk in turn.chunks:
                if chunk.room not in ends:
                    ends[chunk.room] = self._newest(chunk.room)
            # The last broker may have ended while it folded them.
            turn.chunks = [chunk for chunk in turn.chunks if chunk.last > (ends[chunk.room] or 0)]
            self.added(turn, row)

    def find_conflict(self, chunks: list[Chunk]) -> Chunk | None:
        """Return a chunk that does not come after the end of its room's log; None if all do."""
        for chunk in chunks:
            pending = self.turns.chunks.get(chunk.room) or self._being_folded(chunk.room)
            if chunk.first <= (pending[-1].last if pending else self._newest(chunk.room) or 0):
                return chunk
        return None

    def append(self, batch: Batch) -> int:
        """Write a turn as one row, and return that. The caller calls `added` when it is committed."""
        body = encode_turn(batch)
        row = self._appending.execute("INSERT INTO turns (body) VALUES (?)", (body,)).lastrowid
        assert row is not None
        self.written += len(body)
        return row

    def added(self, batch: Batch, row: int) -> None:
        """Note that a turn is in the table."""
        self.turns.add(batch)
        self._first_row, self._last_row = self._first_row or row, row

    @property
    def has_turns(self) -> bool:
        return bool(self._first_row) or self.folding is not None

    @property
    def is_behind(self) -> bool:
        """Whether it is time to fold turns, and earlier ones are not folded yet."""
        return self.turns.is_full and self.folding is not None

    def begin_fold(self) -> None:
        """Let `turns` be folded from now on; none may be."""
        assert self.folding is None
        self._grown.update(self.turns.chunks)
        self.folding = Folding(self.turns, self._first_row, self._last_row)
        self.turns, self._first_row = UnfoldedTurns(), 0

    def fold_part(self, batch: Batch) -> None:
        """Write the next part of what is being folded, with a turn. The caller confirms it when that is committed."""
        if self.folding is not None:
            self.written += self.folding.write_part(self._db, batch)

    def confirm_part(self) -> None:
        """Note that what `fold_part` has written is committed."""
        if self.folding is not None:
            self.folding.confirm()
            if self.folding.is_done:
                self.folding = None

    def fold(self) -> None:
        """Move all turns to the tables. The caller calls `folded` when that is committed."""
        if self.folding is not None:
            self.folding.write_rest(self._db)
        if self._first_row:
            Folding(self.turns, self._first_row, self._last_row).write_rest(self._db)

    def folded(self) -> None:
        """Note that all turns are in the tables."""
        self._grown.update(self.turns.chunks)
        self.folding = None
        self.turns, self._first_row = UnfoldedTurns(), 0

    def ends(self) -> dict[int, tuple[int, int]]:
        """Return room id → (first, last) offset of all logs; there must be no turns."""
        found: dict[int, tuple[int, int]] = {}
        # Steps from room to room in the index; a GROUP BY would walk the whole of it.
        oldest = "SELECT room, first FROM log WHERE room>? ORDER BY room, last LIMIT 1"
        row = self._db.execute(oldest, (-1,)).fetchone()
        while row is not None:
            room, first = row
            found[room] = (first, self._newest(room) or 0)
            row = self._db.execute(oldest, (room,)).fetchone()
        self._grown.update(found)
        return found

    def newest_ms(self) -> int:
        """Return when the newest row's entries were stamped, 0 if there is none; there must be no turns."""
        row = self._db.execute("SELECT at_ms FROM log ORDER BY row DESC LIMIT 1").fetchone()
        return 0 if row is None else int(row[0])

    def read(self, room: int, after: int, limit: int) -> list[Chunk]:
        query = f"SELECT {_LOG} FROM log WHERE room=? AND last>? ORDER BY last"
        rows = (_chunks_in(row) for row in self._db.execute(query, (room, after)))
        folded = itertools.chain.from_iterable(rows)
        unfolded = itertools.chain(self._being_folded(room), self.turns.chunks.get(room, ()))
        return with_entries(itertools.chain(folded, unfolded), after, limit)

    def purge(self, rooms: set[int]) -> None:
        self._db.executemany("DELETE FROM log WHERE room=?", [(room,) for room in rooms])
        # SQLite gives the number of the table's last row again when that row goes.
        (last,) = self._db.execute("SELECT max(row) FROM log").fetchone()
        self._aged = min(self._aged, last or 0)
        self._grown -= rooms

    # --- trimming -------------------------------------------------------------------------------------------------

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        """Trim as `Store.trim`; there must be no turns. Only rooms that grew since the last call are looked at."""
        changed: dict[int, int] = {}
        if keep < self._kept:
            self._grown.update(self.ends())
        self._kept = keep
        aged = self._aged_rooms(before_ms)
        for room in self._grown | aged:
            last = self._newest(room)
            # Most logs are short: a look into the index tells, and their rows are not decoded.
            if last is None or (room not in aged and self._oldest(room) > last - keep):
                continue
            if first := self._trim_room(room, last, last - keep, before_ms):
                changed[room] = first
        self._grown.clear()
        return changed

    def _trim_room(self, room: int, last: int, end: int, before_ms: int) -> int:
        """Drop the chunks before the first that must stay; return the log's new first offset, 0 if none was dropped."""
        row, chunks = self._first_kept(room, last, end, before_ms)
        kept = next((at for at, c in enumerate(chunks) if c.last > end and c.at_ms >= before_ms), len(chunks) - 1)
        deleted = self._db.execute("DELETE FROM log WHERE room=? AND last<?", (room, chunks[-1].last)).rowcount
        if kept:
            _, _, first, at_ms, _, count, news = log_row(chunks[kept:], 0)
            # The row's since_ms stays: no later row has an older one.
            query = "UPDATE log SET first=?, at_ms=?, chunks=?, news=? WHERE row=?"
            self._db.execute(query, (first, at_ms, count, news, row))
        return chunks[kept].first if deleted or kept else 0

    def _first_kept(self, room: int, last: int, end: int, before_ms: int) -> tuple[int, list[Chunk]]:
        """Return the row that holds the first chunk which must stay, and its chunks; the last row always stays."""
        query = f"SELECT {_LOG}, row FROM log WHERE room=? AND last>? AND (at_ms>=? OR last=?) ORDER BY last"
        for *columns, row in self._db.execute(query, (room, end, before_ms, last)):
            chunks = _chunks_in(columns)
            if chunks[-1].last == last or any(c.last > end and c.at_ms >= before_ms for c in chunks):
                return row, chunks
        raise sqlite3.DatabaseError("a row has gone")

    def _aged_rooms(self, before_ms: int) -> set[int]:
        """Return the rooms of the next rows that hold chunks from before `before_ms`.

        Rows are in the order of their oldest chunks, so the search goes on where the last one ended. A row of which
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

    def _being_folded(self, room: int) -> Sequence[Chunk]:
        """Return the chunks of a room that are being folded, and are not in its log yet."""
        return self.folding.chunks.get(room, ()) if self.folding is not None else ()

    def _oldest(self, room: int) -> int:
        """Return the first offset in a room's folded log, which has one."""
        return int(self._db.execute(_OLDEST, (room,)).fetchone()[0])

    def _newest(self, room: int) -> int | None:
        """Return the last offset in a room's folded log; None if it has none."""
        row = self._db.execute(_NEWEST, (room,)).fetchone()
        return None if row is None else int(row[0])


def _chunks_in(row: Sequence[Any]) -> list[Chunk]:
    room, first, last, at_ms, count, news = row
    return [Chunk(room, first, last, at_ms, news)] if count == 1 else _chunks.decode(news)
