"""Ports for programs that are started again: nobody else may get them meanwhile."""

import random
import socket
from contextlib import ExitStack

BELOW_EPHEMERAL = (10_000, 30_000)
"""The kernel gives ports from 32,768 on to whoever asks for any (Linux, `ip_local_port_range`)."""


def steady_port(in_a_row: int = 1) -> int:
    """Return the first of so many free ports of loopback, TCP and UDP, that the kernel gives to nobody by itself."""
    for _ in range(200):
        first = random.randrange(*BELOW_EPHEMERAL)
        if all(_is_free(port) for port in range(first, first + in_a_row)):
            return first
    raise AssertionError("no free ports below the ephemeral ones")


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
