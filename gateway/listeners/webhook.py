"""Run the HTTP listeners for webhooks: accept, bound and close connections; `webhook/conversation.py` decides."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from time import monotonic, time
from typing import cast

from tsudoi.ops import logs
from tsudoi.ops.log_throttle import LogThrottle
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.protocol.backbone import Answer

from ..config import WebhookListener
from ..link.routes import Routes
from ..webhook.conversation import Ask, Command, Conversation, Finish, Report, Send
from ..webhook.rules import Rules
from . import sockaddr
from .deadlines import Deadlines
from .stream_server import StreamServer, bind_tcp
from .tcp import SPARE_DESCRIPTORS
from .tls import Certificate

CONNECTIONS = 128
"""Connections at once. One more closes the one that has waited longest for its client, or itself. Each may hold a body
and what came behind it, some 300 KiB."""
EVICT_AFTER_S = 1.0
"""How long a connection must have waited for its client to be closed for another one."""
REQUEST_S = 10.0
"""How long a client may take to send a request, and to take an answer; also how long it may stay without a request."""
UNTAKEN = 4_096
"""Bytes of answers that the system does not take, beyond which a client's requests are not read: a few answers."""
LINGER_S = 2.0
"""How long a connection that is over is read on, so that its client gets the answer: the system resets a connection
that is closed with unread bytes (RFC 9112, section 9.6)."""

LOGGED_KINDS, LOGGED_AGAIN_S = 1_000, 10.0
LOGGED, LOGGED_AT_ONCE = 1.0, 20.0
"""Log lines about refused posts: kinds that are remembered, when one of a kind comes again; lines a second in all."""

logger = logs.get("gateway.webhook")


class State(Enum):
    """The state of a connection. States follow in this order, except that READING and ASKING alternate."""

    NEW = auto()
    READING = auto()
    ASKING = auto()
    """The broker is asked; the client is not read."""
    LINGERING = auto()
    """Everything is said; what the client still sends is dropped."""
    CLOSED = auto()


