"""The store's files: their place, their permissions, and the locks of the broker that has them open.

A store is one file, however many names it has. SQLite keeps the newest commits beside it in a file NAME-wal, so a
second name (a hard link) would open the store without them, and two brokers could open it at once.
"""

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path

from tsudoi.ops.is_there import is_there
from tsudoi.protocol.errors import SettingError

from .interface import StoreInUse

_MAGIC = b"SQLite format 3\0"


def check_place(path: Path) -> None:
    """Raise SettingError if no store can be at `path`. Creates nothing."""
    try:
        if not is_there(path):
            return
        if not path.is_file():
            raise SettingError(f"can not open the store {path}: it is a folder, or no regular file")
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as exc:
        raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
    if head and head != _MAGIC:
        raise SettingError(f"can not open the store {path}: file is not a database")


def resolve(path: Path) -> Path:
    """Return the store's own path, if `path` is or has a symbolic link; raise SettingError for a circle of links."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as exc:
        raise SettingError(f"can not open the store {path}: {exc}") from exc


def wal_path(store: Path) -> Path:
    """Return where SQLite keeps the newest commits of a store that is open."""
    return store.with_name(store.name + "-wal")


def why(exc: Exception) -> str:
    """Return what is wrong, in SQLite's words, and what to do if the file is damaged."""
    code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):  # the higher bits tell where it was seen
        return f"{exc}: the file is damaged; put a backup in its place (docs/operations.md, Backup and restore)"
    return str(exc)


def check_name(store: Path) -> None:
    """Raise SettingError if a store that was not closed, and has no -wal, may have it under another name."""
    if store.stat().st_nlink > 1:
        raise SettingError(
            f"can not open the store {store}: the file has other names (hard links), and its newest part is in a -wal"
            " file beside one of these: use that name, or remove it"
        )


class Locks:
    """The locks on an open store. The kernel releases them when the process ends.

    One is on the file NAME.lock, which is there before the store is. The other is on the store itself, which may have
    other names. It is a flock: SQLite locks with POSIX locks, which know nothing of it.

    NAME.lock also has the mark of the store's last opening. An older copy that is written over the store's file, which
    stays the same file then, has an earlier one. (A copy of the whole folder that is written over it is not noticed.)
    """

    def __init__(self, path: Path) -> None:
        """Lock the store at a resolved path, and create it, mode 0600, if there is none.

        Raises:
            StoreInUse: another broker has it open.
            SettingError: the files can not be opened.
        """
        self._descriptors: list[int] = []
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock(path.with_name(path.name + ".lock"), path)
            make_private(path)
            self._lock(path, path)
        except FileExistsError as exc:  # of mkdir
            raise SettingError(f"can not open the store {path}: {exc.filename} is no folder") from exc
        except OSError as exc:
            self.close()
            raise SettingError(f"can not open the store {path}: {exc.strerror}") from exc
        except StoreInUse:
            self.close()
            raise

    @property
    def store(self) -> int:
        """Descriptor of the store's file."""
        return self._descriptors[-1]

    @property
    def are_files_there(self) -> bool:
        """Whether the store and its -wal are where they were opened, as far as that can be found out."""
        try:
            wal_path(self._path).stat()
            return os.path.samestat(self._path.stat(), os.fstat(self.store))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    @property
    def marks(self) -> list[str]:
        """The mark of the last opening, and of one that was interrupted; empty: not known."""
        return os.pread(self._descriptors[0], 1_024, 0).decode(errors="replace").split()

    def mark(self, *marks: str) -> None:
        """Write, synced, which mark the store has; two while the store's is being replaced."""
        os.ftruncate(self._descriptors[0], 0)
        os.pwrite(self._descriptors[0], " ".join(marks).encode(), 0)
        os.fsync(self._descriptors[0])

    def _lock(self, file: Path, path: Path) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise StoreInUse(f"another broker has the store {path} open: is the service running?") from exc

    def close(self) -> None:
        """Release the locks. SQLite must have closed the store: its own locks end when any descriptor is closed."""
        for descriptor in reversed(self._descriptors):
            os.close(descriptor)
        self._descriptors.clear()


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
