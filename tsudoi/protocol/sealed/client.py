"""A client of version 2 without I/O; PROTOCOL.md, "Version 2".

Feed it received datagrams and the time; send the datagrams that it returns, and call `tick` at `deadline`. It repairs
loss, doubling, reordering, and changes of address and server: entries are delivered in order, exactly once, and a kept
line is neither lost nor said twice. What it can not repair is an event: Gap, Reset, Away, Ended.
"""

from collections import deque
from random import Random

import msgspec

from tsudoi.protocol.errors import MalformedMessage

from .client_downlink import DownEvent, Downlink, Range
from .client_events import Away, Back, ClientEvent, Delivered, Ended, Moving, Rerouted, Reset, Silent, Told
from .client_link import AWAY_S, Datagram, Link, OfAnotherRun, Position
from .client_path import is_tcp
from .client_uplink import Uplink
from .grant import Grant
from .lines import Covered, Down, DownLine, Resumed, SaidLine, UpLine, bodies_of, parse_down_untrusted, serialize
from .packets import Kind, Packet

LINGER_S = 10.0
"""How long entries before the end of a membership are waited for, when they are known to be missing and the server
tells the end no more."""
LAST_LINGER_S = 60.0
"""How long they are waited for at most: as long as a server has a closed room."""
LEFT = "left"
"""The ending that the client has asked for: it waits for no entries before that."""
MOVING_S = 300.0
"""The longest time that a server may let its clients take to go elsewhere."""
LEAVE_S = 0.25
"""Between repeats of `leave`."""
STANDS_S = 2.0
"""How long a client whose server is not silent waits for progress before it resumes."""
IN_VAIN, IN_VAIN_S = 3, 1.25
"""After so many resumes without progress, each for so long, it leaves UDP. A silent server is suspected only later."""
EARLY = 512
"""Packets that are kept while an answer to `resume` is awaited: 100 long entries, as a server sends them at once."""
MAX_SAID = 3_807
"""Bytes of a text up."""


