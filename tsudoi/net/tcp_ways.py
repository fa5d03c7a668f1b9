"""A client's TCP connections that carry its packets; PROTOCOL.md, "Over TCP". `client_path` decides which are used."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from tsudoi.errors import ClientError
from tsudoi.net.sockets import Address, tls_context
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.client_path import server_of
from tsudoi.protocol.sealed.tcp_framing import PacketReader, framed
from tsudoi.server_address import Server

CONNECT_S = 4.0
"""How long a connection may take."""
WAITING = 16
"""Packets that wait for it; the oldest are lost, as the network may lose them too."""
UNSENT = 256 * 1024
"""Bytes that wait for a server that does not read; beyond it, packets are lost."""
KEPT_S = 5.0
"""How long a connection that is not in use is kept: the server may still answer over it."""


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, received: Callable[[bytes], None], lost: Callable[[], None], connect: Callable[["_Connection"], Any]
    ) -> None:
        self.used_at = 0.0
        self._received, self._lost = received, lost
        self._waiting: deque[bytes] = deque(maxlen=WAITING)
        self._reader = PacketReader()
        self._transport: asyncio.Transport | None = None
        self._is_closed = False
        self._connecting = asyncio.create_task(self._connect(connect), name="connect for packets")

    async def _connect(self, connect: Callable[["_Connection"], Any]) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await connect(self)
        except (OSError, ClientError):
            self.connection_lost(None)

    def send(self, packet: bytes) -> None:
        """Send a packet, when the connection is there."""
        if self._transport is None:
            self._waiting.append(packet)
        elif self._transport.get_write_buffer_size() < UNSENT:
            self._transport.write(framed(packet))

    def close(self) -> None:
        """Close it, and tell nothing more. What has not left is lost: a server that does not read holds up no end."""
        self._is_closed = True
        self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by what they do, not by their class.
        self._transport = stream = cast(asyncio.Transport, transport)
        if self._is_closed:
            stream.abort()
        stream.write(b"".join(map(framed, self._waiting)))
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while not self._is_closed and (packet := self._reader.next_untrusted()) is not None:
                self._received(packet)
        except MalformedMessage:
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._lost()


class TcpWays:
    """One connection for each way that is tried or used."""

    def __init__(
        self,
        addresses: list[Address],
        server: Server,
        received: Callable[[bytes, int], None],
        lost: Callable[[int], None],
    ) -> None:
        """Open nothing yet.

        Args:
            addresses: the UDP addresses of `server`.
            received: called with a packet and the way by which it came.
            lost: called with the way whose connection has ended, or could not be made.
        """
        self._places = [(address, server) for address in addresses]
        """By index: the address of a server's UDP port, and the server."""
        self._received, self._lost = received, lost
        self._connections: dict[int, _Connection] = {}

    def put(self, index: int, address: Address, server: Server) -> None:
        """Set the address with an index, a known one or the next."""
        self._places[index : index + 1] = [(address, server)]

    def send(self, packet: bytes, way: int, *, is_fresh: bool) -> None:
        """Send a packet over the connection of a way; over a new one if there is none, or it `is_fresh`."""
        connection = self._connections.get(way)
        if is_fresh and connection is not None:
            connection.close()
            connection = None
        if connection is None:
            connect = partial(_connect, *self._places[server_of(way)])
            connection = self._connections[way] = _Connection(
                partial(self._take, way), partial(self._lose, way), connect
            )
        connection.used_at = asyncio.get_running_loop().time()
        connection.send(packet)

    def close_unused(self, used: int) -> None:
        """Close the connections that have not been used lately, but that of the way in use."""
        if not self._connections:
            return
        before = asyncio.get_running_loop().time() - KEPT_S
        for way, connection in list(self._connections.items()):
            if way != used and connection.used_at < before:
                connection.close()
                del self._connections[way]

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _take(self, way: int, packet: bytes) -> None:
        self._received(packet, way)

    def _lose(self, way: int) -> None:
        self._connections.pop(way, None)
        self._lost(way)


async def _connect(udp: Address, server: Server, connection: _Connection) -> None:
    family, address = udp
    context: ssl.SSLContext | None = tls_context(server.tls_ca) if server.tls else None
    await asyncio.get_running_loop().create_connection(
        lambda: connection,
        address[0],
        server.tcp,
        family=family,
        ssl=context,
        server_hostname=server.host if context else None,
    )
