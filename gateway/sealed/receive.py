"""Receive packets of version 2, and carry out their lines; PROTOCOL.md, "Packets" and "Bodies".

A packet of the run that is served at its source is opened here. Any other goes to `resuming.py`. A packet that can not
be opened is counted, and never answered.
"""

from dataclasses import dataclass, field

from tsudoi.protocol.codes import LeaveReason
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed import lines
from tsudoi.protocol.sealed.lines import UpLine
from tsudoi.protocol.sealed.packets import (
    BODY,
    COUNT_AT,
    HEADER_SIZE,
    MARK,
    MAX_PACKET,
    PART,
    RUN_AT,
    SESSION_AT,
)
from tsudoi.protocol.sealed.parts import Parts
from tsudoi.protocol.sealed.suites import open_untrusted

from ..chat.flooding import Flooding
from ..chat.leave import Leaving
from ..chat.members import Member
from ..chat.outbound import Component
from .keys import TICK_S
from .link import SealedLink
from .pings import Pings
from .resuming import Resuming
from .saying import Saying
from .sender import Sender
from .wants import Wants


@dataclass(slots=True, eq=False)
class SealedReceiver(Component):
    """Handles the packets of members of version 2."""

    sender: Sender
    resuming: Resuming
    saying: Saying
    wants: Wants
    leaving: Leaving
    flooding: Flooding
    pings: Pings
    _ticked_at: float = 0.0
    _with_parts: set[SealedLink] = field(default_factory=set)
    _parts_before: set[SealedLink] = field(default_factory=set)
    """Links whose bodies wait for parts: for a while."""

    def handle_untrusted(self, listener: int, data: bytes, source: bytes, now: float) -> None:
        """Handle a datagram that begins with the byte 0."""
        member = self.members.by_session.get(data[SESSION_AT:RUN_AT])
        link = None if member is None else member.sealed
        if not HEADER_SIZE <= len(data) <= MAX_PACKET:
            self.counters.sealed_dropped["malformed"] += 1
        elif (
            member is not None
            and link is not None
            and link.head[SESSION_AT:] == data[SESSION_AT:COUNT_AT]
            and link.address == source
            and link.listener == listener
        ):
            if not self.pings.handle_untrusted(member, link, data, now):
                self._open_untrusted(member, link, data, source, now)
        else:
            self.resuming.handle_untrusted(data, link, listener, source, now)

    def _open_untrusted(self, member: Member, link: SealedLink, data: bytes, source: bytes, now: float) -> None:
        """Open a packet of the run that is served at its source, and carry it out."""
        header, kind = data[:HEADER_SIZE], data[1]
        count = int.from_bytes(header[COUNT_AT:])
        if link.window.has(count):
            self.counters.sealed_dropped["replayed"] += 1
            return
        if data[0] != MARK or (kind != BODY and kind != PART):
            self.counters.sealed_dropped["malformed"] += 1
            return
        try:
            cipher = self.sender.keys.borrow(link.session).up
            opened = open_untrusted(cipher.decrypt, header[RUN_AT:], data[HEADER_SIZE:], header)
            link.window.add(count)
            body = opened if kind == BODY else self._add_part(link, count, opened)
            found = lines.parse_up_untrusted(body) if body else []
        except MalformedMessage:
            self.counters.sealed_dropped["forged"] += 1
            self.sender.keys.find(link.session)  # more may come
            return
        self.counters.sealed_opened += 1
        if not member.leaving:
            member.seen = now
            run = link.head
            says = [line for line in found if line.say is not None and line.number]
            had_effect = bool(says) and self.saying.say(link, run, says, now)
            for line in found if len(says) < len(found) else ():
                had_effect |= line.say is None and self._take(member, link, run, count, line, source, now)
            wasted = not had_effect if body is not None else _given_up(link)
            if wasted or says:
                self.sender.keys.find(link.session)  # more may come
            for _ in range(wasted):
                self.flooding.ignored(member, source, now)

    def _add_part(self, link: SealedLink, count: int, part: bytes) -> bytes | None:
        if link.parts is None:
            link.parts = Parts()
        self._with_parts.add(link)
        return link.parts.add_untrusted(link.run, count, part)

    def _take(
        self, member: Member, link: SealedLink, run: bytes, count: int, line: UpLine, source: bytes, now: float
    ) -> bool:
        """Carry out a line; return whether it had an effect."""
        if member.leaving or link.head != run:
            return True  # a line before it has ended this
        if line.resume is not None:
            return self.resuming.take(link.session, count, line.resume, link.listener, source, now)
        if line.leave:
            self.leaving.leave(member, LeaveReason.LEFT, now)
            return True
        if (line.want is None and line.ping is None) or not self.pings.may_ask(link, now):
            return False
        if line.want is not None:
            self.wants.want(link, *line.want, now)
        elif line.ping is not None:
            self.pings.answer(member, link, line.ping)
        return True

    def tick(self, now: float) -> None:
        """Every `TICK_S` drop ciphers and parts of bodies that are not in use; `now` is monotonic seconds."""
        if now - self._ticked_at < TICK_S:
            return
        self._ticked_at = now
        self.sender.tick()
        self.resuming.tick(now)
        for link in self._parts_before - self._with_parts:
            link.parts = None
        self._parts_before, self._with_parts = self._with_parts, set()


def _given_up(link: SealedLink) -> int:
    """Return how many parts have come for nothing since the last call: such as no other part has followed."""
    if link.parts is None:
        return 0
    count, link.parts.given_up = link.parts.given_up, 0
    return count
