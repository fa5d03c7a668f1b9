"""A copy of a store while its broker runs; docs/operations.md, "Backup and restore"."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from broker.journal import beside, parse
from broker.store_sqlite import NEW_EPOCHS
from tsudoi.protocol.errors import SettingError

NEW = ".new"
JOURNAL_SINCE = 7
"""The version of a store's form that has one; an older store is copied before the broker that brings it up to date."""
RUN_SINCE = 8
"""The version that says in which run of the system a store is open: a copy is open nowhere."""
TRIES = 10
"""A copy is begun again when what it needs of the journal has gone into the database meanwhile: every few seconds."""


def back_up(store: Path, target: Path) -> None:
    """Copy the SQLite store at `store` to the file `target`, as it is at one moment between two commits.

    The broker goes on meanwhile: it writes to the WAL and the journal, and a reader of SQLite does not hold up a writer
    (sqlite.org/backup.html, sqlite.org/wal.html). The copy is complete when it has its name, mode 0600. It is one file,
    which holds too what only the journal had, and a store of its own: the journal of its original is not its journal.

    Raises:
        SettingError: there is no such store, or the copy can not be written, or `target` is there already.
    """
    try:
        if not store.is_file():
            raise SettingError(f"there is no store {store}")
        if target.exists():
            raise SettingError(f"{target} is there already")
    except OSError as exc:
        raise SettingError(f"can not copy {store} to {target}: {exc.strerror}") from exc
    unfinished = target.with_name(target.name + NEW)
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as exc:
        raise SettingError(f"can not write {unfinished}: {exc.strerror}") from exc
    try:
        with (
            closing(sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(unfinished)) as copy,
        ):
            (version,) = source.execute("PRAGMA user_version").fetchone()
            has_journal = version >= JOURNAL_SINCE
            if not has_journal:
                source.backup(copy)
            elif not any(_copy(store, source, copy) for _ in range(TRIES)):
                raise SettingError(f"{store} changes too fast to be copied: try again")
            # A file of its own, without the -wal and -shm that a running store has beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
            with copy:
                copy.execute(NEW_EPOCHS)
                if has_journal:
                    copy.execute("UPDATE journal SET owner=randomblob(8)")
                if version >= RUN_SINCE:
                    copy.execute("UPDATE journal SET opened_in=''")
            found = copy.execute("PRAGMA quick_check").fetchone()
            if found != ("ok",):
                raise SettingError(f"{store} is damaged: {found[0] if found else 'no answer'}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        # Not over a file that came meanwhile.
        os.link(unfinished, target)
    except (sqlite3.Error, OSError) as exc:
        raise SettingError(f"can not copy {store} to {target}: {exc}") from exc
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _copy(store: Path, source: sqlite3.Connection, copy: sqlite3.Connection) -> bool:
    """Copy the database, and the journal's turns that it does not have; say whether all are there without a gap."""
    before = _read_journal(store)
    source.backup(copy)
    owner, folded = copy.execute("SELECT owner, folded FROM journal").fetchone()
    (last,) = copy.execute("SELECT coalesce(max(row), ?) FROM turns", (folded,)).fetchone()
    journal = parse(before, owner).records | parse(_read_journal(store), owner).records
    there = {number for (number,) in copy.execute("SELECT row FROM turns")}
    number = folded + 1
    while number in there or number in journal:
        if number not in there:
            copy.execute("INSERT INTO turns VALUES (?, ?)", (number, journal[number]))
        number += 1
    copy.commit()
    return bool(number > last)


def _read_journal(store: Path) -> bytes:
    try:
        return beside(store).read_bytes()
    except FileNotFoundError:
        return b""
