"""Attach classic BPF programs, which the Linux kernel runs on each datagram of a socket; bpf_common.h, socket(7)."""

import contextlib
import ctypes
import socket
import struct
from collections.abc import Sequence

LOAD_LENGTH, LOAD_WORD_AT_X, LOAD_BYTE, LOAD_BYTE_AT_X = 0x80, 0x40, 0x30, 0x50
STORE, LOAD_X, COPY_TO_X = 0x02, 0x61, 0x07
ADD, ADD_X, MULTIPLY, MODULO = 0x04, 0x0C, 0x24, 0x94
JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_AT_LEAST_X = 0x15, 0x35, 0x3D
RETURN, RETURN_A = 0x06, 0x16

# Not in Python's socket module: linux/socket.h; the last one since Linux 4.5.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER, _SO_ATTACH_REUSEPORT_CBPF = 26, 27, 51

# struct sock_filter: | code: 2 | steps to jump if true: 1 | if false: 1 | k: 4 |
_FILTER = struct.Struct("=HBBI")


def step(code: int, if_true: int = 0, if_false: int = 0, number: int = 0) -> bytes:
    """Return one step of a program in the kernel's form; it skips up to 255 steps if its condition is true or false."""
    return _FILTER.pack(code, if_true, if_false, number)


DROP = (step(RETURN, number=0),)
"""A filter that lets nothing through, for a socket of a group that has no program yet.

Without the program the kernel chooses a socket by the sender's address. A datagram that waits in one socket could then
be received after a later one in another.
"""


def attach_filter(sock: socket.socket, program: Sequence[bytes]) -> bool:
    """Attach a program that returns how many bytes of each datagram a socket gets (0: it is dropped).

    It replaces the program before; an empty one removes it. Return False if the kernel can not do this.
    """
    if program:
        return _attach(sock, _SO_ATTACH_FILTER, program)
    with contextlib.suppress(OSError):  # there is none
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    return True


def attach_reuseport(sock: socket.socket, program: Sequence[bytes]) -> bool:
    """Attach a program that chooses the socket of a SO_REUSEPORT group for each datagram; see `attach_filter`."""
    return _attach(sock, _SO_ATTACH_REUSEPORT_CBPF, program)


def _attach(sock: socket.socket, option: int, program: Sequence[bytes]) -> bool:
    code = ctypes.create_string_buffer(b"".join(program))
    try:
        # struct sock_fprog, which the kernel copies: | steps: 2 | (padding to a pointer) | address of the first |
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@HP", len(program), ctypes.addressof(code)))
    except OSError:
        return False
    return True
