"""Where datagrams to a member go: the address and listener of its own datagrams, or an address announced by TCP."""

from dataclasses import dataclass

from ..listeners import sockaddr
from .backlog import Backlog
from .catch_up import CatchUp
from .groups import Groups
from .members import Member, Members


@dataclass(slots=True, eq=False)
class Destinations:
    """Changes members' addresses; `now` is monotonic seconds."""

    members: Members
    groups: Groups
    backlog: Backlog
    catch_up: CatchUp
    ipv6_listeners: list[bool]
    """One item for each UDP listener: whether it is IPv6."""

    def locate(self, member: Member, listener: int, address: bytes, now: float) -> None:
        """Send a member's datagrams to this address from now on, and from this listener."""
        was_live, is_first = member.recipients is not None, member.address is None
        self.groups.leave(member)
        unproven_from = self.members.unproven.get(member.id)
        if unproven_from is not None and not is_first and address != member.address:
            # The end of its last gateway may have cut the way back through a NAT: repeat what went to the old address.
            was_live = False
            member.cursor = min(member.cursor, unproven_from)
            del self.members.unproven[member.id]
        member.address, member.listener = address, listener
        if was_live:
            self.groups.join(member)
            return
        if is_first:
            self.backlog.skip_older(member)
        self.catch_up.begin(member, now)

    def announce(self, member: Member, address: bytes, now: float) -> None:
        """Take an address that the client has announced by TCP; the source of its datagrams counts for more."""
        if member.address is None and not member.leaving:
            self.locate(member, self._listener_for(address), address, now)

    def restore(self, member: Member, written: bytes, now: float) -> None:
        """Take the address that the directory has for a member that another gateway served before.

        The member is sent all that it has missed, however much: the backlog limits only members without an address.
        """
        try:
            ip, port, number = written.decode().split(" ")
            address, listener = sockaddr.pack(ip, int(port)), int(number)
        except (ValueError, OverflowError):
            return
        listeners = self.ipv6_listeners
        if not 0 <= listener < len(listeners) or listeners[listener] != sockaddr.is_ipv6(address):
            listener = self._listener_for(address)
        member.ip = sockaddr.ip_bytes(address)
        member.address = address
        self.locate(member, listener, address, now)

    def _listener_for(self, address: bytes) -> int:
        """Return the first listener of an address's family; the first of all if there is none."""
        ipv6 = sockaddr.is_ipv6(address)
        return self.ipv6_listeners.index(ipv6) if ipv6 in self.ipv6_listeners else 0
