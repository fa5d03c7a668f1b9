"""Which of several workers a member's datagrams come to: its token says so, and the kernel reads it; `net/workers.py`.

The kernel gives each datagram at a port that several sockets share to one of them, by sender if nobody says otherwise.
So the members of a room would be spread over all workers, and each message handled by each. A small program that the
kernel runs (classic BPF, socket(7), SO_ATTACH_REUSEPORT_CBPF) goes by the first two characters of the token instead,
and tokens are made so that they lead to the room's worker. Whatever comes elsewhere is served there, as at any gateway.

What it costs: the logarithm of the number of workers, in bits of a token's 128.
"""

import secrets
import zlib
from collections import defaultdict
from itertools import product

from gateway import bpf
from gateway.bpf import step

CROWD = 50
"""Members of a room beyond whom others may come to any worker: to tell so many is work enough for several cores."""
CROWDED_ROOMS = 1_000
_DIGITS = "0123456789abcdef"
_FACTOR = 10
"""With it every one of up to 64 workers has beginnings enough of its own."""

_NO_SOCKET = 0xFFFF
"""The kernel goes by the sender then."""


def worker_of(token: bytes, workers: int) -> int:
    """Return the number of the worker, from 0, that datagrams with a token come to."""
    return (token[0] * _FACTOR + token[1]) % workers


def program(workers: int) -> list[bytes]:
    """Return the kernel's program for so many sockets: it reads a datagram and returns `worker_of` its token.

    | room size: 1 | token size: 1 | room | token | text |      PROTOCOL.md, "Datagrams"
    """
    return [
        step(bpf.LOAD_LENGTH),
        step(bpf.JUMP_IF_AT_LEAST, 0, 16, 4),
        step(bpf.LOAD_BYTE, number=0),
        step(bpf.ADD, number=4),
        step(bpf.STORE, number=0),
        step(bpf.LOAD_LENGTH),
        step(bpf.LOAD_X, number=0),
        step(bpf.JUMP_IF_AT_LEAST_X, 0, 10),
        step(bpf.LOAD_BYTE, number=0),
        step(bpf.COPY_TO_X),
        step(bpf.LOAD_BYTE_AT_X, number=2),
        step(bpf.MULTIPLY, number=_FACTOR),
        step(bpf.STORE, number=1),
        step(bpf.LOAD_BYTE_AT_X, number=3),
        step(bpf.LOAD_X, number=1),
        step(bpf.ADD_X),
        step(bpf.MODULO, number=workers),
        step(bpf.RETURN_A),
        step(bpf.RETURN, number=_NO_SOCKET),
    ]


class Steering:
    """Makes tokens that lead to the worker of their room."""

    def __init__(self, workers: int) -> None:
        """Steer to so many; with one there is nothing to steer."""
        self._workers = workers
        self._beginnings: defaultdict[int, list[str]] = defaultdict(list)
        for first, second in product(_DIGITS, _DIGITS) if workers > 1 else ():
            self._beginnings[worker_of((first + second).encode(), workers)].append(first + second)
        self._crowded: dict[str, None] = {}

    def new_token(self, room: str) -> str:
        """Return a fresh token for somebody who wants to enter a room; see `protocol.names.Token`."""
        token = secrets.token_hex(16)
        if room in self._crowded:
            return token
        beginnings = self._beginnings.get(zlib.crc32(room.encode(errors="replace")) % self._workers)
        return secrets.choice(beginnings) + token[2:] if beginnings else token

    def entered(self, room: str, size: int) -> None:
        """Somebody has entered a room that has so many members now."""
        if size > CROWD and self._workers > 1:
            self._crowded[room] = None
            if len(self._crowded) > CROWDED_ROOMS:
                del self._crowded[next(iter(self._crowded))]
