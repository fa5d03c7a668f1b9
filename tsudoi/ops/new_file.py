"""Write a file completely or not at all, and never replace one.

A file is filled under a name of its own beside its place, and gets its name when it is on the disk. What a killed
program left under such a name is removed by the next one.
"""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".new"


@contextlib.contextmanager
def new_file(path: Path, mode: int = 0o600) -> Iterator[Path]:
    """Give the block an empty file to fill, of mode 0600; when it ends without an error, the file gets its name.

    Raises:
        FileExistsError: `path` is there already, or came meanwhile.
        OSError: the file can not be written; its `filename` is `path`.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    _remove_left(path)
    try:
        descriptor, unfinished = _begin(path)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, str(path)) from exc
    try:
        try:
            yield unfinished
            with contextlib.suppress(OSError):  # FAT has no modes
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            _give_name(unfinished, path)
        except OSError as exc:
            if exc.filename not in (None, str(unfinished)):  # None: the disk is full
                raise
            raise OSError(exc.errno, exc.strerror, str(path)) from exc
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _begin(path: Path) -> tuple[int, Path]:
    """Make an unfinished file and lock it; before it is locked, another program may take it for one that was left."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=SUFFIX, dir=path.parent)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)  # the other program removes it
            continue
        except OSError:
            return descriptor, Path(name)  # some network file systems have no locks: then nothing is removed
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)


def _give_name(unfinished: Path, path: Path) -> None:
    """Give a file its name, without replacing one that came meanwhile."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        # FAT, exFAT, SMB and many FUSE mounts have no hard links. So the name is taken first, by an empty file, which
        # is replaced at once.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            unfinished.replace(path)
        except OSError:
            path.unlink()
            raise
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_left(path: Path) -> None:
    """Remove the unfinished files of programs that were killed: those that are not locked."""
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(f"{path.name}.") and name.endswith(SUFFIX):
                _remove_if_left(path.with_name(name))


def _remove_if_left(unfinished: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(unfinished, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for each in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):  # the second is SQLite's
                each.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
