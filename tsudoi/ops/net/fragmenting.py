"""Let routers fragment IPv4 datagrams."""

import socket
import sys
from contextlib import suppress

# linux/in.h; not in Python's socket module. Other systems send datagrams without the bit that forbids it.
_IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT = 10, 5


def let_routers_fragment(sock: socket.socket) -> None:
    """Let routers fragment what a UDP socket sends by IPv4.

    By Linux's default they may not: a router with a smaller MTU drops the first datagram that does not fit, and where
    its answer is filtered all of them. Repetitions have the same size. A kernel without the option, such as gVisor's in
    some containers, sends as it does by default.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT)
