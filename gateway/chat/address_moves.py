"""Decide whether a member's datagrams may come from another address than before; PROTOCOL.md, "Addresses"."""

from dataclasses import dataclass

from tsudoi.ops.token_bucket import Bucket

from ..config import Settings
from ..counters import Counters
from ..listeners import sockaddr
from .destination import Destinations
from .members import Member

MOVES_S, MOVES = 2.0, 20.0
"""Moves of a member a second in the long run, and at once: each costs its group and the directory some work."""


@dataclass(slots=True, eq=False)
class AddressMoves:
    """Follows members to other addresses; `now` is monotonic seconds."""

    settings: Settings
    destinations: Destinations
    counters: Counters

    def follow(self, member: Member, listener: int, source: bytes, now: float) -> bool:
        """Follow a member to the address of its datagram, or return False if the datagram is not to be accepted."""
        ip = sockaddr.ip_bytes(source)
        if not sockaddr.same_host(ip, member.ip) and not self.may_change_host(member, now):
            self.counters.wrong_addresses += 1
            return False
        if member.address is not None:
            sender = member.sender_state()
            if sender.moves is None:
                sender.moves = Bucket(MOVES, now)
            if not sender.moves.touch(now, MOVES_S, MOVES):
                self.counters.moves_limited += 1
                return False
            if member.dialect.port_stays:
                source = sockaddr.with_port(source, sockaddr.unpack(member.address)[1])
            if source != member.address:
                self.counters.moved_addresses += 1
        self.note_host(member, ip)
        member.ip = ip
        if (source, listener) != (member.address, member.listener):
            self.destinations.locate(member, listener, source, now)
        return True

    def may_change_host(self, member: Member, now: float) -> bool:
        """Say whether another host may take a member's place by now: nothing has come from it for a while."""
        return self.settings.check_ip == "off" or now - member.seen >= self.settings.move_after_s

    def note_host(self, member: Member, other: bytes) -> None:
        """Note that a member has come from another host than its present one, if so and if hosts are checked."""
        if self.settings.check_ip == "strict" and not sockaddr.same_host(other, member.ip):
            member.sender_state().moved_host = True
