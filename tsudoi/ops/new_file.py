"""Write a file completely or not at all, and never replace one.

A file is filled under a name of its own beside its place, `NAME.….new`, and gets its name when it is on the disk. A
program that is killed meanwhile leaves that one.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def new_file(path: Path, mode: int = 0o600) -> Iterator[Path]:
    """Give the block an empty file to fill, of mode 0600; when it ends without an error, the file gets its name.

    Raises:
        FileExistsError: `path` is there already, or came meanwhile.
        OSError: the file can not be written; its `filename` is `path`.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".new", dir=path.parent)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, str(path)) from exc
    unfinished = Path(name)
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
