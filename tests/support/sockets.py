"""What has come to a datagram socket by now: on one machine it is there when the send returns. And: is IPv6 here?"""

import contextlib
import socket

import pytest


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 here")
"""Containers often have none, not even on their loopback interface."""


def take_all(receiver: socket.socket) -> list[bytes]:
    """Return all datagrams that wait in a socket, and take them out of it."""
    receiver.setblocking(False)
    got = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(receiver.recv(65_536))
    return got