class SealedClient:
    """A member of a room, as its client sees it."""

    def __init__(
        self,
        grant: Grant,
        now: float,
        dice: Random,
        servers: int = 1,
        server: int = 0,
        *,
        has_tcp: bool = False,
        before: frozenset[int] = frozenset(),
    ) -> None:
        """Begin with what the handshake granted.

        Args:
            now: the time, in seconds of any steady clock.
            dice: for the jitter of repeats.
            servers: the number of the server's addresses; datagrams name one by its index.
            server: the address of the handshake.
            has_tcp: datagrams with a negative `server` can be sent by TCP (`client_path`), where UDP does not pass.
            before: the members that this client was, when it has joined again.
        """
        self.name = grant.name
        """As the server has told it last in `resumed`; entries tell of changes in between."""
        self.malformed = 0
        """Datagrams that were dropped: no packets of this session, or such that have come before."""
        self.has_ended = False
        self._member = grant.member
        self.members = before | {grant.member}
        """All that this client was and is, by their numbers."""
        self._link = Link(grant, now, dice, servers, server, has_tcp=has_tcp)
        self._up = Uplink()
        self._down = Downlink(grant.epoch, grant.offset)
        self._events: list[ClientEvent] = []
        self._early: deque[tuple[bytes, int]] = deque(maxlen=EARLY)
        """Packets of other runs that came while this client resumes, and open: some may have overtaken the answer."""
        self._ended: tuple[Ended, int, float] | None = None
        """The end as the server tells it, the offset up to which this client gets entries (0: not told), and when it
        was first told."""
        self._ends_at = 0.0
        """When to wait for these no longer."""
        self._leave_at: float | None = None
        self._dice = dice
        self._is_rerouted = False
        """As the user was told."""
        self._lacks_room = False
        """As the server has told the user: it does not reach the room."""
        self._move_at: tuple[float, tuple[str, ...]] | None = None
        """When to go on at another server, and where."""
        self._missed: int | None = 0
        self._whole_since: float | None = now
        """Since when no entry is known to be missing; None: some are."""
        self._reached = self._progress()
        self._stands_since: float | None = None
        """Since when it stands there although something is missing or not kept, or since it was last resumed."""
        self._in_vain = 0
        """How often it was resumed without progress."""

    # --- what the user wants ---

    def say(self, text: str, now: float, *, is_command: bool = False) -> int:
        """Say a text or a command; return its number for Kept or LineRefused; raise ValueError if it is too long."""
        if len(text.encode()) > MAX_SAID:
            raise ValueError(f"a text of {len(text.encode())} bytes; it has at most {MAX_SAID}")
        number = self._up.add(text, not is_command, now)
        self._send(now)
        return number

    def leave(self, now: float) -> None:
        """Leave the room: Ended follows."""
        if self._leave_at is None:
            self._leave_at = now
            self._send(now)

    def move(self, now: float) -> None:
        """Resume: this client has another address, or its network another way."""
        self._link.forget_cookies(now)
        self.resume(now)

    def rebind(self, now: float) -> None:
        """Go on with another UDP socket, on the same network."""
        self._link.rebind(now)
        self._send(now)

    def resume(self, now: float) -> None:
        """Resume at once, as after signs that the server was started again."""
        self._link.resume(now)
        self._send(now)

    def check(self, now: float) -> None:
        """Ask the server whether it is there."""
        self._link.ping(now)
        self._send(now)

    def lose(self, way: int, now: float) -> None:
        """Note that the connection of a way by TCP has ended."""
        if not self.has_ended:
            self._link.lose(way, now)
            self._send(now)

    # --- what happens ---

    def receive(self, data: bytes, now: float, server: int = 0) -> None:
        """Take a datagram that came by a way; what is no packet of this session is counted."""
        if self.has_ended:
            return
        try:
            self._receive_untrusted(data, now, server)
        except OfAnotherRun:
            if self._link.is_resumed:
                self.malformed += 1
            else:
                self._early.append((data, server))
        except MalformedMessage:
            self.malformed += 1
        self._send(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if not self.has_ended:
            self._send(now)

    @property
    def deadline(self) -> float | None:
        """When to call `tick`, at the latest; None: never."""
        if self.has_ended:
            return None
        times = [self._link.deadline()]
        if self._ended is not None:
            times.append(self._ends_at)
        if self._move_at is not None:
            times.append(self._move_at[0])
        if self._link.is_resumed:
            more = (self._up.deadline(self._whole_since), self._down.deadline(), self._leave_at)
            times += [at for at in more if at is not None]
            if (since := self._up.unkept_since) is not None:
                times.append(since + AWAY_S)
            if self._link.may_leave_udp and self._stands_since is not None:
                times.append(self._stands_since + self._patience_s)
        return min(times)

    def datagrams_to_send(self) -> list[Datagram]:
        """Return the datagrams to send, and forget them."""
        out, self._link.out = self._link.out, []
        return out

    def events(self) -> list[ClientEvent]:
        """Return what has happened, and forget it."""
        events, self._events = self._events, []
        return events

    @property
    def is_resumed(self) -> bool:
        """Whether a server serves this session, as far as is known."""
        return self._link.is_resumed

    @property
    def waiting(self) -> int:
        """How many lines are neither kept nor refused."""
        return self._up.waiting

    @property
    def position(self) -> tuple[int, int]:
        """Epoch and offset up to which everything is delivered, or reported as lost."""
        return self._down.epoch, self._down.offset

    @property
    def server(self) -> int:
        """The index of the address that serves this session, or is asked to."""
        return self._link.server

    @property
    def way(self) -> int:
        """The way by which this session is served, or was at last; negative: by TCP (`client_path`)."""
        return self._link.way

    @property
    def round_trip_s(self) -> float:
        """How long the server takes to answer, smoothed; 0: not known."""
        return self._link.round_trip_s

    def set_servers(self, servers: int) -> None:
        """Note that the server has more addresses, behind those that are known."""
        self._link.servers = servers

    def go_to(self, server: int, servers: int, now: float) -> None:
        """Resume at one of the server's addresses, of which there are now `servers`."""
        if server != self.server:
            self._link.avoid(now)
        self._link.server, self._link.servers = server, servers
        self.resume(now)

    # --- receiving ---

    def _receive_untrusted(self, data: bytes, now: float, server: int) -> None:
        packet, body = self._link.open_untrusted(data)
        if packet.kind == Kind.RETRY:
            self._link.take_retry(packet, server, now, self._position())
        elif packet.kind == Kind.GONE:
            if self._link.shows(packet):
                # To a client that leaves this is the answer, if the first one was lost.
                reason = "gone" if self._leave_at is None else LEFT
                self._end(*((Ended(reason, ""), 0) if self._ended is None else self._ended[:2]), now)
        elif body is not None:
            lines = parse_down_untrusted(body)
            if not self._link.is_current(packet):
                self._take_new_run(packet, lines, now)
            else:
                self._take(lines, now)

    def _take_new_run(self, packet: Packet, lines: list[tuple[Down, bytes]], now: float) -> None:
        answers = [line.resumed for line, _ in lines if isinstance(line, DownLine) and line.resumed is not None]
        resumed = answers[0] if answers else None
        was_away = self._link.is_away or self._lacks_room
        if resumed is None or not self._link.take_resumed(packet, resumed.to, now):
            if self._link.is_taken_over(packet.run, now):
                self._link.resume(now)
            raise OfAnotherRun
        self._move_at = None
        self._missed = 0
        self._stands_since, self._in_vain = now, self._in_vain + 1
        self._take(lines, now)
        if was_away:
            self._link.is_away = self._lacks_room = False
            self._events.append(Back(self._missed))
        early = list(self._early)
        self._early.clear()
        for data, server in early:
            self.receive(data, now, server)

    def _take(self, lines: list[tuple[Down, bytes]], now: float) -> None:
        body: Range | None = None
        ranges: list[Range] = []
        for line, raw in lines:
            if isinstance(line, SaidLine):
                if body is not None:
                    own = line.number if line.number and line.member == self._member else None
                    is_own = bool(line.number) and line.member in self.members
                    body.entries.append(Delivered(line.n, raw, own, is_own))
            elif isinstance(line, Covered):
                body = Range(line.after, line.to)
                ranges.append(body)
            elif line.n is not None:
                if body is not None:
                    body.entries.append(Delivered(line.n, raw, cause=self._cause(line)))
            elif not self._take_answer(line, now):
                if line.notice in ("away", "back"):
                    self._lacks_room = line.notice == "away"
                self._events.append(Told(raw, self._cause(line)))
        if any(each.entries for each in ranges):
            self._link.note_entries(now)
        for each in ranges:
            self._deliver(self._down.take(each, now, self._link.round_trip_s), now)
        if self._ended is not None and self._down.deadline() is None:
            self._end(*self._ended[:2], now)

    def _cause(self, line: DownLine) -> int | None:
        return line.number if line.number and line.member == self._member else None

    def _take_answer(self, line: DownLine, now: float) -> bool:
        """Take a line that is no entry; return whether it is known here."""
        if line.resumed is not None:
            self._take_resumed(line.resumed, now)
        elif line.kept is not None:
            self._keep(line.kept, now)
        elif line.refused is not None:
            if self._link.is_resumed:
                self._events += self._up.refuse(line.refused, line.again, line.text, now)
                self._stands_since, self._in_vain = now, 0
        elif line.pong is not None:
            self._link.take_pong(line.pong, line.away, now)
            if line.epoch != self._down.epoch:
                self._link.resume(now)
            self._down.note_last(line.epoch, line.last, now)
        elif line.ended is not None:
            if self._ended is None:
                self._ended = Ended(line.ended, line.text), line.last, now
            self._ends_at = min(now + LINGER_S, self._ended[2] + LAST_LINGER_S)
            if line.ended != LEFT:
                self._down.note_last(self._down.epoch, line.last, now)
        elif line.moving is not None:
            if self._move_at is None and self._link.is_resumed:
                within_s = min(line.moving.within, MOVING_S)
                self._move_at = now + self._dice.uniform(0.0, within_s), tuple(line.moving.to)
        else:
            return False
        return True

    def _take_resumed(self, resumed: Resumed, now: float) -> None:
        """Take the position from which the server goes on."""
        # A late answer: what it tells is told already, and this client has begun in that epoch.
        is_told = resumed.to > 0 and resumed.epoch == self._down.epoch != self._link.asked_epoch
        state = "complete" if is_told else resumed.state
        down = self._down.resume(state, resumed.epoch, resumed.offset, now, self._link.round_trip_s)
        if resumed.to:
            self.name = resumed.name
            self._events += self._up.resume(resumed.said, now)
        self._deliver(down, now)

    def _deliver(self, events: list[DownEvent], now: float) -> None:
        for event in events:
            self._events.append(event)
            if isinstance(event, Delivered):
                if event.number is not None:
                    self._up.note_entry(event.number, event.offset)
                    self._keep(event.number, now)
                continue
            self._events += self._up.stop_waiting_for_entries()
            if isinstance(event, Reset):
                self._missed = None
            elif self._missed is not None:
                self._missed += event.last - event.first + 1

    def _keep(self, number: int, now: float) -> None:
        # While this client resumes, the next server may begin with a lower `said`, and waits for what follows that.
        if self._link.is_resumed:
            kept, sample = self._up.keep(number, now)
            self._events += kept
            if sample is not None:
                self._link.note_round_trip(sample)
        else:
            self._events += self._up.settled()

    def _end(self, ended: Ended, last: int, now: float) -> None:
        self.has_ended = True
        is_whole = 0 < last <= self._down.offset
        # A client that leaves does not wait for entries, so those that lack are no news. A host's room is closed then.
        if ended.reason != LEFT and self._leave_at is None:
            self._deliver(self._down.give_up(), now)
        self._events += self._up.keep_heard(now)  # those that have come while this client resumed
        self._events += self._up.stop_waiting_for_entries()
        self._events.append(msgspec.structs.replace(ended, is_whole=is_whole))

    # --- sending ---

    def _position(self) -> Position:
        return self._down.epoch, self._down.offset, self._up.next_number

    def _send(self, now: float) -> None:
        """Send what is due, and see what is overdue."""
        if self._ended is not None and now >= self._ends_at and not self.has_ended:
            self._end(*self._ended[:2], now)
        if self.has_ended:
            return
        if self._move_at is not None and now >= self._move_at[0]:
            self._go_on(self._move_at[1], now)
        if self._down.deadline() is None:
            if self._whole_since is None:
                self._whole_since = now
            self._events += self._up.overdue(now, self._whole_since)
            if self._link.is_resumed and self._up.misses_entry(now, self._whole_since):
                self._link.ping(now)
        else:
            self._whole_since = None
        self._look_for_progress(now)
        since = self._up.unkept_since
        if self._link.is_resumed and since is not None and now >= since + AWAY_S:
            # The server answers, but keeps nothing: its broker is away. Another one may be better.
            self._link.resume(now)
            self._set_away()
        if self._link.is_suspect(now):
            self._events.append(Silent())
        if self._link.tick(now, self._position()):
            self._events.append(Away())
        if self._link.is_rerouted != self._is_rerouted:
            self._is_rerouted = not self._is_rerouted
            self._events.append(Rerouted(self._is_rerouted))
        if not self._link.is_resumed:
            return
        lines = [*self._up.due(now, self._link.round_trip_s, is_lossless=is_tcp(self._link.way))]
        lines += [UpLine(want=want) for want in self._down.wants(now, self._link.round_trip_s)]
        if self._leave_at is not None and now >= self._leave_at:
            lines.append(UpLine(leave=True))
            self._leave_at = now + LEAVE_S
        for body in bodies_of(map(serialize, lines)):
            self._link.send(body, now, must_be_answered=True)

    def _progress(self) -> tuple[int, int]:
        return self._down.offset, self._up.next_number

    @property
    def _patience_s(self) -> float:
        return max(STANDS_S, self._link.suspect_s) if self._in_vain < IN_VAIN else IN_VAIN_S

    def _look_for_progress(self, now: float) -> None:
        """Resume by TCP if the server answers, and yet holes stay open or lines are not kept.

        UDP then carries small packets only. A server whose broker is away answers no `resume`.
        """
        if self._down.deadline() is None and not self._up.waiting:
            self._stands_since, self._in_vain = None, 0
        elif self._stands_since is None or self._reached != self._progress():
            self._reached, self._stands_since, self._in_vain = self._progress(), now, 0
        elif self._link.may_leave_udp and now >= self._stands_since + self._patience_s:
            self._stands_since = now
            if self._in_vain < IN_VAIN:
                self._link.resume(now)
            else:
                self._link.leave_udp(now)

    def _go_on(self, to: tuple[str, ...], now: float) -> None:
        """Leave a server that stops."""
        self._move_at = None
        if to:
            self._events.append(Moving(to))
        else:
            self._link.go_on(now)

    def _set_away(self) -> None:
        if not self._link.is_away:
            self._link.is_away = True
            self._events.append(Away())
