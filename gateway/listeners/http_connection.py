"""What the listeners that speak HTTP share (webhooks, and the page with its WebSockets): a connection's life."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Generic, TypeVar, cast

from ..counters import Counters
from .accepted import AcceptedConnection
from .deadlines import Deadlines
from .options import HttpListener
from .stream_server import StreamServer, bind_tcp
from .tls import Certificate

EVICT_AFTER_S = 1.0
"""How long a connection must have waited for its client to be closed for another one."""
REQUEST_S = 10.0
"""How long a client may take to send a request, and to take an answer; also how long it may stay without a request."""
UNTAKEN = 4_096
"""Bytes of answers that the system does not take, beyond which a client's requests are not read: a few answers."""
LINGER_S = 3.0
"""How long a connection that is over is read on, so that its client gets the answer: the system resets a connection
that is closed with unread bytes (RFC 9112, section 9.6)."""


class State(Enum):
    """The state of a connection. States follow in this order."""

    NEW = auto()
    OPEN = auto()
    LINGERING = auto()
    """Everything is said; what the client still sends is dropped."""
    CLOSED = auto()


class HttpConnection(AcceptedConnection):
    """A client's connection from accept to close."""

    __slots__ = ("_has_ended", "_is_writable", "_server", "_state")

    def __init__(self, server: "HttpServer[Any]") -> None:
        super().__init__()
        self._server = server
        self._state = State.NEW
        self._has_ended = False
        """The client sends no more."""
        self._is_writable = True

    # --- what kinds of connections add --------------------------------------------------------------------------------

    @abstractmethod
    def _enter(self) -> bool:
        """Begin to serve the client at `ip`, or return False if the connection must be closed at once."""

    @abstractmethod
    def _receive(self, data: bytes) -> None:
        """Handle received bytes, while the connection is open; none: the client sends no more."""

    @abstractmethod
    def _left(self) -> None:
        """Handle that the connection is closed."""

    @abstractmethod
    def stop(self) -> None:
        """End the connection, since the gateway stops."""

    # --- callbacks (asyncio.Protocol) ---------------------------------------------------------------------------------

    def _admit(self) -> bool:
        if not self._enter():
            return False
        self._state = State.OPEN
        self._wait(self._server.waiting)
        return True

    def _begin(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=UNTAKEN, low=0)

    def data_received(self, data: bytes) -> None:
        if self._state is State.OPEN:
            self._receive(data)

    def eof_received(self) -> bool:
        """Answer what has come before the client's end of file; return whether the connection stays open for that."""
        self._has_ended = True
        if self._state is State.OPEN:
            self._receive(b"")
        return self._state is State.OPEN

    def pause_writing(self) -> None:
        """Read no further request before the client has taken its answer."""
        self._is_writable = False
        self._read_or_not()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._read_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        was_open, self._state = self._state not in (State.NEW, State.CLOSED), State.CLOSED
        if was_open:
            self._left()
            self._server.leave(self)

    def time_is_up(self) -> None:
        """Handle a deadline."""
        self._deadlines = None
        self._abort()

    def give_up(self) -> None:
        """End the connection at once."""
        self._wait(None)
        self._abort()

    # --- pieces -------------------------------------------------------------------------------------------------------

    @property
    def _is_busy(self) -> bool:
        """Whether nothing needs to be read now."""
        return False

    def _read_or_not(self) -> None:
        if self._state is State.CLOSED or self._transport is None or self._transport.is_closing():
            return
        if self._state is State.OPEN and (self._is_busy or not self._is_writable):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _finish(self) -> None:
        """Close the connection once everything is written."""
        self._state = State.LINGERING
        if self._transport is None:
            self._abort()
            return
        if self._has_ended:
            self._transport.close()
        else:
            self._transport.write_eof()
        self._wait(self._server.lingering)


_Connection = TypeVar("_Connection", bound=HttpConnection)


class HttpServer(StreamServer[_Connection], Generic[_Connection]):
    """Opens the listeners of one kind, and bounds the number of their connections."""

    def __init__(
        self,
        counters: Counters,
        settle: Callable[[], None],
        certificate: Certificate | None,
        connect: Callable[[], _Connection],
    ) -> None:
        """Open nothing yet. `connect` makes a connection."""
        super().__init__(counters, settle, certificate)
        self._connect = connect
        self.waiting = Deadlines(REQUEST_S)
        """Of connections whose client sends a request, or takes an answer."""
        self.lingering = Deadlines(LINGER_S)

    async def open(self, listener: HttpListener, inherited: int | None = None) -> HttpListener:
        """Bind a listener, or use the descriptor of a socket that is bound to it; return it with its real port.

        Raises:
            SettingError: the address can not be bound.
        """
        sock = bind_tcp(listener, inherited)
        bound = replace(listener, port=sock.getsockname()[1])
        await self._accept(sock, self._connect, tls=bound.tls)
        return bound

    async def close(self, grace_s: float) -> None:
        """Stop accepting, tell all connections to stop, and end those that remain."""
        await self._stop_accepting()
        for connection in list(self._open):
            connection.stop()
        await self._end_all(grace_s, HttpConnection.give_up)
        self.waiting.close()
        self.lingering.close()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client; return False if none has waited long."""
        slow = self.lingering.longest(0.0) or self.waiting.longest(EVICT_AFTER_S)
        if slow is None:
            return False
        cast(HttpConnection, slow).give_up()
        return True
