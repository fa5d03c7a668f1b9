"""The UDP sockets of a client that may change its network: bound to no address, connected to none."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

from tsudoi.errors import ServerUnreachable
from tsudoi.net.sockets import Address, prepare_udp

LOOK_S = 1.0
"""How often to look whether this machine has another address, or has slept."""
SLEPT_S = 3.0
"""Seconds that the wall clock gains on the steady one while a machine sleeps."""


class RoamingSockets(asyncio.DatagramProtocol):
    """One socket for each family of addresses."""

    def __init__(
        self,
        addresses: list[Address],
        received: Callable[[bytes, int], None],
        moved: Callable[[bool], None],
        woken: Callable[[], None],
    ) -> None:
        """Args:
        addresses: of the server.
        received: called with a datagram and the index of the address from which it came.
        moved: called when the sockets are other ones: with True, this machine has another address; with False, it
            could not send.
        woken: called when this machine has slept.
        """
        self.addresses = addresses
        self.failures = 0
        """Datagrams that this machine could not send."""
        self._received, self._moved, self._woken = received, moved, woken
        self._index = {(family, address[:2]): at for at, (family, address) in enumerate(addresses)}
        self._transports: dict[int, asyncio.DatagramTransport] = {}
        self._current = 0
        self._has_failed = False
        self._source: str | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the sockets; raise ServerUnreachable if there is no way to any of the addresses."""
        await self._open()
        if not self._transports:
            raise ServerUnreachable("this machine has no network for any address of the server")
        self._source = self._source_now()
        self._watching = asyncio.create_task(self._watch(), name="look for another network")

    def add(self, address: Address) -> int:
        """Add an address of the server; return its index."""
        family, where = address
        if (family, where[:2]) not in self._index:
            self.addresses.append(address)
            self._index[family, where[:2]] = len(self.addresses) - 1
        return self._index[family, where[:2]]

    def send(self, data: bytes, server: int) -> None:
        """Send to an address; what can not be sent is lost, and the sockets are opened anew soon."""
        self._current = server
        family, address = self.addresses[server]
        transport = self._transports.get(family)
        if transport is not None and not transport.is_closing():
            transport.sendto(data, address)
        else:
            self._has_failed = True

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        for transport in self._transports.values():
            transport.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        family = socket.AF_INET6 if len(addr) > 2 else socket.AF_INET
        self._received(data, self._index.get((family, addr[:2]), self._current))

    def error_received(self, exc: Exception) -> None:
        """See asyncio: a datagram could not be sent."""
        self.failures += 1
        self._has_failed = True

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        before, self._transports = self._transports, {}
        try:
            await self._open_all(loop)
        finally:  # also when the client is closed meanwhile
            for transport in before.values():
                transport.close()
        self._has_failed = False

    async def _open_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for family in {family for family, _ in self.addresses}:
            try:
                udp = socket.socket(family, socket.SOCK_DGRAM)
            except OSError:
                continue
            try:
                prepare_udp(udp)
                udp.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))
                self._transports[family], _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
            except OSError:
                udp.close()
            except asyncio.CancelledError:
                udp.close()
                raise

    async def _watch(self) -> None:
        """Look once a second for another network, and for a clock that jumped.

        Asking the system which address it would send from costs 20 µs and sends nothing; it works on every system.
        """
        loop = asyncio.get_running_loop()
        ahead = time.time() - loop.time()
        while True:
            await asyncio.sleep(LOOK_S)
            source = self._source_now()
            has_moved = source is not None and source != self._source
            if has_moved or self._has_failed:
                if source is not None:
                    self._source = source
                await self._open()
                if source is not None:
                    self._moved(has_moved)
            ahead, before = time.time() - loop.time(), ahead
            if ahead - before > SLEPT_S:
                self._woken()

    def _source_now(self) -> str | None:
        """Return the address from which this machine would send to the server now; None: it has no way."""
        family, address = self.addresses[self._current]
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(address)
                return str(probe.getsockname()[0])
        except OSError:
            return None
