"""Receive pings of version 2 at a socket of their own, so that a gateway wakes up for many of them at once.

10,000 members at rest ping 444 times a second. To wake up for each costs more than to answer it, since the code and
data that it needs have left the processor's caches (benchmarks, "each with a ping in 22.5 s"). So a second socket
shares the listener's address (SO_REUSEPORT), and a program in the kernel gives it the packets that are too short to be
anything but a ping. After this socket was emptied, it is not read before the next whole `REST_S`, when the process
wakes up in any case. Other packets do not wait, and a ping after a longer pause does not either.
"""

import asyncio
import contextlib
import socket
from time import monotonic

from tsudoi.ops.rhythm import until_next
from tsudoi.protocol.sealed.packets import HEADER_SIZE, MARK, SESSION_AT
from tsudoi.protocol.sealed.suites import TAG_SIZE

from ..sealed.keys import PLAIN_NUMBER
from . import bpf
from .sendmmsg import BATCH, DatagramIo, OnBatch

SHORTER = HEADER_SIZE + TAG_SIZE + len('{"leave":true}')
"""Bytes from which on a packet may have another line: `leave`, or the shortest `want`; PROTOCOL.md, "Bodies"."""
REST_S = 0.25
"""What a `pong` may come later, half as much more after a pause: a client waits for twice as long before it repeats its
ping. With 0.1 s, 44 pings at a time, each cost a sixth more."""
BATCHES = 16
"""Taken in one turn of the event loop."""


class PingLane:
    """The socket for pings."""

    def __init__(self, sock: socket.socket, on_batch: OnBatch) -> None:
        """Begin without receiving; see `open_beside`."""
        self.sock = sock
        self._io, self._on_batch = DatagramIo(sock), on_batch
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Receive pings."""
        if self._resting is None:
            self._loop.add_reader(self.sock, self._readable)

    def stop(self) -> None:
        """Leave them in the kernel."""
        self._loop.remove_reader(self.sock)
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def close(self) -> None:
        """Stop, and give the address back."""
        self.stop()
        self.sock.close()

    def _readable(self) -> None:
        self._loop.remove_reader(self.sock)
        self._look()

    def _look(self) -> None:
        # First of all: a bug in handling one ping would end the receiving of all others.
        self._resting = self._loop.call_later(until_next(REST_S, monotonic()), self._look)
        if self._receive() % (BATCHES * BATCH) == 0:
            # None came: the next one need not wait. Or more came than a turn takes: a flood must not cost the others
            # their pings.
            self.stop()
            self.start()

    def _receive(self) -> int:
        """Take what has come, as far as one turn may; return how many these are."""
        return self._io.drain(BATCHES, self._on_batch)


def open_beside(main: socket.socket) -> socket.socket | None:
    """Return a second socket at the address of a bound one, to which the kernel gives pings; None: it can not.

    The first was bound without SO_REUSEPORT, so a second process that wants the address is still refused.
    """
    lane = socket.socket(main.family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        if main.family == socket.AF_INET6:
            only = main.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            lane.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        for sock in (main, lane):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bpf.attach_filter(lane, bpf.DROP)
        lane.bind(main.getsockname())
        if bpf.attach_reuseport(main, program()):
            bpf.attach_filter(lane, ())
            return lane
    except OSError:
        pass
    lane.close()
    with contextlib.suppress(OSError):
        main.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    return None


def program() -> list[bytes]:
    """Return a BPF program that chooses the second socket, 1, for pings, and the first, 0, for all else.

    In the suite `plain` packets have no tag, so other lines are as short; it is for few clients.
    """
    return [
        bpf.step(bpf.LOAD_LENGTH),
        bpf.step(bpf.JUMP_IF_AT_LEAST, 5, 0, SHORTER),
        bpf.step(bpf.LOAD_BYTE, number=0),
        bpf.step(bpf.JUMP_IF_EQUAL, 0, 3, MARK),
        bpf.step(bpf.LOAD_BYTE, number=SESSION_AT),
        bpf.step(bpf.JUMP_IF_EQUAL, 1, 0, PLAIN_NUMBER),
        bpf.step(bpf.RETURN, number=1),
        bpf.step(bpf.RETURN, number=0),
    ]
