"""Fold turns of the SQLite engine into the rooms' logs, a part with each commit, so that no commit takes long.

A stretch of the table `turns` is folded: first its chunks become rows of the table `log`, room by room; then its
positions are written; at last its rows are deleted. If the process is killed in between, the stretch is there again,
with chunks that the log has already; `Logs` passes these over when it reads the turns.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from .interface import Batch, Chunk
from .unfolded_turns import UnfoldedTurns

PART: Final = 32, 2**16
"""Chunks and bytes of news that a part has at least; it also deletes as many turns. That takes 0.1 ms."""
ROW_SIZE: Final = 2**14
"""Bytes of news in a row: a replay decodes whole rows."""
FASTER: Final = 2
"""A part has so many times the chunks of the turn that it is committed with: a stretch ends before the next begins."""
POSITIONS: Final = 4
"""So many positions are written in the time of a chunk."""

_LogRow: TypeAlias = tuple[int, int, int, int, int, int, bytes]
"""Room, last, first, newest and oldest time, number and content of consecutive chunks."""

_encode = msgspec.msgpack.Encoder().encode
_ADD_ROW = "INSERT INTO log (room, last, first, at_ms, since_ms, chunks, news) VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD_ACCEPTED = "INSERT OR REPLACE INTO accepted VALUES (?, ?)"
_ADD_DELIVERED = "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?)"
# The member's row may be newer than the turn.
_NOTE_SAID = "UPDATE members SET said=max(said, ?) WHERE id=?"
_DELETE = "DELETE FROM turns WHERE row<=?"


class Folding:
    """A stretch of turns that is being folded. The caller handles transactions, and sqlite3's errors."""

    def __init__(self, turns: UnfoldedTurns, first_row: int, last_row: int) -> None:
        """Begin; the turns are the table's rows from `first_row` to `last_row`, and the table has none before."""
        self.chunks: dict[int, list[Chunk]] = turns.chunks
        """By room: what is not in the log yet."""
        self._positions: list[tuple[str, tuple[object, ...]]] = [
            *((_ADD_ACCEPTED, each) for each in turns.accepted.items()),
            *((_ADD_DELIVERED, (*key, n)) for key, n in turns.delivered.items()),
            *((_NOTE_SAID, (number, member)) for member, number in turns.said.items()),
        ]
        """Statements, and their values."""
        self._row, self._last_row = first_row - 1, last_row
        """Turns up to the former are deleted, and up to the latter will be."""
        self._cut = 0, 0
        """(room, since_ms) of the room whose chunks are written in part."""
        self._part: list[tuple[int, list[Chunk]]] = []
        """(room, chunks) that were written and are not confirmed."""
        self._written = 0, self._row
        """(how many positions, up to which row turns) that are written and deleted, and are not confirmed."""

    @property
    def is_done(self) -> bool:
        return self._row >= self._last_row

    def write_part(self, db: sqlite3.Connection, turn: Batch) -> int:
        """Write the next part together with a turn, and return its size in bytes; `confirm` it when it is committed."""
        most = max(PART[0], FASTER * len(turn.chunks))
        size = max(PART[1], FASTER * sum([len(chunk.news) for chunk in turn.chunks]))
        self._part, positions, row = self._next(most, size), 0, self._row
        if self._part:
            self._write(db, self._part)
        elif self._positions:
            positions = POSITIONS * most
            self._write_positions(db, positions)
        else:
            row = min(self._row + most, self._last_row)
            db.execute(_DELETE, (row,))
        self._written = positions, row
        return sum([len(chunk.news) for _, chunks in self._part for chunk in chunks])

    def confirm(self) -> None:
        """Note that the part is committed."""
        for room, chunks in self._part:
            left = self.chunks[room][len(chunks) :]
            if left:
                self.chunks[room] = left
                self._cut = room, self._since_of(room, chunks)
            else:
                del self.chunks[room]
        positions, self._row = self._written
        del self._positions[:positions]
        self._part = []

    def write_rest(self, db: sqlite3.Connection) -> None:
        """Write all that is left. This is over when it is committed."""
        self._write(db, self.chunks.items())
        self._write_positions(db, len(self._positions))
        db.execute(_DELETE, (self._last_row,))

    def _write(self, db: sqlite3.Connection, rooms: Iterable[tuple[int, list[Chunk]]]) -> None:
        """Write chunks of rooms into their logs. Rows are in the order of their `since_ms`, also those of one room."""
        rows = []
        for room, chunks in rooms:
            since_ms = self._since_of(room, chunks)
            rows += [log_row(each, since_ms) for each in _divide(chunks)]
        db.executemany(_ADD_ROW, rows)

    def _write_positions(self, db: sqlite3.Connection, count: int) -> None:
        for statement, values in self._positions[:count]:
            db.execute(statement, values)

    def _next(self, most: int, size: int) -> list[tuple[int, list[Chunk]]]:
        """Return rooms with their chunks: at least `most`, or `size` bytes. Of the last room it may be a part."""
        part: list[tuple[int, list[Chunk]]] = []
        for room, chunks in self.chunks.items():
            taken = 0
            for chunk in chunks:
                taken += 1
                size -= len(chunk.news)
                if size <= 0:
                    break
            part.append((room, chunks[:taken]))
            most -= taken
            if most <= 0 or size <= 0:
                break
        return part

    def _since_of(self, room: int, chunks: list[Chunk]) -> int:
        """Return the time of a room's oldest chunk that is written now or was written before."""
        since_ms = min([chunk.at_ms for chunk in chunks])
        cut, cut_since_ms = self._cut
        return min(since_ms, cut_since_ms) if room == cut else since_ms


def _divide(chunks: list[Chunk]) -> Iterator[list[Chunk]]:
    """Divide consecutive chunks among rows."""
    start, size = 0, 0
    for at, chunk in enumerate(chunks, 1):
        size += len(chunk.news)
        if size >= ROW_SIZE:
            yield chunks[start:at]
            start, size = at, 0
    if start < len(chunks):
        yield chunks[start:]


def log_row(chunks: list[Chunk], since_ms: int) -> _LogRow:
    """Return the row of consecutive chunks of one room; `since_ms` is their oldest's time, or an earlier one."""
    head, last = chunks[0], chunks[-1]
    news = head.news if len(chunks) == 1 else _encode(chunks)
    return head.room, last.last, head.first, max([chunk.at_ms for chunk in chunks]), since_ms, len(chunks), news
