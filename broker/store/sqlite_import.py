"""The journal file that versions 7 to 9 of the store had beside them: its turns move into the table `turns`.

    | owner: 8 |                                          once, at the start: which database it belongs to
    | size: 4 | crc: 4 | number: 8 | body: size bytes |   again and again; the CRC-32 is of number and body

Turns have consecutive numbers, over the journal and the table together. All up to number `folded` are in the rooms'
logs already. A record that was not written whole ends the journal.
"""

import sqlite3
import struct
import zlib
from pathlib import Path

from .sqlite_schema import EARLIER_NEW_EPOCHS

VERSIONS = range(7, 10)
_HEAD = struct.Struct("!IIQ")
_CHECKED = 8
"""Where the bytes begin of which the CRC is."""


def journal_path(store: Path) -> Path:
    """Return where the journal of a store is, if it has one."""
    return store.with_name(store.name + ".journal")


def import_journal(db: sqlite3.Connection, store: Path) -> bool:
    """Copy the journal's turns into the table `turns`, up to the first that is missing; return whether one is.

    If so, rooms begin a new epoch. The caller deletes the file when the store has its new version; until then this may
    be repeated.
    """
    owner: bytes
    folded: int
    owner, folded = db.execute("SELECT owner, folded FROM journal").fetchone()
    try:
        journal = _parse(journal_path(store).read_bytes(), owner)
    except FileNotFoundError:
        journal = {}
    numbers = journal.keys() | {number for (number,) in db.execute("SELECT row FROM turns")}
    last = folded
    while last + 1 in numbers:
        last += 1
    db.execute("BEGIN")
    turns = [(number, body) for number, body in journal.items() if folded < number <= last]
    db.executemany("INSERT OR IGNORE INTO turns (row, body) VALUES (?, ?)", turns)
    db.execute("DELETE FROM turns WHERE row>?", (last,))
    lacks_turns = max(numbers, default=0) > last
    if lacks_turns:
        db.execute(EARLIER_NEW_EPOCHS)
    db.execute("COMMIT")
    return lacks_turns


def _parse(data: bytes, owner: bytes) -> dict[int, bytes]:
    """Return the turns in a journal, by number; none if it belongs to another database."""
    turns: dict[int, bytes] = {}
    at = len(owner)
    while data.startswith(owner) and at + _HEAD.size <= len(data):
        size, crc, number = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        if end > len(data) or zlib.crc32(data[at + _CHECKED : end]) != crc:
            break
        turns[number] = data[at + _HEAD.size : end]
        at = end
    return turns
