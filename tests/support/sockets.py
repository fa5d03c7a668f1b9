"""What has come to a datagram socket by now; on one machine it is there when the send returns."""

import contextlib
import socket


def take_all(receiver: socket.socket) -> list[bytes]:
    """Return all datagrams that wait in a socket, and take them out of it."""
    receiver.setblocking(False)
    got = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(receiver.recv(65_536))
    return got
