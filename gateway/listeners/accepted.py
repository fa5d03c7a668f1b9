"""Admit a client's connection by its address, before the TLS handshake if there is one, and bound its waiting."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import cast

from . import sockaddr
from .deadlines import Deadlines


class AcceptedConnection(asyncio.Protocol):
    """A connection of any listener, from accept to close. It has no task and no timer of its own."""

    # Of a WebSocket that rests, a dictionary of attributes would be a tenth (benchmarks/websocket.py).
    __slots__ = ("_abort", "_deadlines", "_transport", "ip", "is_admitted", "peeked", "port")

    def __init__(self) -> None:
        self.ip, self.port = "", 0
        """Of the client."""
        self.peeked = b""
        """How a client that speaks TLS began."""
        self.is_admitted = False
        self._abort: Callable[[], object] = lambda: None
        """Ends the connection at once."""
        self._transport: asyncio.Transport | None = None
        """None before the TLS handshake is done."""
        self._deadlines: Deadlines | None = None

    @abstractmethod
    def _admit(self) -> bool:
        """Count the client at `ip`; return False if the connection must be closed at once."""

    @abstractmethod
    def _begin(self, transport: asyncio.Transport) -> None:
        """Serve the client from now on; over TLS, its handshake is done."""

    def accept(self, transport: asyncio.Transport) -> bool:
        """Admit a client's connection, or return False if it must be closed at once; over TLS, before its handshake."""
        if (peer := transport.get_extra_info("peername")) is not None:
            self.ip, self.port, self._abort = sockaddr.plain_text(str(peer[0])), int(peer[1]), transport.abort
            self.is_admitted = self._admit()
        return self.is_admitted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast and no assertion: uvloop's transports do not inherit from asyncio.Transport.
        self._transport = made = cast(asyncio.Transport, transport)
        if not self.is_admitted and not self.accept(made):
            made.abort()
            return
        self._abort = made.abort
        self._begin(made)

    def _wait(self, deadlines: Deadlines | None) -> None:
        """Begin a deadline in place of the present one; None: there is no deadline."""
        if self._deadlines is not None:
            self._deadlines.end(self)
        if deadlines is not None:
            deadlines.begin(self)
        self._deadlines = deadlines

    @abstractmethod
    def time_is_up(self) -> None:
        """Handle the end of its deadline."""
