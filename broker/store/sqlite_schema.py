"""The tables of the SQLite engine, as the migrations that make them.

A store's `user_version` is the number of migrations that it has had. Migrations are appended, never changed, so that
this version opens the stores of all earlier ones.
"""

import sqlite3
from typing import Final

NEW_EPOCHS: Final = """
UPDATE rooms SET
    epoch = epoch + 1 + (random() & 4294967295),
    epoch_after = coalesce((SELECT max(last) FROM log WHERE room = rooms.id), 0)
"""
"""For a store that continues from an earlier state, without turns: positions will be given again, so they need an epoch
that no other copy of the store gets."""

EARLIER_NEW_EPOCHS: Final = "UPDATE rooms SET epoch = max(epoch + 1, CAST(strftime('%s', 'now') AS INTEGER))"
"""The same for stores before `KNOWS_COPIES`."""

MIGRATIONS: Final = (
    """
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
""",
    "ALTER TABLE members ADD COLUMN rights INTEGER NOT NULL DEFAULT 0;",
    # Closed rooms stay for a while, so a name is unique among open rooms only: UNIQUE on the column is too strict.
    """
CREATE TABLE open_and_closed_rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL, epoch INTEGER NOT NULL,
    host INTEGER NOT NULL, password_hash TEXT NOT NULL, created_ms INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL DEFAULT 0);
INSERT INTO open_and_closed_rooms SELECT id, name, epoch, host, password_hash, created_ms, 0 FROM rooms;
DROP TABLE rooms;
ALTER TABLE open_and_closed_rooms RENAME TO rooms;
CREATE UNIQUE INDEX rooms_name ON rooms (name) WHERE closed_ms=0;
DELETE FROM log WHERE room NOT IN (SELECT id FROM rooms);
""",
    """
-- What turns brought to rooms' logs, as it came; it is moved to where it is found by room a thousand chunks at a time.
CREATE TABLE turns (row INTEGER PRIMARY KEY, body BLOB NOT NULL);
-- Several chunks of one room share a row, first to last: since_ms is the oldest's time, at_ms the newest's.
ALTER TABLE log ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN chunks INTEGER NOT NULL DEFAULT 1;
UPDATE log SET since_ms = at_ms;
""",
    """
ALTER TABLE rooms ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE members ADD COLUMN wished TEXT NOT NULL DEFAULT '';
ALTER TABLE members ADD COLUMN manner INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN muted_until_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN whispered_by INTEGER NOT NULL DEFAULT 0;
CREATE TABLE sanctions (room INTEGER NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, ip TEXT NOT NULL,
    until_ms INTEGER NOT NULL, PRIMARY KEY (room, kind, name, ip)) WITHOUT ROWID;
""",
    "ALTER TABLE rooms ADD COLUMN persistent INTEGER NOT NULL DEFAULT 0;",
    """
-- The journal beside the file has turns, too: whose it is, and up to which of them all is in the tables.
CREATE TABLE journal (owner BLOB NOT NULL, folded INTEGER NOT NULL);
INSERT INTO journal SELECT randomblob(8), coalesce(min(row) - 1, 0) FROM turns;
""",
    """
-- In which run of the operating system the store is open; empty: it was closed, or each commit is on the disk.
ALTER TABLE journal ADD COLUMN opened_in TEXT NOT NULL DEFAULT '';
""",
    "ALTER TABLE members RENAME COLUMN manner TO options;",
    """
-- The journal file is no more: `sqlite_import.py` has moved its turns into the table `turns` before this.
-- opened_in: the run of the operating system in which the store is open; empty: closed, or each commit is on the disk.
CREATE TABLE run (opened_in TEXT NOT NULL);
INSERT INTO run SELECT opened_in FROM journal;
DROP TABLE journal;
ALTER TABLE sanctions RENAME TO restrictions;
""",
    """
-- The file's own mark (`file_identity.py`): a copy has another one. Empty: not known.
ALTER TABLE run ADD COLUMN file TEXT NOT NULL DEFAULT '';
-- Not closed since it was opened, so a file NAME-wal belongs to it.
ALTER TABLE run ADD COLUMN is_open INTEGER NOT NULL DEFAULT 0;
-- Entries up to this offset are from before the room's epoch.
ALTER TABLE rooms ADD COLUMN epoch_after INTEGER NOT NULL DEFAULT 0;
""",
    """
CREATE TABLE posts (key BLOB PRIMARY KEY, room INTEGER NOT NULL, epoch INTEGER NOT NULL, offset INTEGER NOT NULL,
    text_hash BLOB NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
""",
    "ALTER TABLE members ADD COLUMN said INTEGER NOT NULL DEFAULT 0;",
    # Turns may be in the logs already (`sqlite_folding.py`), which earlier versions do not expect.
    "",
    # So may the numbers of members' lines be in turns.
    "",
)

KNOWS_COPIES: Final = 11
"""From this version on a store notes which file it is; and pages are overwritten when they become free."""
_FILL_SIZE = 2**20


def erase_free_pages(db: sqlite3.Connection) -> None:
    """Overwrite what earlier versions left in free pages: fill them, and free them again."""
    db.execute("BEGIN")
    db.execute("CREATE TABLE filled (data BLOB NOT NULL)")
    while (size := min(db.execute("PRAGMA freelist_count").fetchone()[0] * 4_096, _FILL_SIZE)) > 0:
        db.execute("INSERT INTO filled VALUES (zeroblob(?))", (size,))
    db.execute("DROP TABLE filled")
    db.execute("COMMIT")