class WebhookConnection(asyncio.Protocol):
    """A client's connection from accept to close."""

    _conversation: Conversation

    def __init__(self, server: "WebhookServer", is_tls: bool) -> None:
        self._server = server
        self._is_tls = is_tls
        self._ip = ""
        self._abort: Callable[[], object] = lambda: None
        self._deadlines: Deadlines | None = None
        self._transport: asyncio.Transport | None = None
        """None before the TLS handshake is done."""
        self.peeked = b""
        """The TLS listener notes here how the client began."""
        self._is_writable = True
        self._has_ended = False
        """The client sends no more."""
        self._state = State.NEW

    def accept(self, ip: str, abort: Callable[[], object]) -> bool:
        """Admit a connection from `ip`, or return False if it must be closed at once.

        A TLS listener calls this before the TLS handshake. `abort` ends the connection during that.
        """
        self._ip = ip = sockaddr.plain_text(ip)
        self._abort = abort
        self._conversation = Conversation(self._server.rules, ip, self._server.routes.is_any_alive)
        if not self._server.enter(self):
            self._state = State.CLOSED
            return False
        self._state = State.READING
        self._wait(self._server.waiting)
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast and no assertion: uvloop's transports do not inherit from asyncio.Transport.
        self._transport = made = cast(asyncio.Transport, transport)
        if self._state is State.NEW:
            peer = made.get_extra_info("peername")
            if peer is None or not self.accept(str(peer[0]), made.abort):
                self._state = State.CLOSED
                made.abort()
                return
        self._abort = made.abort
        made.set_write_buffer_limits(high=UNTAKEN, low=0)

    def data_received(self, data: bytes) -> None:
        if self._state in (State.READING, State.ASKING):
            self._carry_out(self._conversation.receive(data, monotonic(), time()))

    def eof_received(self) -> bool:
        """Answer what has come before the client's end of file; return whether the connection stays open for that."""
        self._has_ended = True
        if self._state in (State.READING, State.ASKING):
            self._carry_out(self._conversation.receive(b"", monotonic(), time()))
        # Over TLS a half-closed connection is closed.
        return not self._is_tls and self._state is State.ASKING

    def pause_writing(self) -> None:
        """Read no further request before the client has taken its answer."""
        self._is_writable = False
        self._read_or_not()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._read_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end; what the broker was asked is said all the same."""
        self._wait(None)
        if self._state is not State.NEW:
            self._conversation.abandon()
        was_open, self._state = self._state not in (State.NEW, State.CLOSED), State.CLOSED
        if was_open:
            self._server.leave(self)

    def time_is_up(self) -> None:
        """Handle a deadline."""
        self._deadlines = None
        if self._state is State.READING and self._is_writable and self._transport is not None:
            self._carry_out(self._conversation.time_is_up(time()))
        else:
            self._abort()

    def stop(self) -> None:
        """End the connection when the request that it is at is answered."""
        if self._state in (State.READING, State.ASKING):
            self._carry_out(self._conversation.stop())

    def give_up(self) -> None:
        """End the connection at once."""
        self._wait(None)
        self._abort()

    # --- commands -------------------------------------------------------------------------------------------------

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(data) if self._transport is not None:
                    self._transport.write(data)
                    self._wait(self._server.waiting)
                case Ask(post):
                    self._state = State.ASKING
                    self._wait(None)
                    self._server.routes.ask_about(post.room, post, monotonic(), self._on_answer)
                    self._server.settle_soon()
                case Report(status, room, why):
                    self._server.log(self._ip, status, room, why)
                case Finish():
                    self._finish()
        self._read_or_not()

    def _on_answer(self, answer: Answer | None, now: float) -> None:
        if self._state is State.ASKING:
            self._state = State.READING
        self._carry_out(self._conversation.answered(answer, now, time()))

    def _finish(self) -> None:
        self._state = State.LINGERING
        if self._transport is None:
            self._abort()
        elif self._has_ended or not self._transport.can_write_eof():
            self._transport.close()
            self._wait(self._server.waiting)
        else:
            self._transport.write_eof()
            self._wait(self._server.lingering)

    def _read_or_not(self) -> None:
        if self._state is State.CLOSED or self._transport is None or self._transport.is_closing():
            return
        if self._state is State.ASKING or (not self._is_writable and self._state is State.READING):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _wait(self, deadlines: Deadlines | None) -> None:
        if self._deadlines is not None:
            self._deadlines.end(self)
        if deadlines is not None:
            deadlines.begin(self)
        self._deadlines = deadlines


class WebhookServer(StreamServer[WebhookConnection]):
    """Opens the listeners, and keeps the limits on their connections."""

    def __init__(
        self,
        rules: Rules,
        routes: Routes,
        settle: Callable[[], None],
        certificate: Certificate | None = None,
    ) -> None:
        """Open nothing yet. `settle` sends the broker pending frames; TLS listeners need a `certificate`."""
        super().__init__(rules.counters, settle, certificate)
        self.rules = rules
        self.routes = routes
        self.waiting = Deadlines(REQUEST_S)
        """Of connections whose client sends a request, or takes an answer."""
        self.lingering = Deadlines(LINGER_S)
        self._refusals: LogThrottle[tuple[str, str]] = LogThrottle(LOGGED_KINDS, LOGGED_AGAIN_S)
        """By address and reason."""
        raise_descriptors(rules.settings.connections + SPARE_DESCRIPTORS + CONNECTIONS)

    async def open(self, listener: WebhookListener, inherited: int | None = None) -> WebhookListener:
        """Bind a listener, or use the descriptor of a socket that is bound to it; return it with its real port.

        Raises:
            SettingError: the address can not be bound.
        """
        sock = bind_tcp(listener, inherited)
        bound = replace(listener, port=sock.getsockname()[1])
        await self._accept(sock, partial(WebhookConnection, self, listener.tls), tls=listener.tls)
        return bound

    async def close(self, grace_s: float) -> None:
        """Stop accepting, let pending requests get their answers, then end the remaining connections."""
        await self._stop_accepting()
        for connection in list(self._open):
            connection.stop()
        await self._end_all(grace_s, WebhookConnection.give_up)
        self.waiting.close()
        self.lingering.close()

    def enter(self, connection: WebhookConnection) -> bool:
        """Count a new connection, and return whether to serve it; may close another one to make room."""
        if len(self._open) >= CONNECTIONS:
            slow = self.lingering.longest(0.0) or self.waiting.longest(EVICT_AFTER_S)
            self._counters.webhook_connections_refused += 1
            if slow is None:
                return False
            cast(WebhookConnection, slow).give_up()
        self._open.add(connection)
        return True

    def log(self, ip: str, status: int, room: str, why: str) -> None:
        """Log a request; of an address's refusals for one reason only one now and then."""
        if not why:
            logger.debug("posted", ip=ip, room=room)
        elif self._refusals.touch((ip, why), monotonic(), LOGGED, LOGGED_AT_ONCE):
            where = {"room": room} if room else {}  # not known before the token is
            logger.info("a post was refused", ip=ip, status=status, why=why, **where)
