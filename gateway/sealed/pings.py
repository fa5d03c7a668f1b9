"""Answer pings; PROTOCOL.md, "Bodies" and "Life".

10,000 members at rest ping 444 times a second (benchmarks, "each with a ping in 22.5 s"). So a packet that has a ping
and nothing else is answered in few steps: the usual way (`receive.py`), which all others take, has a third more.
"""

from dataclasses import dataclass, field

from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.lines import LONGEST_PING, ping_of, serialize_pong
from tsudoi.protocol.sealed.packets import COUNT_AT, HEADER_SIZE, RUN_AT
from tsudoi.protocol.sealed.suites import TAG_SIZE, open_untrusted

from ..chat.broker_away import BrokerAway
from ..chat.members import Member
from ..chat.outbound import Component
from .group import SealedGroup
from .link import SealedLink
from .sender import Sender

LONGEST = HEADER_SIZE + TAG_SIZE + LONGEST_PING
"""Bytes of a packet above which it is no ping: what is opened here and is none is opened twice."""
ASKS, ASKS_S = 100, 2.0
"""Lines of a member that are answered (`ping`, `want`) in this time: `want` may come each 0.06 s."""


@dataclass(slots=True, eq=False)
class Pings(Component):
    """Answers members of version 2."""

    sender: Sender
    broker_away: BrokerAway
    _asked: dict[SealedLink, int] = field(default_factory=dict)
    """How many lines each member has asked in the present `ASKS_S`; a member at rest takes no place."""
    _asked_until: float = 0.0

    def handle_untrusted(self, member: Member, link: SealedLink, data: bytes, now: float) -> bool:
        """Answer a packet of the run that is served at its source, if it has a ping and nothing else.

        Otherwise change nothing, and return False.
        """
        if len(data) > LONGEST:
            return False
        header, window, group = data[:HEADER_SIZE], link.window, member.recipients
        count = int.from_bytes(header[COUNT_AT:])
        if not data.startswith(link.head) or window.has(count) or not isinstance(group, SealedGroup) or member.leaving:
            return False
        ciphers = self.sender.keys.borrow(link.session)
        try:
            ping = ping_of(open_untrusted(ciphers.up.decrypt, header[RUN_AT:], data[HEADER_SIZE:], header))
        except MalformedMessage:
            return False
        if ping is None or not group.has_sent_all(member.id) or self._asked.get(link, 0) >= ASKS:
            return False
        self.may_ask(link, now)
        window.add(count)
        self.counters.sealed_opened += 1
        member.seen = now
        self.out.send(link.listener, link.address, link.seal(self._pong(member, ping, member.room.position), ciphers))
        return True

    def may_ask(self, link: SealedLink, now: float) -> bool:
        """Return whether one more line of a member is answered; count it."""
        if now >= self._asked_until:
            self._asked.clear()
            self._asked_until = now + ASKS_S
        asked = self._asked[link] = self._asked.get(link, 0) + 1
        if asked <= ASKS:
            return True
        self.counters.questions_limited += 1
        return False

    def answer(self, member: Member, link: SealedLink, ping: int) -> None:
        """Answer a ping, and send what the member has not been sent of its own."""
        group, last = member.recipients, member.cursor
        more = b""
        if isinstance(group, SealedGroup):
            group.flush()
            last = member.room.position
            if len(rest := group.rest_of(member.id, last)) == 1:
                (more,) = rest
        pong = self._pong(member, ping, last)
        if not more:
            link.send_body(pong)
        else:
            link.send_bodies([pong, more] if len(more) > 1_000 else [pong + b"\n" + more])

    def _pong(self, member: Member, ping: int, last: int) -> bytes:
        room = member.room
        return serialize_pong(ping, room.epoch, last, is_away=self.broker_away.is_away(room))
