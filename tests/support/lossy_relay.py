"""A relay for datagrams in a process of its own, between clients and a gateway: it loses, doubles and reorders."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

Address = tuple[str, int]


class _Side(asyncio.DatagramProtocol):
    """The relay's socket towards the gateway, one for each client; None: the one towards all clients."""

    def __init__(self, relay: "_Relay", client: Address | None) -> None:
        self._relay, self._client = relay, client
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._client is None:
            self._relay.from_client(data, addr)
        else:
            self._relay.carry(lambda: self._relay.front.transport.sendto(data, self._client))


class _Relay:
    def __init__(
        self, target: Address, loss: float, doubling: float, jitter_s: float, seed: int, delay_s: float
    ) -> None:
        self._target = target
        self._loss, self._doubling, self._jitter_s, self._delay_s = loss, doubling, jitter_s, delay_s
        self._dice = Random(seed)
        self._sides: dict[Address, _Side] = {}
        self.front = _Side(self, None)

    async def run(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await self._loop.create_datagram_endpoint(lambda: self.front, sock=listening)
        # Until the program that has started it closes the pipe, or ends.
        await self._loop.run_in_executor(None, sys.stdin.read)

    def from_client(self, data: bytes, client: Address) -> None:
        side = self._sides.get(client)
        if side is None:
            side = self._sides[client] = _Side(self, client)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind((self._target[0], 0))
            opening = self._loop.create_datagram_endpoint(lambda: side, sock=udp)
            task = self._loop.create_task(opening)
            task.add_done_callback(lambda _: self._up(side, data))
        elif hasattr(side, "transport"):
            self._up(side, data)

    def _up(self, side: _Side, data: bytes) -> None:
        self.carry(lambda: side.transport.sendto(data, self._target))

    def carry(self, send: Any) -> None:
        """Send something now or later, once, twice or never."""
        if self._dice.random() >= self._loss:
            for _ in range(1 + (self._dice.random() < self._doubling)):
                self._loop.call_later(self._delay_s + self._dice.random() ** 3 * self._jitter_s, send)


class LossyRelay:
    """The relay; clients send to its `port` in place of the gateway's."""

    def __init__(
        self,
        target: Address,
        loss: float,
        *,
        doubling: float = 0.0,
        jitter_s: float = 0.02,
        seed: int = 1,
        delay_s: float = 0.0,
    ) -> None:
        """Args:
        target: the gateway's UDP address.
        loss, doubling: of datagrams, 0 to 1, in each direction.
        jitter_s: the longest additional delay, by which datagrams overtake each other.
        delay_s: what each is delayed by at least.
        """
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listening.bind((target[0], 0))
        self.port = int(self._listening.getsockname()[1])
        self._arguments = json.dumps([target, loss, doubling, jitter_s, seed, delay_s])

    def __enter__(self) -> Self:
        # A program, not a fork, which would keep all that the tests' process has open.
        listening = self._listening.fileno()
        command = [sys.executable, "-m", "tests.support.lossy_relay", str(listening), self._arguments]
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, pass_fds=[listening])
        self._listening.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._process.communicate()


if __name__ == "__main__":
    target, *others = json.loads(sys.argv[2])
    front = socket.socket(fileno=int(sys.argv[1]))
    front.setblocking(False)
    asyncio.run(_Relay(tuple(target), *others).run(front))
