"""A relay for datagrams between clients and the UDP socket of a gateway, which loses, doubles and delays them."""

import asyncio
import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.support.legacy.wire import Address

READ_SIZE = 65_536
RECEIVE_BUFFER = 4 * 2**20
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")

OnDatagram = Callable[[float, bytes, Address], None]
OnUp = Callable[[float, bytes, Address, int], None]
OnDown = Callable[[float, bytes, Address, Address, Address], None]


def new_udp_socket(host: str = "127.0.0.1") -> socket.socket:
    """Return a socket at an address of this machine on which the kernel notes the time of each datagram."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def drain(sock: socket.socket, take: OnDatagram) -> None:
    """Pass each datagram that has come to `take`, with the kernel's time of arrival."""
    while True:
        try:
            raw, notes, _, source = sock.recvmsg(READ_SIZE, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return
        at = time.time()
        for level, kind, data in notes:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                at = seconds + nanoseconds / 1e9
        take(at, raw, source)


@dataclass(frozen=True, slots=True)
class UdpFaults:
    """What the relay does to each datagram, as probabilities."""

    drop: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.0
    """Up to so long."""
    latency_s: float = 0.0
    """All take so long at least."""


class UdpRelay:
    """Stands between clients and the UDP socket of one gateway, in this process."""

    def __init__(
        self,
        listener: Address,
        faults: UdpFaults,
        seed: str,
        on_up: OnUp = lambda *_: None,
        on_down: OnDown = lambda *_: None,
    ) -> None:
        """Relay to `listener`, with faults both ways.

        Args:
            on_up: called for each datagram that is sent on to the gateway, with the client's address and the port of
                the relay's socket for that client.
            on_down: called for each datagram from a gateway, before any fault, with the addresses of the client, of
                the gateway (it may be another one than `listener`) and of the relay's socket for that client.
        """
        self.faulty = True
        self.dropped = 0
        self._listener = listener
        self._faults = faults
        self._dice = random.Random(seed)
        self._on_up = on_up
        self._on_down = on_down
        self._loop = asyncio.get_running_loop()
        self._sock = new_udp_socket()
        self.address: Address = self._sock.getsockname()
        self.addresses: list[Address] = []
        """Its own, towards the gateway; one for each client's."""
        self._sessions: dict[Address, socket.socket] = {}
        self._loop.add_reader(self._sock, self._upward)

    def close(self) -> None:
        for sock in (self._sock, *self._sessions.values()):
            self._loop.remove_reader(sock)
            sock.close()

    def _upward(self) -> None:
        drain(self._sock, lambda _, raw, source: self._with_faults(lambda: self._send_up(raw, source)))

    def _send_up(self, raw: bytes, source: Address) -> None:
        session = self._sessions.get(source)
        if session is None:
            session = self._sessions[source] = new_udp_socket()
            self.addresses.append(session.getsockname())
            self._loop.add_reader(session, self._downward, session, source)
        self._on_up(time.time(), raw, source, session.getsockname()[1])
        with contextlib.suppress(OSError):
            session.sendto(raw, self._listener)

    def _downward(self, session: socket.socket, client: Address) -> None:
        def take(at: float, raw: bytes, source: Address) -> None:
            self._on_down(at, raw, client, source, session.getsockname())
            self._with_faults(lambda: self._send_down(raw, client))

        drain(session, take)

    def _send_down(self, raw: bytes, client: Address) -> None:
        with contextlib.suppress(OSError):
            self._sock.sendto(raw, client)

    def _with_faults(self, send: Callable[[], None]) -> None:
        """Drop, double or delay a datagram; others overtake a delayed one."""
        dice, faults = self._dice, self._faults
        if not self.faulty:
            send()
            return
        if dice.random() < faults.drop:
            self.dropped += 1
            return
        for _ in range(2 if dice.random() < faults.double else 1):
            late_s = faults.latency_s
            if dice.random() < faults.delay:
                late_s += dice.uniform(0.0, faults.delay_s)
            if late_s:
                self._loop.call_later(late_s, self._if_open, send)
            else:
                send()

    def _if_open(self, send: Callable[[], None]) -> None:
        if self._sock.fileno() >= 0:
            send()


@contextlib.contextmanager
def relay_process(listener: Address, faults: UdpFaults, seed: int = 1) -> Iterator[int]:
    """Run a relay in a process of its own; yield the port to which clients send in place of the gateway's."""
    # A program, not a fork, which would keep all that the tests' process has open.
    command = [sys.executable, "-m", "tests.support.udp_relay", json.dumps([listener, astuple(faults), seed])]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


async def _run(listener: Address, faults: UdpFaults, seed: int) -> None:
    relay = UdpRelay(listener, faults, str(seed))
    print(relay.address[1], flush=True)
    # Until the program that has started it closes the pipe, or ends.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    target, values, seed = json.loads(sys.argv[1])
    asyncio.run(_run(tuple(target), UdpFaults(*values), seed))
