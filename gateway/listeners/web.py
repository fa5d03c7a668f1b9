"""Run the web listeners: bound their connections, and write to WebSockets; `gateway/web` decides."""

import asyncio
import socket
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from time import monotonic, time

from tsudoi.ops import logs, web_files
from tsudoi.ops.rate_key import rate_key
from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.client.refusals import ADDRESS_IS_FULL
from tsudoi.protocol.web.codes import Close

from ..chat.members import Recipients
from ..chat.stream_group import PendingGroups, StreamGroup
from ..join.admission import AdmissionRules
from ..join.quotas import Verdict, for_members
from ..web.conversation import Command, Conversation, Finish, Message, Opened, Report, Send, text_frame
from ..web.crowded import find_spare
from ..web.rules import FRAMES, FRAMES_S, PING_S, PONG_S
from ..web.session import Session
from .deadlines import Deadlines
from .handshake_log import HandshakeLog
from .http_connection import HttpConnection, HttpServer, State
from .tls import Certificate

MAX_BEHIND = 2**20
"""Bytes that wait for one client, beside what the system holds. With more it is closed, and comes back with its
position."""
BEHIND = MAX_BEHIND // 4
"""Bytes that wait for a client from which on it is sent nothing more of what it has missed."""
SEND_BUFFER = 131_072
"""Bytes that the system is asked to hold for one client (Linux: twice as many). By itself it would hold megabytes, of
which nothing tells: a client that stops reading would be noticed late, and thousands would take gigabytes."""
NO_ROOM_S = 2.0
"""How long a WebSocket may be in no room before it gives way to another one of its address: a page enters at once. One
that was refused a place in a room gives way at once, so a user can not keep the places for newcomers that way."""
SLICE = 2_048
"""Bytes that are read of a client before its frames are counted."""

PAGE_FOLDER = Path(__file__).parents[1] / "web" / "page"
"""The folder with the files of the page for members."""

logger = logs.get("gateway.web")


