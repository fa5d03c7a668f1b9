"""The store's files on the disk: where they may be, who may read them, and which broker has them open."""

import contextlib
import fcntl
import os
from pathlib import Path

from tsudoi.protocol.errors import SettingError

SUFFIXES = ("-wal", "-shm")
"""SQLite's own files beside the store."""
_MAGIC = b"SQLite format 3\0"


class StoreInUse(SettingError):
    """Another broker has the store open; it may be about to end."""


def check_place(path: Path) -> None:
    """Raise SettingError if no store can be at `path`. Creates nothing."""
    try:
        if path.is_dir():
            raise SettingError(f"can not open the store {path}: it is a folder")
        if not path.exists():
            return
        if not path.is_file():
            raise SettingError(f"can not open the store {path}: it is not a file")
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as exc:
        raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
    if head and head != _MAGIC:
        raise SettingError(f"can not open the store {path}: file is not a database")


def lock(path: Path) -> int:
    """Lock the store, and return the lock's file descriptor. The kernel releases the lock when the process ends.

    Raises:
        SettingError: the lock can not be made.
        StoreInUse: another broker has it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(found)
        raise StoreInUse(f"another broker has the store {path} open") from exc
    return found


def make_private(path: Path) -> None:
    """Create the store's file with mode 0600, or take other users' rights away from the files that are there.

    They may be there from a restored copy. SQLite gives new files the rights of the store's.
    """
    path.touch(mode=0o600)
    for file in (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def boot_id() -> str:
    """Return the id of this run of the operating system; empty where it has none: then a power cut is not noticed."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
