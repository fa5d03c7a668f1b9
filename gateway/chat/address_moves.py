"""Keep each member's UDP address, and decide when it may change; PROTOCOL.md, "Addresses"."""

from dataclasses import dataclass

from tsudoi.ops.token_bucket import Bucket

from ..listeners import sockaddr
from ..listeners.bound import Bound
from . import backlog, kept_address
from .catch_up import CatchUp
from .groups import Groups
from .members import Member
from .outbound import Component

MOVES_S, MOVES = 2.0, 20.0
"""Address changes of a member: rate per second, and burst. Each costs its group and the directory some work."""


@dataclass(slots=True, eq=False)
class AddressMoves(Component):
    """Updates members' addresses."""

    groups: Groups
    catch_up: CatchUp
    listeners: list[Bound]
    """One item for each UDP listener."""

    def follow(self, member: Member, listener: int, source: bytes, now: float) -> bool:
        """Set a member's address to the source of its datagram, or return False if the datagram must be dropped."""
        ip = sockaddr.ip_bytes(source)
        if not sockaddr.same_host(ip, member.ip) and not self.may_change_host(member, now):
            self.counters.wrong_addresses += 1
            return False
        if member.address is not None:
            if member.dialect.port_stays:
                source = sockaddr.with_port(source, sockaddr.port(member.address))
            is_elsewhere = sockaddr.peer(source) != sockaddr.peer(member.address)
            if (source, listener) != (member.address, member.listener) and not self._may_move(member, now):
                # A client that sends to several addresses of this host in turn is where it was.
                return not is_elsewhere and listener == member.listener
            self.counters.moved_addresses += is_elsewhere
        self._change_host(member, ip)
        if (source, listener) != (member.address, member.listener):
            self._locate(member, listener, source, now)
        return True

    def may_change_host(self, member: Member, now: float) -> bool:
        """Return whether a member may change its IP address: it has been silent for `--move-after`."""
        return self.settings.check_ip == "off" or now - member.seen >= self.settings.move_after_s

    def _may_move(self, member: Member, now: float) -> bool:
        sender = member.sender_state()
        if sender.moves is None:
            sender.moves = Bucket(MOVES, now)
        if sender.moves.touch(now, MOVES_S, MOVES):
            return True
        self.counters.moves_limited += 1
        return False

    def announce(self, member: Member, address: bytes, now: float) -> None:
        """Set the address that the client has announced over TCP, unless the member has one.

        Its local address is the one that the client has connected to.
        """
        if member.address is None and not member.leaving:
            listener = self._listener_for(address)
            self._locate(member, listener, self.listeners[listener].fit(address), now)

    def restore(self, member: Member, written: bytes, now: float) -> None:
        """Set the address that the directory has, if any, for a member that another gateway served before.

        The member is sent all that it has missed: the backlog limits only members without an address.
        """
        if not written:
            return
        try:
            address, listener = kept_address.parse(written.decode())
        except (ValueError, OverflowError):
            return
        listeners = self.listeners
        if not 0 <= listener < len(listeners) or not listeners[listener].serves(address):
            listener = self._listener_for(address)
        address = listeners[listener].fit(address)
        self._change_host(member, sockaddr.ip_bytes(address))
        member.address = address  # so that `_locate` does not apply the backlog
        self._locate(member, listener, address, now)

    def _change_host(self, member: Member, ip: bytes) -> None:
        if self.settings.check_ip == "strict" and not sockaddr.same_host(ip, member.ip):
            member.sender_state().moved_host = True
        member.ip = ip

    def _locate(self, member: Member, listener: int, address: bytes, now: float) -> None:
        """Send datagrams to a member from this listener to this address from now on."""
        was_live, is_first = member.recipients is not None, member.address is None
        self.groups.leave(member)
        unproven_from = self.members.unproven.get(member.id)
        if unproven_from is not None and not is_first and address != member.address:
            # The NAT mapping may have ended with its last gateway: send again what went to the old address.
            was_live = False
            member.cursor = min(member.cursor, unproven_from)
            del self.members.unproven[member.id]
        member.address, member.listener = address, listener
        if was_live:
            self.groups.join(member)
            return
        if is_first:
            backlog.skip_older(member, self.settings, self.counters)
        self.catch_up.begin(member, now)

    def _listener_for(self, address: bytes) -> int:
        """Return the first listener that serves an address; the first of all if there is none."""
        return next((index for index, bound in enumerate(self.listeners) if bound.serves(address)), 0)
