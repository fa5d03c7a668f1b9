"""A relay for datagrams in a process of its own, between clients and a gateway: it loses, doubles and reorders."""

import asyncio
import multiprocessing
import socket
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
    def __init__(self, target: Address, loss: float, doubling: float, jitter_s: float, seed: int) -> None:
        self._target = target
        self._loss, self._doubling, self._jitter_s = loss, doubling, jitter_s
        self._dice = Random(seed)
        self._sides: dict[Address, _Side] = {}
        self.front = _Side(self, None)

    async def run(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await self._loop.create_datagram_endpoint(lambda: self.front, sock=listening)
        await asyncio.Event().wait()

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
                self._loop.call_later(self._dice.random() ** 3 * self._jitter_s, send)


def _run(listening: socket.socket, *arguments: Any) -> None:
    asyncio.run(_Relay(*arguments).run(listening))


class LossyRelay:
    """The relay; clients send to its `port` in place of the gateway's."""

    def __init__(
        self, target: Address, loss: float, *, doubling: float = 0.0, jitter_s: float = 0.02, seed: int = 1
    ) -> None:
        """Args:
        target: the gateway's UDP address.
        loss, doubling: of datagrams, 0 to 1, in each direction.
        jitter_s: the longest delay, by which datagrams overtake each other.
        """
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listening.bind((target[0], 0))
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])
        arguments = (self._listening, target, loss, doubling, jitter_s, seed)
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._listening.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._process.terminate()
        self._process.join()
