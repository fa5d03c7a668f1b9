"""The client's TCP connections and UDP sockets."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsudoi.errors import ClientError, NoAnswer, ProtocolViolation, ServerNotTrusted, ServerUnreachable
from tsudoi.ops.net.fragmenting import let_routers_fragment
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.sealed_entry import EnterSealed
from tsudoi.server_address import Server
from tsudoi.session import Conversation
from tsudoi.settings import Settings

HAPPY_EYEBALLS_S = 0.25
"""How long one address of a server may take to answer before the next one is tried too."""
HUNG_UP = (ConnectionResetError, EOFError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The server closed the connection, or a proxy before it."""
Address = tuple[int, tuple[Any, ...]]
"""Family, socket address."""
RECEIVE_BUFFER = 1 << 20
"""Bytes of datagrams that may wait while this process is busy; the kernel may grant less."""


@dataclass(frozen=True, slots=True)
class ServerStream:
    """One TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    first_seen: str = ""
    """The SHA-256 of the server's certificate, if that is trusted because it is the first one seen at this address."""

    async def converse(self, conversation: Conversation | EnterSealed, settings: Settings) -> None:
        """Run a conversation to its end; raise NoAnswer, ProtocolViolation or ServerUnreachable."""
        try:
            async with asyncio.timeout(settings.answer_timeout_s):
                self.writer.write(conversation.start())
                # A server that says something else than its dialect has, and hangs up, may speak another one.
                is_of_this_dialect = isinstance(conversation, EnterSealed)
                has_answered = False
                while not conversation.done:
                    data = await self._read(settings.settle_s if conversation.waits_for_silence else None)
                    if data:
                        has_answered = True
                        self.writer.write(conversation.feed(data))
                    elif self.reader.at_eof() and (is_of_this_dialect or not has_answered):
                        raise ServerUnreachable("the server did not answer: it hung up")
                    else:
                        conversation.settle()
                await self.writer.drain()
        except TimeoutError as exc:
            raise NoAnswer(f"the server did not answer within {settings.answer_timeout_s:g} s") from exc
        except MalformedMessage as exc:
            raise ProtocolViolation(f"the server's answer is not understood: {exc}") from exc
        except OSError as exc:
            raise ServerUnreachable(f"the server hung up: {reason(exc)}") from exc

    async def _read(self, patience_s: float | None) -> bytes:
        """Return received bytes; empty at the connection's end, or when none came in that time."""
        limit = asyncio.timeout(patience_s)
        try:
            async with limit:
                return await self.reader.read(65536)
        except TimeoutError:
            if limit.expired():
                return b""
            raise
        except ConnectionError:
            # The server closed with unread bytes from us; what came before may still be its whole answer.
            if patience_s is not None:
                return b""
            raise

    def udp_beside(self, port: int) -> socket.socket:
        """Return a UDP socket to `port` of the same server, from the same address as this connection: a server may
        accept no other."""
        peer, local = self.writer.get_extra_info("peername"), self.writer.get_extra_info("sockname")
        family = self.writer.get_extra_info("socket").family
        return connected_udp(family, (peer[0], port, *peer[2:]), (local[0], 0, *local[2:]))


@asynccontextmanager
async def connected(server: Server, settings: Settings) -> AsyncIterator[ServerStream]:
    """Connect, and close at the end.

    Raises:
        ServerUnreachable, ServerNotTrusted; ClientError: the file with the authorities can not be used.
    """
    context = tls_context(server.tls_ca) if server.tls else None
    what = "TLS server" if server.tls else "server"
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            stream = ServerStream(*await open_connection(server, context))
    except TimeoutError as exc:
        raise ServerUnreachable(f"no {what} answers at {server} within {settings.connect_timeout_s:g} s") from exc
    except ssl.SSLCertVerificationError as exc:
        raise ServerNotTrusted(f"the certificate of {server} is not accepted: {exc.verify_message}") from exc
    except ssl.SSLError as exc:
        raise ServerUnreachable(f"no TLS server answers at {server}: {reason(exc)}") from exc
    except (OSError, UnicodeError) as exc:
        raise ServerUnreachable(f"no {what} answers at {server}: {reason(exc)}") from exc
    async with closing(stream, settings):
        yield stream


@asynccontextmanager
async def closing(stream: ServerStream, settings: Settings) -> AsyncIterator[ServerStream]:
    """Close a connection at the end."""
    try:
        yield stream
    finally:
        stream.writer.close()
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await stream.writer.wait_closed()
        except OSError:
            stream.writer.transport.abort()


