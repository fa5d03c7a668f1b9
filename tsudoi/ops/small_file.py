"""Read a file that a setting names, and that is small: settings, keys, certificates, stories."""

import errno
import os
import stat
from pathlib import Path

MAX_SIZE = 1 << 20
"""Bytes. The largest such file that a person writes is a set of keys or a story: some tens of kilobytes."""


def read_small(path: Path, at_most: int = MAX_SIZE) -> bytes:
    """Return the content of a regular file, a pipe (`<(…)` in a shell) or /dev/null; /dev/zero would have no end.

    Raises:
        OSError: it can not be read, is none of these, or has more than `at_most` bytes; `filename` is the path.
    """
    _check(path, os.stat(path))
    with path.open("rb") as file:
        _check(path, os.fstat(file.fileno()))  # it may be another by now
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise OSError(errno.EFBIG, f"it has more than {at_most:,} bytes", str(path))
    return content


def require_small(path: Path) -> None:
    """Raise OSError if a library that reads the file at `path` might not come to its end, as in `read_small`."""
    found = os.stat(path)
    _check(path, found)
    if found.st_size > MAX_SIZE:
        raise OSError(errno.EFBIG, f"it has more than {MAX_SIZE:,} bytes", str(path))


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    is_readable = stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)
    # `--config /dev/null`: no file, whatever the environment names.
    if not is_readable and not os.path.samestat(found, os.stat(os.devnull)):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
