"""Run the web listeners: accept, bound and close connections; `gateway/web` decides.

A connection has no task and no timer of its own: each kind of deadline has one timer for all.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from time import monotonic, time
from typing import cast

from tsudoi.ops import logs
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.web.codes import Close

from ..chat.members import Recipients
from ..chat.stream_group import PendingGroups, StreamGroup
from ..config import WebListener
from ..join.quotas import Verdict
from ..web import page_files
from ..web.conversation import Command, Conversation, Finish, Message, Opened, Send, text_frame
from ..web.rules import FRAMES, FRAMES_S, PING_S, PONG_S, WebRules
from ..web.session import Session
from . import sockaddr
from .deadlines import Deadlines
from .stream_server import StreamServer, bind_tcp
from .tcp import SPARE_DESCRIPTORS
from .tls import Certificate

MAX_BEHIND = 2**20
"""Bytes that wait for one client, beside what the system holds. With more it is closed, and comes back with its
position."""
BEHIND = MAX_BEHIND // 4
"""Bytes that wait for a client from which on it is sent nothing more of what it has missed."""
SEND_BUFFER = 131_072
"""Bytes that the system is asked to hold for one client (Linux: twice as many). By itself it would hold megabytes, of
which nothing tells: a client that stops reading would be noticed late, and thousands would take gigabytes."""
SLICE = 2_048
"""Bytes that are read of a client before its frames are counted."""
REQUEST_S = 10.0
"""How long a client may take to send its request, and then its connect command."""
LINGER_S = 3.0
"""How long a client that is closed has to take what waits for it."""
EVICT_AFTER_S = 1.0
"""How long a connection must have been silent before its connect command to be closed for another one."""

logger = logs.get("gateway.web")


class State(Enum):
    """The state of a connection."""

    NEW = auto()
    HTTP = auto()
    OPEN = auto()
    """It is a WebSocket."""
    CLOSING = auto()
    CLOSED = auto()


class WebConnection(asyncio.Protocol):
    """A client's connection from accept to close; the port of its session."""

    _conversation: Conversation

    def __init__(self, server: "WebServer") -> None:
        self._server = server
        self.ip = ""
        self._abort: Callable[[], object] = lambda: None
        self._transport: asyncio.Transport | None = None
        """None before the TLS handshake is done."""
        self._session: Session | None = None
        self._deadlines: Deadlines | None = None
        self._frames: Bucket | None = None
        self._state = State.NEW
        self.peeked = b""
        """The TLS listener notes here how the client began."""

    def accept(self, ip: str, abort: Callable[[], object]) -> bool:
        """Admit a connection from `ip`, or return False if it must be closed at once."""
        self.ip = ip = sockaddr.plain_text(ip)
        self._abort = abort
        busy = self._server.enter(self)
        if busy is None:
            self._state = State.CLOSED
            return False
        self._conversation = Conversation(self._server.page, self._server.origins, busy)
        self._state = State.HTTP
        self._wait(self._server.starting)
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
        made.set_write_buffer_limits(high=MAX_BEHIND)
        made.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def data_received(self, data: bytes) -> None:
        # In slices: hundreds of kilobytes of the smallest frames would hold up the event loop before any is counted.
        for start in range(0, len(data), SLICE):
            if self._state not in (State.HTTP, State.OPEN):
                return
            counted = self._conversation.frames
            commands = self._conversation.receive(data[start : start + SLICE])
            if count := self._conversation.frames - counted:
                now = monotonic()
                if self._frames is None:
                    self._frames = Bucket(FRAMES, now)
                if not self._frames.touch(now, FRAMES_S, FRAMES, count):
                    self.close(Close.TOO_MANY, "too many frames")
                    return
            self._carry_out(commands)

    def eof_received(self) -> bool:
        if self._state in (State.HTTP, State.OPEN):
            self._carry_out(self._conversation.receive(b""))
        return False

    def pause_writing(self) -> None:
        """Close a client that is too far behind, when what is being written to all is written."""
        if self._state is State.OPEN:
            self._server.loop.call_soon(self._too_slow)

    def _too_slow(self) -> None:
        if self._state is State.OPEN:
            self._server.count_slow()
            self.close(Close.SLOW, "you read too slowly")

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        was_open, self._state = self._state not in (State.NEW, State.CLOSED), State.CLOSED
        self._end_session()
        if was_open:
            self._server.leave(self)

    def time_is_up(self) -> None:
        """Handle a deadline."""
        deadlines, self._deadlines = self._deadlines, None
        if self._session is None or self._state is not State.OPEN:
            self._abort()
        elif not self._session.is_connected:
            self.close(Close.STALE, "no connect command came")
        elif deadlines is self._server.resting:
            self._wait(self._server.answering)
            self._session.ping()
        else:
            self.close(Close.NO_PONG, "no pong came")

    # --- the session's port -------------------------------------------------------------------------------------------

    @property
    def write(self) -> Callable[[bytes], object]:
        """What writes the bytes of a frame."""
        assert self._transport is not None
        return self._transport.write

    @property
    def is_behind(self) -> bool:
        """Whether much waits already for the client to take it."""
        return self._transport is not None and self._transport.get_write_buffer_size() > BEHIND

    def send(self, payload: bytes) -> None:
        """Send a text in a frame of its own, after all that groups have collected."""
        self._server.pending.flush()
        if self._state is State.OPEN and self._transport is not None:
            self._transport.write(text_frame(payload))

    def new_group(self) -> Recipients:
        """Return an empty group of streams."""
        return StreamGroup(self._server.pending)

    def close(self, code: Close, reason: str) -> None:
        """Close the connection with a code that tells its client whether to come back."""
        if self._state in (State.HTTP, State.OPEN):
            # A close frame's reason has 123 bytes at most.
            self._carry_out(self._conversation.close(code, reason.encode()[:120].decode(errors="ignore")))

    def give_up(self) -> None:
        """End the connection at once."""
        self._wait(None)
        self._abort()

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if self._state not in (State.HTTP, State.OPEN):
                return
            match command:
                case Send(data) if self._transport is not None:
                    self._transport.write(data)
                case Opened():
                    self._state = State.OPEN
                    self._session = Session(self._server.rules, self.ip, self, monotonic())
                    self._wait(self._server.starting)
                case Message(text) if self._session is not None:
                    self._receive(self._session, text)
                case Finish():
                    self._finish()

    def _receive(self, session: Session, text: bytes) -> None:
        was_connected = session.is_connected
        session.receive(text, monotonic(), time())
        if self._state is State.OPEN and (self._deadlines is self._server.answering or not was_connected):
            self._wait(self._server.resting if session.is_connected else self._deadlines)
        self._server.settle_soon()

    def _finish(self) -> None:
        self._state = State.CLOSING
        self._end_session()
        if self._transport is None:
            self._abort()
        else:
            self._transport.close()
            self._wait(self._server.lingering)

    def _end_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.lost(monotonic())

    def _wait(self, deadlines: Deadlines | None) -> None:
        if self._deadlines is not None:
            self._deadlines.end(self)
        if deadlines is not None:
            deadlines.begin(self)
        self._deadlines = deadlines


