"""Serve one HTTP connection of webhooks: bytes in, commands out; h11 reads and writes HTTP/1.1.

A connection is closed after an answer before which a further request has come (pipelining): otherwise very many
requests that came at once would hold up the event loop. `now` is monotonic seconds, `wall_now` seconds since 1970.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

import h11

from tsudoi.protocol import backbone

from ..counters import WEBHOOK_STATUSES
from .answers import Answer, Refusal
from .rules import AWAY_S, MAX_BODY, Head, Permit, Rules

MAX_HEAD = 8_192
"""Bytes of a request's line and headers; a token has 4,096 at most (h11's own default is twice as much)."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the broker, and give its answer to `answered`. Until then nothing needs to be read."""

    post: backbone.Post


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the connection once everything is sent."""


@dataclass(frozen=True, slots=True)
class Report:
    """Log that a request was answered."""

    status: int
    room: str
    """Empty if its head was refused."""
    why: str
    """Why it was refused; empty: it was not."""


Command = Send | Ask | Finish | Report


class Conversation:
    """The requests of one connection, in order."""

    def __init__(self, rules: Rules, ip: str, is_alive: Callable[[float], bool]) -> None:
        """Begin; `is_alive` says whether the broker can be asked now."""
        self._rules = rules
        self._ip = ip
        self._is_alive = is_alive
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._permit: Permit | None = None
        self._refusal: Answer | None = None
        """The answer once the whole request has come, if its head was refused."""
        self._is_head = False
        """The request's method is HEAD: its answer has no body."""
        self._body = bytearray()
        self._asked: backbone.Post | None = None
        self._has_begun = False
        """Bytes of a request have come that is not answered."""
        self._is_stopping = False
        self.is_over = False
        """The connection has been told to finish; nothing that the client sends counts any more."""

    def receive(self, data: bytes, now: float, wall_now: float) -> list[Command]:
        """Handle received bytes; none: the client sends no more."""
        if self.is_over:
            return []
        self._has_begun |= bool(data)
        self._http.receive_data(data)
        return [] if self._asked else self._go_on(now, wall_now, data)

    def answered(self, answer: backbone.Answer | None, now: float, wall_now: float) -> list[Command]:
        """Handle the broker's answer, None if none came in time."""
        permit, post = self._permit, self._asked
        assert permit is not None
        assert post is not None
        self._asked = None
        decided = self._rules.answered(permit, post, answer, self._ip, now)
        if self.is_over:
            return []
        return self._answer(decided, wall_now) + self._go_on(now, wall_now)

    def time_is_up(self, wall_now: float) -> list[Command]:
        """End the connection, since a request has not come in time; say so if one has begun."""
        if self.is_over:
            return []
        if not self._has_begun or self._asked:
            return self._finish()
        return self._answer(Refusal(408, "the request took too long").answer, wall_now, close=True)

    def abandon(self) -> None:
        """Note that the connection is closed."""
        self.is_over = True

    def stop(self) -> list[Command]:
        """Answer no further request, since the gateway stops."""
        self._is_stopping = True
        return [] if self.is_over or self._has_begun or self._asked else self._finish()

    # --- a request ------------------------------------------------------------------------------------------------

    def _go_on(self, now: float, wall_now: float, data: bytes = b"") -> list[Command]:
        commands: list[Command] = []
        while not self.is_over and not self._asked:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as exc:
                return commands + self._answer(_malformed(exc, data), wall_now, close=True)
            if isinstance(event, h11.Request):
                commands += self._begin(event, now, wall_now)
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY:
                    commands += self._answer(self._refusal or _TOO_LONG, wall_now, close=True)
            elif isinstance(event, h11.EndOfMessage):
                commands += self._end(now, wall_now)
            elif isinstance(event, h11.ConnectionClosed):
                commands += self._finish()
            else:  # NEED_DATA or PAUSED
                break
        return commands

    def _begin(self, request: h11.Request, now: float, wall_now: float) -> list[Command]:
        """Handle a head. A refusal waits for a short body: the client may not read before it has sent that."""
        self._body.clear()
        self._permit = self._refusal = None
        head = _head(request)
        self._is_head = head.method == "HEAD"
        waits = self._http.they_are_waiting_for_100_continue
        # h11 refuses a long head only while it is incomplete.
        if len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers) > MAX_HEAD:
            return self._answer(_LONG_HEAD, wall_now, close=True)
        try:
            self._permit = self._rules.read_head(head, self._ip, now, wall_now)
        except Refusal as exc:
            self._refusal = exc.answer
        declared = head.values("content-length")
        # h11 has checked that it is one number.
        if declared and int(declared[0]) > MAX_BODY:
            return self._answer(self._refusal or _TOO_LONG, wall_now, close=True)
        if self._refusal is not None and waits:
            return self._answer(self._refusal, wall_now, close=True)
        if waits:
            return [Send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")]
        return []

    def _end(self, now: float, wall_now: float) -> list[Command]:
        """Handle the end of a request: ask the broker, or refuse."""
        answer, permit = self._refusal, self._permit
        if answer is None and permit is not None:
            try:
                if not self._is_alive(now):
                    raise Refusal(503, _AWAY, retry_after=str(AWAY_S))
                self._asked = self._rules.read_body(permit, bytes(self._body), self._ip, now)
                return [Ask(self._asked)]
            except Refusal as exc:
                answer = exc.answer
        assert answer is not None
        return self._answer(answer, wall_now)

    # --- the answer -----------------------------------------------------------------------------------------------

    def _answer(self, answer: Answer, wall_now: float, close: bool = False) -> list[Command]:
        self._rules.counters.webhook_answers[str(answer.status)] += 1
        http = self._http
        headers = [
            ("Date", formatdate(wall_now, usegmt=True)),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ]
        if close or self._is_stopping or http.trailing_data[0]:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(answer.status).phrase
        parts = [http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason))]
        if not self._is_head:
            parts.append(http.send(h11.Data(data=answer.body)))
        parts.append(http.send(h11.EndOfMessage()))
        room = self._permit.room if self._permit is not None else ""
        sent: list[Command] = [
            Report(answer.status, room, answer.error),
            Send(b"".join(part for part in parts if part)),
        ]
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            self._is_head = self._has_begun = False
            return sent
        return sent + self._finish()

    def _finish(self) -> list[Command]:
        self.is_over = True
        return [Finish()]


_TOO_LONG = Refusal(413, f"the body has more than {MAX_BODY} bytes").answer
_LONG_HEAD = Refusal(431, f"the request's line and headers have more than {MAX_HEAD} bytes").answer
_AWAY = "the broker is away: nothing was said, send it again later"


def _head(request: h11.Request) -> Head:
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers)
    return Head(request.method.decode("ascii"), request.target.decode("ascii"), headers)


def _malformed(exc: h11.RemoteProtocolError, data: bytes) -> Answer:
    """Return the answer to bytes that are not HTTP; h11 quotes them behind a colon, and they may have a token."""
    status = exc.error_status_hint if exc.error_status_hint in WEBHOOK_STATUSES else 400
    why = f"this is not HTTP/1.1: {str(exc).partition(':')[0]}"
    if not data.partition(b"\n")[0].isascii():
        why += "; write the room's name percent-encoded"
    return Refusal(status, why).answer
