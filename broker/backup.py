"""A copy of a store while its broker runs; docs/operations.md, "Backup and restore"."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from protocol.errors import SettingError

NEW = ".new"
NEW_EPOCHS = "UPDATE rooms SET epoch = max(epoch + 1, CAST(strftime('%s', 'now') AS INTEGER))"
"""Whoever goes on from a copy has lost what came after it. Positions are given again then, so they belong to a new
epoch, one that no other copy has: gateways that were not stopped see it."""


def back_up(store: Path, target: Path) -> None:
    """Copy the SQLite store at `store` to the file `target`, as it is at one moment between two commits.

    The broker goes on meanwhile: it writes to the WAL, and a reader of SQLite's does not hold a writer up
    (sqlite.org/backup.html, sqlite.org/wal.html). The copy is complete when it has its name, mode 0600.

    Raises:
        SettingError: there is no such store, or the copy can not be written, or `target` is there already.
    """
    if not store.is_file():
        raise SettingError(f"there is no store {store}")
    if target.exists():
        raise SettingError(f"{target} is there already")
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
            source.backup(copy)
            # A file of its own, without the -wal and -shm that a running store has beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
            with copy:
                copy.execute(NEW_EPOCHS)
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