class WebServer(StreamServer[WebConnection]):
    """Opens the listeners, and keeps the limits on their connections."""

    def __init__(
        self,
        rules: WebRules,
        origins: Collection[str],
        settle: Callable[[], None],
        certificate: Certificate | None = None,
    ) -> None:
        """Open nothing yet. `settle` sends the broker pending frames; TLS listeners need a `certificate`."""
        super().__init__(rules.entry.counters, settle, certificate)
        self.rules = rules
        self.origins = origins
        self.page = page_files.load()
        self.pending = PendingGroups(text_frame, lambda: self.loop.call_soon(self.pending.flush))
        self.starting = Deadlines(REQUEST_S)
        """Of connections before their request, and of WebSockets before their connect command."""
        self.resting = Deadlines(float(PING_S))
        """Of connections until the next ping."""
        self.answering = Deadlines(PONG_S)
        """Of connections that are to answer a ping."""
        self.lingering = Deadlines(LINGER_S)
        self._by_address: dict[str, int] = {}
        raise_descriptors(rules.entry.settings.web_connections + SPARE_DESCRIPTORS)

    async def open(self, listener: WebListener, inherited: int | None = None) -> WebListener:
        """Bind a listener, or use the descriptor of a socket that is bound to it; return it with its real port.

        Raises:
            SettingError: the address can not be bound.
        """
        sock = bind_tcp(listener, inherited)
        bound = replace(listener, port=sock.getsockname()[1])
        await self._accept(sock, partial(WebConnection, self), tls=listener.tls)
        return bound

    async def close(self, grace_s: float) -> None:
        """Stop accepting, tell all clients to come back, and end the connections that remain."""
        await self._stop_accepting()
        for connection in list(self._open):
            connection.close(Close.SHUTDOWN, "the server stops")
        await self._end_all(grace_s, WebConnection.give_up)
        for deadlines in (self.starting, self.resting, self.answering, self.lingering):
            deadlines.close()

    def enter(self, connection: WebConnection) -> str | None:
        """Count a new connection; return why it may not become a WebSocket (empty: it may), None: close it at once."""
        settings, quotas = self.rules.entry.settings, self.rules.entry.quotas
        verdict = quotas.request(connection.ip, monotonic())
        if verdict is Verdict.CLOSE:
            return None
        if len(self._open) >= settings.web_connections:
            silent = self.lingering.longest(0.0) or self.starting.longest(EVICT_AFTER_S)
            self._counters.web_connections_refused += 1
            if silent is None:
                return None
            cast(WebConnection, silent).give_up()
        address = quotas.address_of(connection.ip)
        count = self._by_address[address] = self._by_address.get(address, 0) + 1
        self._open.add(connection)
        if self.rules.entry.rate_keys.of(connection.ip) and count > settings.address_connections:
            self._counters.web_connections_refused += 1
            return "your address has its most connections"
        return "" if verdict is Verdict.SERVE else "your address asks too often"

    def leave(self, connection: WebConnection) -> None:
        """Count the end of a connection."""
        address = self.rules.entry.quotas.address_of(connection.ip)
        left = self._by_address.pop(address, 1) - 1
        if left:
            self._by_address[address] = left
        super().leave(connection)

    def count_slow(self) -> None:
        """Count a client that was closed because it reads too slowly."""
        self._counters.web_slow += 1
