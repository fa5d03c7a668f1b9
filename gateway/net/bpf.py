"""Hands the kernel the programs of `gateway/bpf.py`; only Linux has a place for them."""

import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Sequence

# Not in Python's socket module: linux/socket.h; the last since Linux 4.5.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER, _SO_ATTACH_REUSEPORT_CBPF = 26, 27, 51


def attach_filter(sock: socket.socket, program: Sequence[bytes]) -> bool:
    """Let a program say of each datagram that comes to a socket how much of it is kept (0: it is dropped).

    It takes the place of the one before; an empty one of none. Returns False where the kernel knows no such thing.
    """
    if program:
        return _attach(sock, _SO_ATTACH_FILTER, program)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # there is none
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    return sys.platform == "linux"


def attach_chooser(sock: socket.socket, program: Sequence[bytes]) -> bool:
    """Let a program say of each datagram which socket of a SO_REUSEPORT group gets it; see `attach_filter`."""
    return _attach(sock, _SO_ATTACH_REUSEPORT_CBPF, program)


def _attach(sock: socket.socket, option: int, program: Sequence[bytes]) -> bool:
    if sys.platform != "linux":
        return False
    code = ctypes.create_string_buffer(b"".join(program))
    try:
        # struct sock_fprog, which the kernel copies: | steps: 2 | (to a pointer's place) | address of the first |
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@HP", len(program), ctypes.addressof(code)))
    except OSError:
        return False
    return True
