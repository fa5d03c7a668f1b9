"""The tables of the SQLite engine, and how a store of an earlier release gets them.

A store's `user_version` is the version of its tables. A change of them gets the next number and, if a release has
written the version before, a script from that one to this.
"""

from typing import Final

VERSION: Final = 15
OF_0_1_0: Final = 8
"""The version of the stores of tsudoi 0.1.0."""

NEW_EPOCHS: Final = """
UPDATE rooms SET
    epoch = epoch + 1 + (random() & 4294967295),
    epoch_after = coalesce((SELECT max(last) FROM log WHERE room = rooms.id), 0)
"""
"""For a store that continues from an earlier state, without turns: positions will be given again, so they need an epoch
that no other copy of the store gets."""

_NEW_IN_15: Final = """
-- opened_in: the run of the operating system in which the store is open; empty: closed, or each commit is on the disk.
-- file: the file's own mark (`file_identity.py`), a copy has another one; empty: not known.
-- is_open: not closed since it was opened, so a file NAME-wal belongs to it.
CREATE TABLE run (opened_in TEXT NOT NULL, file TEXT NOT NULL DEFAULT '', is_open INTEGER NOT NULL DEFAULT 0);
CREATE TABLE posts (key BLOB PRIMARY KEY, room INTEGER NOT NULL, epoch INTEGER NOT NULL, offset INTEGER NOT NULL,
    text_hash BLOB NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
"""

SCHEMA: Final = (
    """
-- Of entries up to `epoch_after` another epoch was the room's.
CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL, epoch INTEGER NOT NULL, host INTEGER NOT NULL,
    password_hash TEXT NOT NULL, created_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL, topic TEXT NOT NULL,
    persistent INTEGER NOT NULL, epoch_after INTEGER NOT NULL);
-- Closed rooms stay for a while, so a name is unique among open rooms only.
CREATE UNIQUE INDEX rooms_name ON rooms (name) WHERE closed_ms=0;
CREATE TABLE members (id INTEGER PRIMARY KEY, room INTEGER NOT NULL, name TEXT NOT NULL, token_hash BLOB NOT NULL,
    dialect TEXT NOT NULL, ip TEXT NOT NULL, address BLOB NOT NULL, gateway TEXT NOT NULL, idle_ms INTEGER NOT NULL,
    live INTEGER NOT NULL, delivered INTEGER NOT NULL, rights INTEGER NOT NULL, wished TEXT NOT NULL,
    options INTEGER NOT NULL, muted_until_ms INTEGER NOT NULL, whispered_by INTEGER NOT NULL, said INTEGER NOT NULL);
CREATE INDEX members_room ON members (room);
CREATE TABLE restrictions (room INTEGER NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, ip TEXT NOT NULL,
    until_ms INTEGER NOT NULL, PRIMARY KEY (room, kind, name, ip)) WITHOUT ROWID;
CREATE TABLE accepted (gateway TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE delivered (room INTEGER NOT NULL, gateway TEXT NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (room, gateway)) WITHOUT ROWID;
-- What turns brought, as it came; it is moved to where it is found by room later (`sqlite_folding.py`).
CREATE TABLE turns (row INTEGER PRIMARY KEY, body BLOB NOT NULL);
-- Rows are appended at the end of the table, whatever the room; the index finds a room's. A row has several chunks of
-- one room, first to last: since_ms is the oldest's time, at_ms the newest's.
CREATE TABLE log (row INTEGER PRIMARY KEY, room INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, news BLOB NOT NULL, since_ms INTEGER NOT NULL, chunks INTEGER NOT NULL);
CREATE UNIQUE INDEX log_room ON log (room, last, first);
"""
    + _NEW_IN_15
    + "INSERT INTO run (opened_in) VALUES ('');"
)

FROM_0_1_0: Final = (
    """
ALTER TABLE members RENAME COLUMN manner TO options;
ALTER TABLE members ADD COLUMN said INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN epoch_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sanctions RENAME TO restrictions;
"""
    + _NEW_IN_15
    + "INSERT INTO run (opened_in) SELECT opened_in FROM journal; DROP TABLE journal;"
)
"""For a store that was closed: its journal, a file beside it, has no turns then."""
