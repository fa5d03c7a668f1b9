"""Tell a file from its copies: by its inode and the time when that was made, which no program can set.

`cp -a`, `tar` and `rsync` make a new inode. So does a copy to another file system. A file that is renamed keeps both.
So does one that is written over (`cp` on to it): for that there is the mark in its lock (`sqlite_file.py`).
"""

import ctypes
import os
import struct

_BIRTH_TIME = 0x800
"""STATX_BTIME; statx(2)."""
_FIELDS = struct.Struct("=I28xQ40xqI")
"""Of `struct statx`: stx_mask, stx_ino at 32, and stx_btime (seconds, nanoseconds) at 80."""
_EMPTY_PATH = 0x1000
"""AT_EMPTY_PATH: the file that the descriptor refers to."""


def identity(descriptor: int) -> str:
    """Return what no copy of an open file has in common with it.

    That is the inode and its birth time; only the inode where the system or the file system knows no birth time.
    """
    buffer = ctypes.create_string_buffer(256)
    try:
        failed = ctypes.CDLL(None).statx(descriptor, b"", _EMPTY_PATH, _BIRTH_TIME, buffer)
    except AttributeError:  # a C library without it
        failed = True
    mask, inode, seconds, nanoseconds = _FIELDS.unpack_from(buffer)
    if failed or not mask & _BIRTH_TIME:
        return str(os.fstat(descriptor).st_ino)
    return f"{inode} {seconds}.{nanoseconds:09}"
