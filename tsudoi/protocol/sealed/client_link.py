"""A client's packets: seals, runs, resuming, and whether the server is there; PROTOCOL.md, "Packets" to "Life"."""

from random import Random
from typing import TypeAlias

import msgspec

from tsudoi.protocol.errors import MalformedMessage

from .client_cookies import Cookies
from .client_path import Path, by_tcp, is_tcp, server_of
from .client_pings import Pings
from .client_seeking import Seeking
from .grant import Grant
from .lines import Resume, UpLine, serialize
from .packets import NO_RUN, Kind, Packet, parse_untrusted, serialize_header
from .parts import MAX_WHOLE, PENDING_DOWN, Parts, divide
from .replay_window import ReplayWindow
from .suites import cipher, has_valid_check, open_untrusted

AWAY_S = 10.0
"""Silence of the server, though it must answer, after which it counts as away."""
SUSPECT_S, LAST_SUSPECT_S = 1.5, 9.5
"""Silence after which the client resumes, at each of the server's addresses in turn: longer on a slow network."""
RESUME_S = 0.25
LAST_RESUME_S = 2.0
LAST_AWAY_S = 4.0
RETRY_S = 0.1
"""Between two `resume` that answer a RETRY."""
RETRIED_S = 1.0
"""The longest that the answer to a cookie is waited for, if the RETRY took longer than `RESUME_S`."""
RUNS = 64
"""Runs that are remembered, so that late or replayed packets of one do not make this client resume."""
PENDING_S = 5.0
"""How long the answer to a packet may be under way; on a slow network, two round trips."""
CALM_S = 0.5
"""Time after a `resumed` in which a RETRY may be the answer to a packet of an earlier run: only a ping follows it."""
AHEAD_S = 2.0
"""How long only TCP is tried where UDP carries small packets only."""
AVOID_S = 3.0
"""How long others are tried when a server has said that it stops."""

Position: TypeAlias = tuple[int, int, int]
"""Epoch, offset, and the number of the client's next line, as a `resume` has them."""


class Datagram(msgspec.Struct, frozen=True):
    """A datagram to send."""

    server: int
    """Its way: the index of one of the server's addresses, or for TCP the complement of that (`client_path`)."""
    data: bytes
    is_fresh: bool = False
    """By TCP: a connection that is there already is of no use, so this needs a new one."""


class _Asked(msgspec.Struct, frozen=True):
    """A `resume` that was sent."""

    way: int
    at: float
    epoch: int
    shows: bool
    """It shows a cookie, so that its server takes the session."""


class OfAnotherRun(MalformedMessage):
    """A packet that opens is of a run that is not the present one, and does not begin one."""


