"""Make the tokens that members' datagrams carry.

With several workers, a token's first two characters also tell the kernel which worker gets its datagrams: the one of
its room (`listeners/reuseport_routing.py`). That takes log2(workers) of a token's 128 random bits.
"""

import secrets
import zlib

from tsudoi.ops.bounded import put_newest

LARGE_ROOM = 50
"""A room with more members is spread over all workers, since its fan-out is work for several cores."""
LARGE_ROOMS = 1_000
"""Large rooms that are remembered; beyond that the oldest counts as small again."""
WORKER_FACTOR = 10
"""Spreads the pairs of characters evenly over up to 64 workers."""


def worker_of(token: bytes, workers: int) -> int:
    """Return the number, from 0, of the worker that gets datagrams with a token."""
    return (token[0] * WORKER_FACTOR + token[1]) % workers


class SessionTokens:
    """Makes tokens whose first two characters lead to the worker of their room."""

    def __init__(self, workers: int) -> None:
        """Make tokens for this number of workers; with one, all go to it."""
        self._workers = workers
        self._large: dict[str, None] = {}

    def new(self, room: str) -> str:
        """Return a fresh token for a client that asks to enter a room (`tsudoi.protocol.names.looks_like_token`)."""
        worker = None if room in self._large else self._worker_of_room(room)
        while True:  # about as many times as there are workers
            token = secrets.token_hex(16)
            if worker is None or worker_of(token.encode(), self._workers) == worker:
                return token

    def routing(self, room: str) -> int:
        """Return a byte for a session of version 2 that leads to the worker of a room."""
        byte = secrets.randbelow(256)
        if self._workers == 1 or room in self._large:
            return byte
        worker = self._worker_of_room(room)
        fitting = byte - byte % self._workers + worker
        return fitting if fitting < 256 else worker

    def _worker_of_room(self, room: str) -> int:
        return zlib.crc32(room.encode(errors="replace")) % self._workers

    def note_size(self, room: str, size: int) -> None:
        """Note how many members a room has now."""
        if size > LARGE_ROOM and self._workers > 1:
            put_newest(self._large, room, None, LARGE_ROOMS)
