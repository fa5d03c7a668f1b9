"""What the servers of TCP listeners share: they listen, know their open connections, and end."""

import asyncio
import os
import socket
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.log_throttle import LogThrottle
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.errors import SettingError

from ..counters import Counters
from .accepted import AcceptedConnection
from .handshake_turns import HandshakeTurns
from .tls import Certificate
from .tls_transport import TlsTransport

BACKLOG = 1_024
REFUSED_AGAIN_S = 60.0
"""Least time between two lines about connections refused or ended at a limit: whoever reaches it would fill the log."""

logger = logs.get("gateway.connections")

_Served = TypeVar("_Served", bound=AcceptedConnection)


class StreamServer(Generic[_Served]):
    """The listeners of one kind, with and without TLS, and their connections."""

    def __init__(self, counters: Counters, settle: Callable[[], None], certificate: Certificate | None) -> None:
        """Open nothing yet. `settle` sends the broker pending frames; TLS listeners need a `certificate`."""
        self.loop = asyncio.get_running_loop()
        self._counters = counters
        self._settle = settle
        self._settling: asyncio.Handle | None = None
        self._certificate = certificate
        self._servers: list[asyncio.Server] = []
        self._turns = HandshakeTurns(self.loop.call_soon)
        self._open: set[_Served] = set()
        self._by_address: dict[str, set[_Served]] = {}
        """Rate-limit key → those of its addresses."""
        self._refused_log = LogThrottle[None](1, REFUSED_AGAIN_S)
        self._all_closed = asyncio.Event()

    @property
    def connections(self) -> int:
        """Return how many are open, TLS handshakes in progress among them."""
        return len(self._open)

    def _count(self, connection: _Served) -> set[_Served]:
        """Count a new connection; return all of its address."""
        self._open.add(connection)
        of_address = self._by_address.setdefault(rate_key(connection.ip), set())
        of_address.add(connection)
        return of_address

    def leave(self, connection: _Served) -> None:
        """Count the end of a connection."""
        self._open.discard(connection)
        if (of_address := self._by_address.get(key := rate_key(connection.ip))) is not None:
            of_address.discard(connection)
            if not of_address:
                del self._by_address[key]
        if not self._open:
            self._all_closed.set()

    def log_refused(self, limit: str, ip: str) -> None:
        """Log that a new client is turned away because of a limit, once in a while."""
        if self._refused_log.touch(None, monotonic(), 1.0, 1.0):
            logger.warning(
                "no connection is left: a new client is turned away", limit=limit, ip=ip, open=len(self._open)
            )

    def settle_soon(self) -> None:
        """Call `settle` once for all that happens in this turn of the event loop."""
        if self._settling is None:
            self._settling = self.loop.call_soon(self._settle_now)

    def _settle_now(self) -> None:
        self._settling = None
        self._settle()

    def over_tls(self, connection: AcceptedConnection, certificate: Certificate) -> TlsTransport:
        """Return what puts TLS between a connection and its transport."""
        return TlsTransport(connection, lambda: certificate.context, self._turns, self._counters)

    async def _accept(self, sock: socket.socket, connect: Callable[[], _Served], *, tls: bool, copies: int = 1) -> None:
        """Serve each client of a listening socket, and of `copies` of it, by a connection from `connect`."""
        certificate = self._certificate

        def connect_tls() -> TlsTransport:
            assert certificate is not None
            return self.over_tls(connect(), certificate)

        protocol: Callable[[], asyncio.Protocol] = connect_tls if tls else connect
        for each in (sock, *(sock.dup() for _ in range(copies - 1))):
            self._servers.append(await self.loop.create_server(protocol, sock=each, backlog=BACKLOG))

    async def _stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        # A connection that the event loop has accepted in this turn is made in one of the next, three at most: it would
        # be neither awaited nor ended, and ask a broker to which the sockets are closed.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _end_all(self, grace_s: float, give_up: Callable[[_Served], object]) -> None:
        """Wait until all connections have ended, and `give_up` those that have not after `grace_s`."""
        if self._open:
            self._all_closed.clear()
            try:
                async with asyncio.timeout(grace_s):
                    await self._all_closed.wait()
            except TimeoutError:
                for connection in list(self._open):
                    give_up(connection)
                await self._all_closed.wait()


def bind_tcp(listener: HostPort, inherited: int | None = None) -> socket.socket:
    """Return a non-blocking socket that listens at an address, or the one with an `inherited` descriptor.

    Raises:
        SettingError: the address can not be bound.
    """
    if inherited is not None:
        sock = socket.socket(fileno=inherited)
        sock.setblocking(False)
        return sock
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    try:
        place, takes_both = (listener.host, listener.port), listener.takes_both and socket.has_dualstack_ipv6()
        sock = socket.create_server(place, family=family, backlog=BACKLOG, dualstack_ipv6=takes_both)
    except OSError as exc:
        # Python adds the address to the system's words.
        why = os.strerror(exc.errno) if exc.errno else exc
        raise SettingError(f"can not listen on TCP {listener}: {why}") from exc
    sock.setblocking(False)
    return sock
