"""A small honest server of version 2 in pure time: one broker, some gateways, no speed, no limits.

It is written from PROTOCOL.md, and shares only the codec with the client.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from tsudoi.protocol.client.refusals import MUTED
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed import packets
from tsudoi.protocol.sealed.grant import Grant
from tsudoi.protocol.sealed.lines import Resume, Resumed, UpLine, join, parse_up_untrusted, serialize_range
from tsudoi.protocol.sealed.packets import NO_RUN, Kind
from tsudoi.protocol.sealed.parts import MAX_WHOLE, Parts, divide
from tsudoi.protocol.sealed.replay_window import ReplayWindow
from tsudoi.protocol.sealed.suites import check_of, cipher, open_untrusted

Address = str
Later = Callable[[float, Callable[[], None]], None]
"""Call something after some seconds."""


def line(**fields: Any) -> bytes:
    return msgspec.json.encode({key.rstrip("_"): value for key, value in fields.items()})


@dataclass
class Entry:
    offset: int
    member: int
    sender: str
    text: str
    number: int

    def encode(self) -> bytes:
        if not self.member:
            return line(n=self.offset, notice="announced", said=self.text, text=self.text)
        return msgspec.json.encode([self.offset, self.sender, self.text, self.member, self.number])


@dataclass
class Member:
    grant: Grant
    said: int = 0
    muted_texts: set[str] = field(default_factory=set)


class Broker:
    """The room: its log, and who may say what."""

    def __init__(self) -> None:
        self.epoch = 1
        self.refusal = MUTED
        """Why a line is refused."""
        self.log: list[Entry] = []
        self.first = 1
        """The lowest offset that the log still has."""
        self.members: dict[bytes, Member] = {}
        self.gateways: list[Gateway] = []

    @property
    def last(self) -> int:
        return self.first - 1 + len(self.log)

    def append(self, member: int, sender: str, text: str, number: int = 0) -> None:
        self.log.append(Entry(self.last + 1, member, sender, text, number))

    def say(self, session: bytes, number: int, after: int, text: str) -> tuple[str, int]:
        """Return `kept` and the last kept number; `waits`; or `refused`."""
        member = self.members[session]
        if number <= member.said or after < member.said:
            return "kept", member.said
        if after > member.said:
            return "waits", 0
        if text in member.muted_texts:
            return "refused", number
        self.append(member.grant.member, member.grant.name, text, number)
        member.said = number
        return "kept", number

    def trim(self, keep: int) -> None:
        gone = max(len(self.log) - keep, 0)
        del self.log[:gone]
        self.first += gone


@dataclass
class Serving:
    """One session at one gateway."""

    member: Member
    run: bytes
    epoch: int
    address: Address
    delivered: int
    taken: int
    count: int = 0
    held: dict[int, UpLine] = field(default_factory=dict)
    refused: dict[int, bytes] = field(default_factory=dict)
    bursts: int = 0


class Gateway:
    """Holds clients; forgets all when it is started again."""

    def __init__(
        self, broker: Broker, dice: Random, later: Later, send: Callable[[Address, bytes], None], nonces: set[bytes]
    ) -> None:
        self._broker, self._dice, self._later, self._send = broker, dice, later, send
        self._nonces = nonces
        self.is_frozen = False
        self._waiting: list[Callable[[], None]] = []
        self._starts = 0
        self.again = 0
        """Lines to refuse for now."""
        self.start()

    def start(self) -> None:
        self.serving: dict[bytes, Serving] = {}
        self._cookies: dict[bytes, tuple[bytes, Address]] = {}
        self._windows: dict[bytes, ReplayWindow] = {}
        self._parts: dict[bytes, Parts] = {}
        self._to_broker: list[tuple[Serving, UpLine, int]] = []
        self._starts += 1

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        self.is_frozen = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def receive(self, data: bytes, address: Address) -> None:
        self._do(lambda: self._receive(data, address))

    def _do(self, act: Callable[[], None]) -> None:
        if self.is_frozen:
            self._waiting.append(act)
        else:
            act()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        starts = self._starts

        def still() -> None:
            if starts == self._starts:
                act()

        self._later(seconds, lambda: self._do(still))

    # --- up ---

    def _receive(self, data: bytes, address: Address) -> None:
        try:
            packet = packets.parse_untrusted(data)
            member = self._broker.members.get(packet.session)
            if member is None or packet.kind not in (Kind.BODY, Kind.PART):
                return
            up = cipher(member.grant.suite, member.grant.up)
            body: bytes | None = open_untrusted(up.decrypt, packet.nonce, packet.rest, packet.header)
            window = self._windows.setdefault(packet.session, ReplayWindow())
            if window.has(packet.count):
                return
            window.add(packet.count)
            assert body is not None
            if packet.kind == Kind.PART:
                body = self._parts.setdefault(packet.session, Parts()).add_untrusted(packet.run, packet.count, body)
                if body is None:
                    return
            lines = parse_up_untrusted(body)
        except MalformedMessage:
            return
        resume = next((each.resume for each in lines if each.resume is not None), None)
        serving = self.serving.get(packet.session)
        if resume is not None:
            cookie = bytes.fromhex(resume.cookie)
            if self._cookies.get(cookie) == (packet.session, address):
                self._after(0.002, lambda: self._resume(packet.session, packet.count, resume, address))
                return
        if resume is not None or serving is None or (serving.address, serving.run) != (address, packet.run):
            self._retry(packet.session, address, member)
            return
        for each in lines:
            self._take(serving, each)

    def _retry(self, session: bytes, address: Address, member: Member) -> None:
        cookie = self._dice.randbytes(12)
        self._cookies[cookie] = session, address
        header = packets.serialize_cookie_header(Kind.RETRY, session, cookie)
        self._send(address, header + check_of(member.grant.check, header))

    def _resume(self, session: bytes, count: int, resume: Resume, address: Address) -> None:
        broker = self._broker
        member = broker.members.get(session)
        if member is None:
            return
        for gateway in broker.gateways:
            if gateway is not self:
                gateway.serving.pop(session, None)
        offset, state, lost = resume.offset, "complete", None
        if resume.epoch != broker.epoch or offset > broker.last:
            offset, state = broker.first - 1, "reset"
        elif offset < broker.first - 1:
            lost, offset, state = (offset + 1, broker.first - 1), broker.first - 1, "gap"
        run = self._dice.randbytes(6)
        assert run != NO_RUN
        serving = self.serving[session] = Serving(member, run, broker.epoch, address, offset, member.said)
        answer = Resumed(
            to=count,
            epoch=broker.epoch,
            offset=offset,
            said=member.said,
            name=member.grant.name,
            state=state,  # type: ignore[arg-type]
            lost=lost,
        )
        self._send_body(serving, line(resumed=answer))
        self._deliver(serving)

    def _take(self, serving: Serving, up: UpLine) -> None:
        if up.say is not None:
            assert up.number
            if up.number in serving.refused:
                self._send_body(serving, serving.refused[up.number])
            elif up.number <= serving.taken:
                self._after(0.001, lambda: self._tell_kept(serving))
            else:
                serving.held[up.number] = up
                self._forward(serving)
        elif up.want is not None:
            self._want(serving, *up.want)
        elif up.ping is not None:
            self._send_body(serving, line(pong=up.ping, epoch=self._broker.epoch, last=self._broker.last))
        elif up.leave:
            self._broker.members.pop(serving.member.grant.session, None)
            self._send_body(serving, line(ended="left", text="bye"))

    def _forward(self, serving: Serving) -> None:
        for number in sorted(serving.held):
            up = serving.held[number]
            after = number - 1 if up.after is None else up.after
            if after > serving.taken:
                continue
            del serving.held[number]
            if self.again:
                self.again -= 1
                self._send_body(serving, line(refused=number, again=True, text="slower"))
                continue
            serving.taken = number
            # To the broker in their order, whatever each takes.
            self._to_broker.append((serving, up, after))
            self._after(self._dice.uniform(0.001, 0.006), lambda: self._say(*self._to_broker.pop(0)))

    def _say(self, serving: Serving, up: UpLine, after: int) -> None:
        broker, session = self._broker, serving.member.grant.session
        assert up.number
        assert up.say is not None
        if session not in broker.members:
            return
        if serving.epoch != broker.epoch:
            return
        what, number = broker.say(session, up.number, after, up.say)
        if what == "refused":
            serving.taken = serving.member.said
            serving.refused[number] = line(refused=number, text=broker.refusal)
            self._send_body(serving, serving.refused[number])
        elif what == "waits":
            serving.taken = min(serving.taken, serving.member.said)
        else:
            serving.taken = max(serving.taken, number)
            self._tell_kept(serving)
            for gateway in broker.gateways:
                gateway._after(self._dice.uniform(0.001, 0.004), gateway.deliver)

    def _tell_kept(self, serving: Serving) -> None:
        if serving.member.said:
            self._send_body(serving, line(kept=serving.member.said))

    # --- down ---

    def deliver(self) -> None:
        for session, serving in list(self.serving.items()):
            if serving.epoch != self._broker.epoch:
                del self.serving[session]
                self._retry(session, serving.address, serving.member)
            else:
                self._deliver(serving)

    def _deliver(self, serving: Serving) -> None:
        if serving.delivered >= self._broker.last:
            return
        last = self._send_entries(serving, serving.delivered, self._broker.last)
        serving.delivered = self._broker.last
        serving.bursts += 1
        burst = serving.bursts

        def repeat() -> None:
            if serving.bursts == burst and self.serving.get(serving.member.grant.session) is serving:
                self._send_body(serving, last)

        self._after(0.06, repeat)
        self._after(0.16, repeat)

    def _want(self, serving: Serving, after: int, to: int) -> None:
        broker = self._broker
        if serving.epoch != broker.epoch:
            self.deliver()
        elif after < broker.first - 1:
            offset = broker.first - 1
            resumed = Resumed(
                to=0,
                epoch=broker.epoch,
                offset=offset,
                said=serving.member.said,
                name=serving.member.grant.name,
                state="gap",
                lost=(after + 1, offset),
            )
            self._send_body(serving, line(resumed=resumed))
        else:
            self._send_entries(serving, after, min(to, broker.last))

    def _send_entries(self, serving: Serving, after: int, to: int) -> bytes:
        """Send the entries behind `after`, up to `to`; return the last body."""
        body = b""
        lines: list[bytes] = []
        start = max(after, self._broker.first - 1)
        first = start
        for at in range(start + 1, to + 1):
            lines.append(self._broker.log[at - self._broker.first].encode())
            if at == to or sum(map(len, lines)) > self._dice.choice((100, 900, 3_000)):
                body = join([serialize_range(first, at), *lines])
                self._send_body(serving, body)
                first, lines = at, []
        return body

    def _send_body(self, serving: Serving, body: bytes) -> None:
        grant = serving.member.grant
        down = cipher(grant.suite, grant.down)
        kind = Kind.BODY if len(body) <= MAX_WHOLE else Kind.PART
        for part in [body] if kind is Kind.BODY else divide(body):
            serving.count += 1
            header = packets.serialize_header(kind, grant.session, serving.run, serving.count)
            assert header[2:] not in self._nonces, "a nonce repeats"
            self._nonces.add(header[2:])
            self._send(serving.address, header + down.encrypt(header[18:], part, header))