class WebConnection(HttpConnection):
    """A client's connection from accept to close; the port of its session."""

    __slots__ = ("_conversation", "_frames", "_opened_at", "_session")
    _server: "WebServer"
    _conversation: Conversation

    def __init__(self, server: "WebServer") -> None:
        super().__init__(server)
        self._session: Session | None = None
        """Of a WebSocket."""
        self._frames: Bucket | None = None
        self._opened_at = monotonic()

    def _enter(self) -> bool:
        busy = self._server.enter(self)
        if busy is None:
            return False
        self._conversation = Conversation(self._server.page, self._server.origins, busy)
        return True

    def _begin(self, transport: asyncio.Transport) -> None:
        super()._begin(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def _receive(self, data: bytes) -> None:
        # In slices: hundreds of kilobytes of the smallest frames would hold up the event loop before any is counted.
        for start in range(0, len(data) or 1, SLICE):
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
            if self._state is not State.OPEN:
                return

    def pause_writing(self) -> None:
        """Close a WebSocket whose client is too far behind, when what is being written to all is written."""
        if self._session is None:
            super().pause_writing()
        else:
            self._server.loop.call_soon(self._too_slow)

    def _too_slow(self) -> None:
        if self._is_websocket:
            self._server.rules.counters.web_slow += 1
            self.close(Close.SLOW, "you read too slowly")

    def _left(self) -> None:
        self._end_session()
        self._conversation.abandon()

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

    def stop(self) -> None:
        """Tell the client to come back, since the gateway stops."""
        self.close(Close.SHUTDOWN, "the server stops")

    @property
    def was_served(self) -> bool:
        """Whether its client loses nothing by its end: it is served no request, and was served one."""
        return self._session is None and self._conversation.is_between_requests

    @property
    def session_in_rooms(self) -> Session | None:
        """Its session, if that is in a room."""
        return None if self._session is None or self._session.is_in_no_room else self._session

    @property
    def is_in_no_room(self) -> bool:
        """Whether it is a WebSocket in no room, though it had time to enter one."""
        if self._session is None or not self._session.is_in_no_room:
            return False
        return self._session.has_no_place or monotonic() - self._opened_at > NO_ROOM_S

    # --- `web.session.Port`, whose docstrings hold here ---------------------------------------------------------------

    @property
    def write(self) -> Callable[[bytes], object]:
        assert self._transport is not None
        return self._transport.write

    @property
    def is_behind(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > BEHIND

    def send(self, payload: bytes) -> None:
        self._server.pending.flush()
        if self._is_websocket and self._transport is not None:
            self._transport.write(text_frame(payload))

    def new_group(self) -> Recipients:
        return StreamGroup(self._server.pending)

    def close(self, code: Close, reason: str) -> None:
        if self._state is State.OPEN:
            # A close frame's reason has 123 bytes at most.
            self._carry_out(self._conversation.close(code, reason.encode()[:120].decode(errors="ignore")))

    def has_place(self, room: str, now: float) -> bool:
        return self._server.has_place(self, room, now)

    def take_place(self, room: str, now: float) -> None:
        self._server.take_place(self, room, now)

    def log(self, outcome: str, room: str) -> None:
        if (line := self._server.log.web_line(self.ip, self.port, room, outcome, monotonic())) is not None:
            logger.info("handshake", **line)

    # --- pieces -------------------------------------------------------------------------------------------------------

    @property
    def _is_websocket(self) -> bool:
        return self._session is not None and self._state is State.OPEN

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if self._state is not State.OPEN or self._transport is None:
                return
            match command:
                case Send(data):
                    self._transport.write(data)
                    if self._session is None:
                        self._wait(self._server.waiting)
                case Opened():
                    self._transport.set_write_buffer_limits(high=MAX_BEHIND)
                    self._session = Session(self._server.rules, self.ip, self, monotonic())
                case Message(text) if self._session is not None:
                    self._take(self._session, text)
                case Report(why):
                    self.log(f"refused: {why}", "")
                case Finish():
                    self._end_session()
                    self._finish()

    def _take(self, session: Session, text: bytes) -> None:
        was_connected = session.is_connected
        session.receive(text, monotonic(), time())
        if self._state is State.OPEN and (self._deadlines is self._server.answering or not was_connected):
            self._wait(self._server.resting if session.is_connected else self._deadlines)
        self._server.settle_soon()

    def _end_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.lost(monotonic())


class WebServer(HttpServer[WebConnection]):
    """Opens the listeners, and keeps the limits on their connections."""

    def __init__(
        self,
        rules: AdmissionRules,
        origins: Collection[str],
        settle: Callable[[], None],
        certificate: Certificate | None = None,
    ) -> None:
        """Open nothing yet. `settle` sends the broker pending frames; TLS listeners need a `certificate`."""
        super().__init__(rules.counters, settle, certificate, partial(WebConnection, self))
        self.rules = rules
        self.origins = origins
        self.page = web_files.load(PAGE_FOLDER)
        self.pending = PendingGroups(text_frame, lambda: self.loop.call_soon(self.pending.flush))
        self.log = HandshakeLog()
        self.resting = Deadlines(float(PING_S))
        """Of connections until the next ping."""
        self.answering = Deadlines(PONG_S)
        """Of connections that are to answer a ping."""

    async def close(self, grace_s: float) -> None:
        """Stop accepting, tell all clients to come back, and end the connections that remain."""
        await super().close(grace_s)
        self.resting.close()
        self.answering.close()

    def enter(self, connection: WebConnection) -> str | None:
        """Count a new connection; return why it may not become a WebSocket (empty: it may), None: close it at once."""
        settings, quotas = self.rules.settings, self.rules.quotas
        verdict = quotas.request(connection.ip, monotonic())
        if verdict is Verdict.CLOSE:
            return None
        if len(self._open) >= settings.web_connections:
            self._counters.web_connections_refused += 1
            if not self._make_room():
                self.log_refused("--web-connections", connection.ip)
                return None
        of_address = self._count(connection)
        if self.rules.core.rate_keys.of(connection.ip) and len(of_address) > settings.address_connections:
            # Browsers keep the connections open that the page's files came by.
            # Also one that was refused, and still takes its answer: its end makes room for no more than its own place.
            others = of_address - {connection}
            idle = next((each for each in others if each.was_served), None) or next(
                (each for each in others if each.is_in_no_room), None
            )
            if idle is not None:
                of_address.discard(idle)  # its end comes later
                idle.give_up()
            if len(of_address) > settings.address_connections:
                self._counters.web_connections_refused += 1
                return ADDRESS_IS_FULL
        return "" if verdict is Verdict.SERVE else "your address asks too often"

    def has_place(self, connection: WebConnection, room: str, now: float) -> bool:
        """Return whether a connection may enter a room; if not, count it."""
        crowd = self._crowd(connection)
        if crowd is None or self._spare(crowd, connection, room, now) is not None:
            return True
        self._counters.web_connections_refused += 1
        return False

    def take_place(self, connection: WebConnection, room: str, now: float) -> None:
        """Close another connection of an address that has more in rooms than it may, since this one has entered one."""
        crowd = self._crowd(connection)
        if crowd is not None and (spare := self._spare(crowd, connection, room, now)) is not None:
            self._counters.web_connections_displaced += 1
            spare.displace()

    def _crowd(self, connection: WebConnection) -> list[Session] | None:
        """Return the sessions in rooms of an address's other connections; None: there is a place for one more."""
        most = for_members(self.rules.settings.address_connections)
        of_address = self._by_address.get(rate_key(connection.ip), set())
        if len(of_address) <= most or not self.rules.core.rate_keys.of(connection.ip):
            return None
        sessions = [each.session_in_rooms for each in of_address if each is not connection]
        found = [session for session in sessions if session is not None]
        return found if len(found) >= most else None

    def _spare(self, crowd: list[Session], connection: WebConnection, room: str, now: float) -> Session | None:
        most, key = for_members(self.rules.settings.address_connections), self.rules.core.rate_keys.of(connection.ip)
        return find_spare(crowd, key, room, most, now)
