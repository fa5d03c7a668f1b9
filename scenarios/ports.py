"""Ports for programs that are started again: nothing else gets them while the program is down."""

import os
import random
import socket
from collections import deque
from contextlib import ExitStack

BELOW_EPHEMERAL = (10_000, 30_000)
"""The kernel itself gives out ports from 32,768 on (Linux, `ip_local_port_range`)."""
PARTS = 64
"""Processes that run at the same time take ports from different parts of that range."""
_given: deque[int] = deque(maxlen=150)
"""Given lately, perhaps not bound yet."""


def steady_port(in_a_row: int = 1) -> int:
    """Return the first of so many free ports of loopback, TCP and UDP, that the kernel does not assign by itself."""
    low, high = BELOW_EPHEMERAL
    size = (high - low) // PARTS
    low += os.getpid() % PARTS * size
    for _ in range(1_000):
        first = random.randrange(low, low + size - in_a_row)
        row = range(first, first + in_a_row)
        if all(port not in _given and _is_free(port) for port in row):
            _given.extend(row)
            return first
    raise OSError("no free ports below the ephemeral ones")


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
