"""A copy of a store while its broker runs; docs/operations.md, "Backup and restore"."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tsudoi.ops.is_there import is_there
from tsudoi.ops.new_file import new_file
from tsudoi.protocol.errors import SettingError

from .sqlite_file import check_name, resolve, wal_path
from .sqlite_schema import VERSION

_NOT_WRITABLE = "its folder can not be written, as SQLite must to read it: while no broker runs, copy the folder"


def back_up(store: Path, target: Path) -> None:
    """Copy the SQLite store at `store` to the file `target`, mode 0600, or raise SettingError.

    The broker continues to run: it writes to the WAL, and a reader of SQLite does not hold up a writer
    (sqlite.org/backup.html, sqlite.org/wal.html). The copy is complete when it has its name.
    """
    try:
        if not is_there(store) or not store.is_file():
            raise SettingError(f"there is no store {store}")
        # By its mode: to open and close the file would end this process's locks on it, if it has the store open.
        if not os.access(store, os.R_OK):
            raise SettingError(f"can not copy {store} to {target}: it may not be read by this user")
        with new_file(target) as unfinished:
            _copy(resolve(store), unfinished)
    except FileExistsError as exc:
        raise SettingError(f"{target} is there already: name another file, or move it away") from exc
    except OSError as exc:
        raise SettingError(f"can not copy {store} to {target}: {exc.strerror}") from exc
    except sqlite3.Error as exc:
        why = _NOT_WRITABLE if exc.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN else exc
        raise SettingError(f"can not copy {store} to {target}: {why}") from exc


def _copy(store: Path, target: Path) -> None:
    has_wal = wal_path(store).exists()
    with (
        closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as source,
        # Without locks, which some network file systems have not: no other program knows the file.
        closing(sqlite3.connect(f"{target.resolve().as_uri()}?vfs=unix-none", uri=True, isolation_level=None)) as copy,
    ):
        (version,) = source.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise SettingError(f"{store} has version {version}: start this version's broker with it once")
        if not has_wal and source.execute("SELECT is_open FROM run").fetchone()[0]:
            check_name(store)
        copy.execute("PRAGMA locking_mode=EXCLUSIVE")
        source.backup(copy)
        # One file, without the -wal and -shm of a running store.
        copy.execute("PRAGMA journal_mode=DELETE")
        # Each time that the copy is put in a store's place, its rooms begin an epoch of their own.
        copy.execute("UPDATE run SET opened_in='', is_open=0, file='a copy'")
        found = copy.execute("PRAGMA quick_check").fetchone()
        if found != ("ok",):
            raise SettingError(f"{store} is damaged: {found[0] if found else 'no answer'}")