async def open_connection(
    server: Server, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first of the server's addresses that answers: a second one is tried after 0.25 s (RFC 8305).

    uvloop does not know how: there one address is tried after the other has failed. An address that accepts and hangs
    up during the handshake of TLS, as a proxy that reaches no server does, has not answered.
    """
    loop = asyncio.get_running_loop()
    more: dict[str, Any] = {"happy_eyeballs_delay": HAPPY_EYEBALLS_S} if isinstance(loop, asyncio.BaseEventLoop) else {}
    try:
        return await asyncio.open_connection(server.host, server.tcp, ssl=context, **more)
    except HUNG_UP as exc:
        # Which of them it was is not known.
        addresses = await loop.getaddrinfo(server.host, server.tcp, type=socket.SOCK_STREAM)
        for family, _, _, _, address in addresses if len(addresses) > 1 else ():
            try:
                return await _open_address(family, address, server.host, context)
            except HUNG_UP:
                continue
            except ssl.SSLError:
                raise  # a server is there, and the caller decides about its certificate
            except OSError:
                continue
        raise exc


async def _open_address(
    family: int, address: tuple[Any, ...], host: str, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return await asyncio.open_connection(sock=sock, ssl=context, server_hostname=context and host)
    except BaseException:
        sock.close()
        raise


def tls_context(authorities: Path | None) -> ssl.SSLContext:
    """Return a context that demands TLS 1.2, the server's name, and an authority of this file or the system's."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except ssl.SSLError as exc:
        raise ClientError(f"there are no certificates (PEM) in {authorities}") from exc
    except OSError as exc:
        raise ClientError(f"can not read {authorities}: {reason(exc)}") from exc


def connected_udp(family: int, to: tuple[Any, ...], here: tuple[Any, ...] | None = None) -> socket.socket:
    """Return a UDP socket that sends to, and receives from, `to` alone."""
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        prepare_udp(udp)
        if here is not None:
            udp.bind(here)
        udp.connect(to)
    except OSError:
        udp.close()
        raise
    return udp


def prepare_udp(udp: socket.socket) -> None:
    """Set what all UDP sockets of a client have."""
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    let_routers_fragment(udp)


async def addresses_of(server: Server) -> list[Address]:
    """Return the addresses of a server's UDP port, best first; raise ServerUnreachable."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(server.host, server.udp, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as exc:
        raise ServerUnreachable(f"no way to {server}: {reason(exc)}") from exc
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


async def udp_to(server: Server) -> socket.socket:
    """Return a UDP socket to a server that this client has no connection to; raise ServerUnreachable."""
    best, *_ = await addresses_of(server)
    try:
        return connected_udp(*best)
    except OSError as exc:
        raise ServerUnreachable(f"no way to {server}: {reason(exc)}") from exc


class UdpChannel(asyncio.DatagramProtocol):
    """A UDP socket whose `send` waits while the kernel's buffer is full."""

    def __init__(self, received: Callable[[bytes], None], failed: Callable[[OSError], None]) -> None:
        self._received = received
        self._failed = failed
        self._transport: asyncio.DatagramTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open(
        cls, udp: socket.socket, received: Callable[[bytes], None], failed: Callable[[OSError], None]
    ) -> "UdpChannel":
        """Take over `udp`."""
        loop = asyncio.get_running_loop()
        transport, channel = await loop.create_datagram_endpoint(lambda: cls(received, failed), sock=udp)
        channel._transport = transport
        return channel

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._received(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._failed(exc)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def send_now(self, data: bytes) -> None:
        """Send at once, or let the transport keep the datagram."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)

    async def send(self, data: bytes) -> None:
        """Send when the buffer has room."""
        await self._writable.wait()
        self.send_now(data)

    def close(self) -> None:
        """Send the datagrams that wait, and close."""
        if self._transport is not None:
            self._transport.close()
        self._writable.set()


def reason(exc: Exception) -> str:
    """Describe an error in a few words, the system's if there are any."""
    if isinstance(exc, socket.gaierror):
        return "its name is not known"
    if isinstance(exc, ssl.SSLError):
        # Its errno is not one of the system's.
        return (exc.reason or "TLS failed").lower().replace("_", " ")
    if isinstance(exc, OSError) and exc.errno:
        return os.strerror(exc.errno).lower()
    if isinstance(exc, OSError) and "Connect call failed" in str(exc):
        # Several addresses were tried; asyncio puts the texts of all into one.
        return "connection refused"
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__
