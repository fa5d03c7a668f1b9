"""A copy of a store while its broker runs; docs/operations.md, "Backup and restore"."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from tsudoi.protocol.errors import SettingError

from .sqlite_import import VERSIONS
from .sqlite_schema import MIGRATIONS, NEW_EPOCHS

NEW = ".new"


def back_up(store: Path, target: Path) -> None:
    """Copy the SQLite store at `store` to the file `target`, mode 0600, or raise SettingError.

    The broker continues to run: it writes to the WAL, and a reader of SQLite does not hold up a writer
    (sqlite.org/backup.html, sqlite.org/wal.html). The copy is complete when it has its name.
    """
    try:
        if not store.is_file():
            raise SettingError(f"there is no store {store}")
        if target.exists():
            raise SettingError(f"{target} is there already")
        unfinished = target.with_name(target.name + NEW)
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as exc:
        raise SettingError(f"can not copy {store} to {target}: {exc.strerror}") from exc
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
            raise SettingError(f"{store} has a journal: start this version's broker with it once, which converts it")
        source.backup(copy)
        # One file, without the -wal and -shm of a running store.
        copy.execute("PRAGMA journal_mode=DELETE")
        # The original's broker continues, and its next entries get the same positions as the copy's.
        copy.execute(NEW_EPOCHS)
        if version == len(MIGRATIONS):
            copy.execute("UPDATE run SET opened_in=''")
        found = copy.execute("PRAGMA quick_check").fetchone()
        if found != ("ok",):
            raise SettingError(f"{store} is damaged: {found[0] if found else 'no answer'}")