class Link:
    """The packets of one session. The caller parses bodies, and says what the server has answered."""

    def __init__(
        self, grant: Grant, now: float, dice: Random, servers: int = 1, server: int = 0, *, has_tcp: bool = False
    ) -> None:
        """Begin to resume.

        Args:
            servers: the number of the server's addresses.
            server: the one to begin with.
            has_tcp: datagrams can be sent by TCP too.
        """
        self._session, self._check = grant.session, grant.check
        self._up = cipher(grant.suite, grant.up)
        self._down = cipher(grant.suite, grant.down)
        self._dice = dice
        self.servers = servers
        self.server = server
        """The address that serves this session, or is asked to."""
        self.way = server
        """The way by which this session is served, or was at last."""
        self._avoided = -1, now
        """The address of a server that stops, and until when it is not tried."""
        self._seeking = Seeking()
        self._path = Path(dice, has_tcp=has_tcp)
        self.out: list[Datagram] = []
        self.round_trip_s = 0.0
        """Smoothed; 0: not known."""
        self.is_away = False
        self._count = 0
        self._run = NO_RUN
        self._runs: dict[bytes, None] = {}
        """Runs that this session had, or was seen to have."""
        self._window = ReplayWindow()
        self._parts = Parts(PENDING_DOWN)
        self._resumed_count = 0
        self._resumed_at = -CALM_S
        self.asked_epoch = 0
        """That of the position in the `resume` that was answered last."""
        self._asked: dict[int, _Asked] = {}
        """By the counts of their packets; while this session is served, those after the one that was answered."""
        self._sent_to: dict[int, float] = {}
        """Way → when the last packet went there, but for probes."""
        self._cookies = Cookies()
        self._resume_at: float | None = now
        """When to send the next `resume`; None: this session is served."""
        self._resume_s = RESUME_S
        self._in_turn, self._is_answered = 0, False
        """How many `resume` were sent in turn since this session was served, and whether a RETRY has come."""
        self._answer_s = 0.0
        """How long a server takes to answer a cookie, smoothed; 0: not known."""
        self._path.begin(now)
        self._retried_at = now - RETRY_S
        self._shown_to, self._shown_until = server, now
        """Who was shown a cookie last, and until when only its answer is waited for."""
        self._retry_s = 0.0
        """How long the last RETRY that was followed took."""
        self._silent_since: float | None = None
        """When the first packet since the server was last heard was sent that it must answer."""
        self._pings = Pings(dice, now)

    @property
    def is_resumed(self) -> bool:
        """Whether a server serves this session, as far as is known."""
        return self._resume_at is None

    @property
    def may_leave_udp(self) -> bool:
        """Whether this session is served by UDP, and TCP can be tried."""
        return self._resume_at is None and self._path.has_tcp and not is_tcp(self.way)

    @property
    def is_rerouted(self) -> bool:
        """Whether this session goes by TCP since UDP does not pass."""
        return self._path.is_blocked

    @property
    def suspect_s(self) -> float:
        """How long a server that must answer may be silent."""
        return max(SUSPECT_S, min(1.25 * self.round_trip_s, LAST_SUSPECT_S))

    @property
    def _pending_s(self) -> float:
        return max(PENDING_S, 2 * self.round_trip_s)

    # --- sending ---

    def send(self, body: bytes, now: float, *, must_be_answered: bool) -> None:
        """Send a body in the current run; raise ValueError if it is too long."""
        if len(body) <= MAX_WHOLE:
            self._seal(Kind.BODY, body)
        else:
            for part in divide(body):
                self._seal(Kind.PART, part)
        self._sent_to[self.way] = now
        self._pings.note_sent(now)
        if must_be_answered and self._silent_since is None:
            self._silent_since = now

    def resume(self, now: float) -> None:
        """Resume at once: the network or the address has changed, or the server seems not to be there."""
        if self._resume_at is None:
            self._path.begin(now)
            self._in_turn, self._is_answered = 0, False
        if self._resume_at is None or self._resume_at > now:
            self._resume_at, self._resume_s = now, RESUME_S

    def leave_udp(self, now: float) -> None:
        """Resume by TCP: UDP carries small packets only."""
        self.resume(now)
        self._path.leave_udp(now)
        self._resume_at = now + AHEAD_S

    def go_on(self, now: float) -> None:
        """Resume at the next of the server's addresses."""
        self.avoid(now)
        self.server = (server_of(self.way) + 1) % self.servers
        self.resume(now)

    def avoid(self, now: float) -> None:
        """Try the present address only if others have not answered for a while."""
        self._avoided = server_of(self.way), now + AVOID_S

    def is_suspect(self, now: float) -> bool:
        """Return whether the server that serves this session has not answered for too long."""
        since = self._silent_since
        return since is not None and self._resume_at is None and now >= since + self.suspect_s

    def lose(self, way: int, now: float) -> None:
        """Note that the connection of a way has ended."""
        if self._resume_at is None and way == self.way:
            self.resume(now)
            self._path.lose(now)

    def ping(self, now: float) -> None:
        """Ask for the room's newest offset soon."""
        self._pings.ask_by(now)

    def forget_cookies(self, now: float) -> None:
        """Note that this client's address is another one."""
        self._cookies.forget()
        self._shown_until = now
        self._path.move()

    def rebind(self, now: float) -> None:
        """Resume because datagrams leave from another port of the same network; by TCP, nothing has changed."""
        self._cookies.forget_udp()
        if not is_tcp(self._shown_to):
            self._shown_until = now
        if self._resume_at is not None or not is_tcp(self.way):
            self.resume(now)

    def note_entries(self, now: float) -> None:
        """Note that entries have come: if no more do, ask whether there are none."""
        self._pings.note_entries(now)

    def tick(self, now: float, position: Position) -> bool:
        """Send what is due: a `resume` from this position, or a ping. Return whether the server is away from now on."""
        if self.is_suspect(now):
            self.resume(now)
        if self._resume_at is not None and now >= self._resume_at:
            self._send_resume_in_turn(now, position)
        if self._resume_at is not None and self._path.tries(now):
            self._send_resume(by_tcp(self.server), now, position)
        if self._resume_at is None and self._path.probes(now):
            self._send_resume(self.server, now, position, is_probe=True)
        if self._resume_at is None and now >= self._seeking.at:
            way = self._seeking.ask(now, self.round_trip_s, self._pending_s)
            self._send_resume(way, now, position, is_probe=not self._cookies.to_show(way, now))
        self._pings.look(now)
        if self._resume_at is None and now >= self._pings.at:
            self.send(serialize(UpLine(ping=self._pings.next(now))), now, must_be_answered=True)
        if self._silent_since is not None and not self.is_away and now >= self._silent_since + AWAY_S:
            self.is_away = True
            return True
        return False

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        times = [min(self._pings.at, self._seeking.at) if self._resume_at is None else self._resume_at]
        if (quiet_at := self._pings.quiet_at) is not None:
            times.append(quiet_at)
        if (path_at := self._path.deadline()) is not None:
            times.append(path_at)
        if self._silent_since is not None:
            if self._resume_at is None:
                times.append(self._silent_since + self.suspect_s)
            if not self.is_away:
                times.append(self._silent_since + AWAY_S)
        return min(times)

    def _send_resume_in_turn(self, now: float, position: Position) -> None:
        """Send a `resume` to one of the server's addresses; the next one is for the next of them."""
        self._send_resume(self.server, now, position)
        last = LAST_AWAY_S if self.is_away else LAST_RESUME_S
        self._resume_at = max(now + self._resume_s * self._dice.uniform(0.8, 1.2), self._shown_until)
        self._in_turn += 1
        # Of two gateways one may be gone: else the other is asked after 0.25, 1.75, 5.75 and 9.75 s. Where a tenth of
        # the packets is lost, one in a hundred members was away for 8 s then; so for 4.4 s.
        if self._is_answered or self._in_turn % self.servers == 0:
            self._resume_s = min(2 * self._resume_s, last)
        self.server = self._next(self.server, now)

    def _next(self, server: int, now: float) -> int:
        """Return the server's address to try after one of them."""
        following = (server + 1) % self.servers
        avoided, until = self._avoided
        return (following + 1) % self.servers if following == avoided and now < until else following

    def _send_resume(self, way: int, now: float, position: Position, *, is_probe: bool = False) -> None:
        is_fresh = self._resume_at is not None and is_tcp(way) and self._path.takes_fresh()
        cookie = b"" if is_fresh or is_probe else self._cookies.to_show(way, now)
        epoch, offset, next_number = position
        line = UpLine(resume=Resume(cookie=cookie.hex(), epoch=epoch, offset=offset, next=next_number))
        self._seal(Kind.BODY, serialize(line), way, is_fresh=is_fresh)
        if is_probe:
            return
        self._asked[self._count] = _Asked(way, now, epoch, bool(cookie))
        self._sent_to[way] = now
        if cookie:
            self._shown_to = way
            retry_s, answer_s = min(1.25 * self._retry_s, RETRIED_S), min(1.25 * self._answer_s, LAST_RESUME_S)
            self._shown_until = now + max(RESUME_S, retry_s, answer_s)
        while len(self._asked) > 64:
            del self._asked[next(iter(self._asked))]
        self._pings.note_sent(now)
        if self._silent_since is None and self._resume_at is not None:
            self._silent_since = now

    def _seal(self, kind: Kind, text: bytes, way: int | None = None, *, is_fresh: bool = False) -> None:
        self._count += 1
        header = serialize_header(kind, self._session, self._run, self._count)
        data = header + self._up.encrypt(header[18:], text, header)
        self.out.append(Datagram(self.way if way is None else way, data, is_fresh))

    # --- receiving ---

    def open_untrusted(self, data: bytes) -> tuple[Packet, bytes | None]:
        """Return a packet of this session, and the body that it completes, if it does.

        A body of another run is for `take_resumed` only. A RETRY or GONE has no body; its check is valid.

        Raises:
            OfAnotherRun: it is a part of a body of another run.
            MalformedMessage: it is no packet of this session; or it has come before.
        """
        packet = parse_untrusted(data)
        if packet.session != self._session:
            raise MalformedMessage("of another session")
        if packet.kind in (Kind.RETRY, Kind.GONE):
            if not has_valid_check(self._check, packet.header, packet.rest):
                raise MalformedMessage("a check that is not valid")
            return packet, None
        is_current = packet.run == self._run and self._run != NO_RUN
        if is_current and self._window.has(packet.count):
            raise MalformedMessage("it has come before")
        text = open_untrusted(self._down.decrypt, packet.nonce, packet.rest, packet.header)
        if not is_current and packet.kind != Kind.BODY:
            raise OfAnotherRun
        if not is_current:
            return packet, text
        self._window.add(packet.count)
        self._silent_since = None
        if packet.kind == Kind.BODY:
            return packet, text
        return packet, self._parts.add_untrusted(packet.run, packet.count, text)

    def is_current(self, packet: Packet) -> bool:
        """Return whether a packet is of the current run."""
        return packet.run == self._run

    def take_resumed(self, packet: Packet, to: int, now: float) -> bool:
        """Take the answer to the `resume` in the packet with the count `to`; return whether it is one."""
        if to not in self._asked or to <= self._resumed_count or packet.run in (self._run, NO_RUN):
            return False
        asked = self._asked[to]
        self.way, answer_s, self.asked_epoch = asked.way, now - asked.at, asked.epoch
        self.server = server_of(self.way)
        self._path.resumed(self.way, now)
        self._asked = {count: asked for count, asked in self._asked.items() if count > to}
        self._resumed_count, self._resumed_at = to, now
        self._run = packet.run
        self._note_run(packet.run)
        self._window, self._parts = ReplayWindow(), Parts(PENDING_DOWN)
        self._window.add(packet.count)
        self._silent_since, self._resume_at = None, None
        self._seeking.end()
        self._pings.begin_run(now)
        self.note_round_trip(answer_s)
        self._answer_s = 0.5 * (self._answer_s or answer_s) + 0.5 * answer_s
        return True

    def take_retry(self, packet: Packet, way: int, now: float, position: Position) -> None:
        """Resume with the cookie of a RETRY that came by a way."""
        if self._resume_at is None and now < self._resumed_at + CALM_S:
            self._ask_when_calm()
            return
        is_sought = self._resume_at is None and self._seeking.is_answer(way, now)
        if (
            self._resume_at is None
            and not is_sought
            and (not self._wants_retry(way, now) or self._answers_earlier(way, now))
        ):
            return
        if not self._cookies.take(way, packet.nonce, now):
            return  # It has come before: doubled on its way, or replayed.
        if is_sought:
            self._seeking.follow(now)
            return
        if self._resume_at is not None and now < self._shown_until:
            if way != self._shown_to:
                return  # Two that serve one session in turn serve it badly.
            if not is_tcp(way):
                # It has answered each packet that it was sent, so only the last of its cookies is shown it, later.
                self.server, self._resume_at = way, min(self._resume_at, self._shown_until)
                return
        if is_tcp(way):
            self._path.note_retry()
        self.resume(now)
        self._is_answered = True
        if now < self._retried_at + RETRY_S:
            # A server that takes no cookie must not be asked without a pause.
            self.server, self._resume_at = server_of(way), self._retried_at + RETRY_S
            return
        self._retried_at = now
        first_asked = min((asked.at for asked in self._asked.values() if asked.way == way), default=now)
        self._retry_s = now - first_asked
        self._send_resume(way, now, position)
        self.server = server_of(way)
        self._resume_at = self._shown_until

    def _answers_earlier(self, way: int, now: float) -> bool:
        """Return whether a RETRY only answers packets that were sent to two servers before one of them answered.

        A server that is not the present one answers each packet, late if it is slow; following it would move the
        session back. Of two servers that were shown cookies, the last one takes the session from the other, so asking
        that one again would move it back, too. The session would go to and fro.
        """
        if way != self.way:
            is_answer = way in self._sent_to and now < self._sent_to[way] + self._pending_s
            if is_answer:
                self.ping(now)
            return is_answer
        shown = [asked.way for asked in self._asked.values() if asked.shows and now < asked.at + self._pending_s]
        last = next((shown_to for shown_to in reversed(shown) if not is_tcp(shown_to)), way)
        if last == way:
            return False
        self.resume(now)
        self.server = last
        return True

    def _wants_retry(self, way: int, now: float) -> bool:
        """Return whether to follow a RETRY while this session is served."""
        if not self._path.is_tcp or is_tcp(way):
            return True
        if not self._path.is_probing or not self._path.take_answer(now):
            return False
        self._path.begin(now, is_return=True)
        self._resume_at, self._resume_s = now, RESUME_S
        return True

    def is_taken_over(self, run: bytes, now: float) -> bool:
        """Return, once a run, whether a genuine packet shows that another server serves this session.

        A gateway that stood still may have handled an old `resume` when it went on.
        """
        if self._resume_at is not None or run in self._runs:
            return False
        if now < self._resumed_at + CALM_S:
            self._ask_when_calm()
            return False
        self._note_run(run)
        return True

    def _ask_when_calm(self) -> None:
        """Ping when what an earlier run has caused is over: if another server has this session now, that shows it."""
        self._pings.ask_by(self._resumed_at + CALM_S)

    def _note_run(self, run: bytes) -> None:
        self._runs[run] = None
        if len(self._runs) > RUNS:
            del self._runs[next(iter(self._runs))]

    def shows(self, packet: Packet) -> bool:
        """Return whether a GONE answers a cookie that this client has shown."""
        return self._cookies.has(packet.nonce)

    def take_pong(self, number: int, is_away: bool, now: float) -> None:
        """Note the answer to a ping, which says whether the room is away."""
        if not self._pings.take_pong(number, now):
            return
        if self._pings.took_s is not None:
            self.note_round_trip(self._pings.took_s)
        if is_away:
            self._seeking.take_pong(self.way, self.servers, now)
        else:
            self._seeking.end()

    def note_round_trip(self, sample_s: float) -> None:
        """Note how long an answer took; a longer time than `AWAY_S` is that of a client that stood still itself."""
        sample_s = min(sample_s, AWAY_S)
        self.round_trip_s = sample_s if not self.round_trip_s else 0.875 * self.round_trip_s + 0.125 * sample_s
