"""The store's files: their place, their permissions, and the lock of the broker that has them open."""

import contextlib
import fcntl
import os
from pathlib import Path

from tsudoi.protocol.errors import SettingError

_MAGIC = b"SQLite format 3\0"


class StoreInUse(SettingError):
    """Another broker has the store open; it may be about to end."""


def check_place(path: Path) -> None:
    """Raise SettingError if no store can be at `path`. Creates nothing."""
    try:
        if not path.exists():
            return
        if not path.is_file():
            raise SettingError(f"can not open the store {path}: it is a folder, or no regular file")
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as exc:
        raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
    if head and head != _MAGIC:
        raise SettingError(f"can not open the store {path}: file is not a database")


def lock(path: Path) -> int:
    """Lock the store, and return the lock's file descriptor; raise StoreInUse or SettingError.

    The kernel releases the lock when the process ends.
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
    """Set the mode of the store's files, which may be restored copies, to 0600; create the store's.

    SQLite gives new files the mode of the store's.
    """
    path.touch(mode=0o600)
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)


def boot_id() -> str:
    """Return the id of this run of the operating system; empty if it has none: then no power cut is noticed."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
