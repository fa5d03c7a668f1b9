"""A copy of a store while its broker runs; docs/operations.md, "Backup and restore"."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from tsudoi.protocol.errors import SettingError

from .sqlite_file import StoreInUse, lock
from .sqlite_import import VERSIONS, import_journal
from .sqlite_schema import MIGRATIONS, NEW_EPOCHS

NEW = ".new"


def back_up(store: Path, target: Path) -> None:
    """Copy the SQLite store at `store` to the file `target`, as it is at one moment between two commits.

    The broker goes on meanwhile: it writes to the WAL, and a reader of SQLite does not hold up a writer
    (sqlite.org/backup.html, sqlite.org/wal.html). The copy is complete when it has its name, mode 0600.

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
        _copy(store, unfinished)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        # Unlike a rename, this does not replace a file that came meanwhile.
        os.link(unfinished, target)
    except (sqlite3.Error, OSError) as exc:
        raise SettingError(f"can not copy {store} to {target}: {exc}") from exc
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _copy(store: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        (version,) = source.execute("PRAGMA user_version").fetchone()
        if version in VERSIONS:
            _copy_with_journal(store, source, copy)
        else:
            source.backup(copy)
        # A file of its own, without the -wal and -shm that a running store has beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        # The broker of the original goes on: its positions and the copy's must not be taken for each other's.
        copy.execute(NEW_EPOCHS)
        if version == len(MIGRATIONS):
            copy.execute("UPDATE run SET opened_in=''")
        found = copy.execute("PRAGMA quick_check").fetchone()
        if found != ("ok",):
            raise SettingError(f"{store} is damaged: {found[0] if found else 'no answer'}")


def _copy_with_journal(store: Path, source: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    """Copy a store that a broker of an earlier version left, which must not run meanwhile."""
    try:
        file_lock = lock(store)
    except StoreInUse as exc:
        raise SettingError(f"a broker of an earlier version has {store} open: stop it first") from exc
    try:
        source.backup(copy)
        import_journal(copy, store)
    finally:
        os.close(file_lock)
