"""Ports for programs that are started again: nobody else may get them meanwhile."""

import fcntl
import os
import random
import socket
import tempfile
from collections import deque
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

BELOW_EPHEMERAL = (10_000, 30_000)
"""The kernel gives ports from 32,768 on to whoever asks for any (Linux, `ip_local_port_range`)."""
PARTS = 8
"""Processes that run at the same time have parts of their own, as long as there are no more than these."""
_given: deque[int] = deque(maxlen=500)
"""Given lately, perhaps not bound yet."""


def steady_port(in_a_row: int = 1) -> int:
    """Return the first of so many free ports of loopback, TCP and UDP, that the kernel gives to nobody by itself."""
    low, high = BELOW_EPHEMERAL
    size = (high - low) // PARTS
    low += _part(os.getpid()) * size
    for _ in range(1_000):
        first = random.randrange(low, low + size - in_a_row)
        row = range(first, first + in_a_row)
        if all(port not in _given and _is_free(port) for port in row):
            _given.extend(row)
            return first
    raise AssertionError("no free ports below the ephemeral ones")


@lru_cache
def _part(process: int) -> int:
    """Return the part that is this process's until it ends: it holds the lock of a file."""
    for part in range(PARTS):
        lock = os.open(
            Path(tempfile.gettempdir()) / f"tsudoi-ports.{part}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return part
    return process % PARTS


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
