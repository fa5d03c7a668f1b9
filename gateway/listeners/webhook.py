"""Run the HTTP listeners for webhooks: accept, bound and close connections; `webhook/conversation.py` decides."""

from collections.abc import Callable
from functools import partial
from time import monotonic, time

from tsudoi.ops import logs
from tsudoi.ops.log_throttle import LogThrottle
from tsudoi.protocol.backbone import Answer

from ..link.routes import Routes
from ..webhook.conversation import Ask, Command, Conversation, Finish, Report, Send
from ..webhook.rules import Rules
from .http_connection import HttpConnection, HttpServer, State
from .tls import Certificate

CONNECTIONS = 128
"""Connections at once. One more closes the one that has waited longest for its client, or itself. Each may hold a body
and what came behind it, some 300 KiB."""

LOGGED_KINDS, LOGGED_AGAIN_S = 1_000, 10.0
LOGGED, LOGGED_AT_ONCE = 1.0, 20.0
"""Log lines about refused posts: kinds that are remembered, when one of a kind comes again; lines a second in all."""

logger = logs.get("gateway.webhook")


class WebhookConnection(HttpConnection):
    """A client's connection from accept to close."""

    __slots__ = ("_conversation", "_is_asking")
    _server: "WebhookServer"
    _conversation: Conversation

    def __init__(self, server: "WebhookServer") -> None:
        super().__init__(server)
        self._is_asking = False
        """The broker is asked; the client is not read."""

    def _enter(self) -> bool:
        self._conversation = Conversation(self._server.rules, self.ip, self._server.routes.is_any_alive)
        return self._server.enter(self)

    def _receive(self, data: bytes) -> None:
        self._carry_out(self._conversation.receive(data, monotonic(), time()))

    def _left(self) -> None:
        """Handle the end; what the broker was asked is said all the same."""
        self._conversation.abandon()

    def time_is_up(self) -> None:
        """Handle a deadline: tell the client so, if it has begun a request and takes answers."""
        self._deadlines = None
        if self._state is State.OPEN and not self._is_asking and self._is_writable and self._transport is not None:
            self._carry_out(self._conversation.time_is_up(time()))
        else:
            self._abort()

    def stop(self) -> None:
        """End the connection when the request that it is at is answered."""
        if self._state is State.OPEN:
            self._carry_out(self._conversation.stop())

    @property
    def _is_busy(self) -> bool:
        return self._is_asking

    # --- commands -------------------------------------------------------------------------------------------------

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(data) if self._transport is not None:
                    self._transport.write(data)
                    self._wait(self._server.waiting)
                case Ask(post):
                    self._is_asking = True
                    self._wait(None)
                    self._server.routes.ask_about(post.room, post, monotonic(), self._on_answer)
                    self._server.settle_soon()
                case Report(status, room, why):
                    self._server.log(self.ip, status, room, why)
                case Finish():
                    self._finish()
        self._read_or_not()

    def _on_answer(self, answer: Answer | None, now: float) -> None:
        self._is_asking = False
        self._carry_out(self._conversation.answered(answer, now, time()))


class WebhookServer(HttpServer[WebhookConnection]):
    """Opens the listeners, and keeps the limits on their connections."""

    def __init__(
        self,
        rules: Rules,
        routes: Routes,
        settle: Callable[[], None],
        certificate: Certificate | None = None,
    ) -> None:
        """Open nothing yet. `settle` sends the broker pending frames; TLS listeners need a `certificate`."""
        super().__init__(rules.counters, settle, certificate, partial(WebhookConnection, self))
        self.rules = rules
        self.routes = routes
        self._refusals: LogThrottle[tuple[str, str]] = LogThrottle(LOGGED_KINDS, LOGGED_AGAIN_S)
        """By address and reason."""

    def enter(self, connection: WebhookConnection) -> bool:
        """Count a new connection, and return whether to serve it; may close another one to make room."""
        if len(self._open) >= CONNECTIONS:
            self._counters.webhook_connections_refused += 1
            if not self._make_room():
                self.log_refused(f"{CONNECTIONS} webhooks at once", connection.ip)
                return False
        self._count(connection)
        return True

    def log(self, ip: str, status: int, room: str, why: str) -> None:
        """Log a request at DEBUG, or a refusal (`why` is not empty) at INFO, limited for each address and reason."""
        if not why:
            logger.debug("posted", ip=ip, room=room)
        elif self._refusals.touch((ip, why), monotonic(), LOGGED, LOGGED_AT_ONCE):
            where = {"room": room} if room else {}  # not known before the token is
            logger.info("a post was refused", ip=ip, status=status, why=why, **where)
