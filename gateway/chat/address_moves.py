"""Keep each member's UDP address, and decide when it may change; PROTOCOL.md, "Addresses"."""

from dataclasses import dataclass

from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.backbone import Item
from tsudoi.protocol.client.dialects import OF_STREAMS
from tsudoi.protocol.codes import EntryKind

from ..listeners import sockaddr
from ..listeners.bound import Bound
from .catch_up import CatchUp
from .dropped_log import Drop
from .groups import Groups
from .kept_address import KeptAddress
from .members import DISPLACED, Member
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
        """Set a member's address to the source of its datagram, or return False if the datagram must be dropped.

        It must be called for each datagram that comes from elsewhere than the one before it.
        """
        ip, heard = sockaddr.ip_bytes(source), source
        if member.dialect in OF_STREAMS:
            self.counters.wrong_addresses += 1
            return False
        if not sockaddr.same_host(ip, member.ip) and not self.may_change_host(member, now):
            self.counters.wrong_addresses += 1
            self.out.log_datagram(source, Drop.OTHER_ADDRESS, now)
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
        is_first, was_displaced, member.source = member.source is None, member.source == DISPLACED, heard
        unproven_from = self.members.unproven.pop(member.id, None)
        if (source, listener) != (member.address, member.listener):
            self._locate(member, listener, source, now, unproven_from)
        elif member.recipients is None:
            if was_displaced:
                self.catch_up.begin(member, now)
        elif unproven_from is not None:
            self.groups.publish_address(member, member.room.position)  # now it is proven
        if is_first and source == heard and not (member.sender is not None and member.sender.moved_host):
            self._displace(member)
            self._claim_name(member)
        return True

    def _displace(self, member: Member) -> None:
        """Let a member that is heard for the first time displace the one at its address.

        The client of that one may have ended.
        A displaced member of the same room is sent nothing until it is heard again, so that the client hears all once.
        One of another room gets no closing words meanwhile, at which the client would quit. Only a datagram from the
        host of the handshake does this, since a source can be forged.
        """
        assert member.address is not None
        peer, at_address = sockaddr.peer(member.address), self.members.at_address
        other, at_address[peer] = at_address.get(peer), member
        if other is not None and other is not member:
            other.source = DISPLACED
            if other.room is member.room:
                if other.recipients is not None:
                    self.groups.leave(other)
                    # The directory goes on counting for it what the room's members are sent: this names the offset.
                    self.groups.publish_address(other, other.cursor)
                other.room.stop_waiting(other)

    def _claim_name(self, member: Member) -> None:
        """Tell the broker the address of a member without its wished name: its client may have had that name before."""
        if member.address is not None and member.sender is not None and member.sender.wished != member.name:
            where = KeptAddress(member.address, member.listener).serialize()
            self.routes.publish(member.room.shard, Item(EntryKind.CLAIMED, member.room.id, member.id, where, 0))

    def may_change_host(self, member: Member, now: float) -> bool:
        """Return whether a member may change its IP address: it has been silent for `--move-after`."""
        if self.settings.check_ip == "off":
            return True
        return self.members.standstills.silent_s(member.seen, now) >= self.settings.move_after_s

    def _may_move(self, member: Member, now: float) -> bool:
        sender = member.sender_state()
        if sender.moves is None:
            sender.moves = Bucket(MOVES, now)
        if sender.moves.touch(now, MOVES_S, MOVES):
            return True
        self.counters.moves_limited += 1
        return False

    def announce(self, member: Member, address: bytes, now: float, is_guess: bool = False) -> None:
        """Set the address that the client has announced over TCP, unless the member has one.

        Its local address is the one that the client has connected to. `is_guess`: if the first datagram comes from
        elsewhere, what went to this address is sent again.
        """
        if member.address is None and not member.leaving:
            if is_guess:
                self.members.unproven[member.id] = member.cursor
            listener = self._listener_for(address)
            address = self.listeners[listener].fit(address)
            self._locate(member, listener, address, now)

    def restore(self, member: Member, written: bytes, now: float) -> None:
        """Set the address that the directory has, if any, for a member that another gateway served before.

        If the member is heard elsewhere and was not heard at this address, what other gateways sent there is sent
        again. A displaced member is sent nothing until it is heard, and then everything since.
        """
        kept = KeptAddress.parse(written)
        if kept is None or member.dialect in OF_STREAMS:
            return
        listener, address = self.place(kept.address, kept.listener)
        if kept.unproven_from is not None:
            self.members.unproven[member.id] = kept.unproven_from
        self._change_host(member, sockaddr.ip_bytes(address))
        if kept.displaced_from is not None:
            member.address, member.listener, member.source = address, listener, DISPLACED
            member.cursor = min(member.cursor, kept.displaced_from)
            member.room.stop_waiting(member)
            return
        self._locate(member, listener, address, now)

    def place(self, address: bytes, listener: int) -> tuple[int, bytes]:
        """Return the listener that serves an address here, and the address as it needs it; another one wrote both."""
        listeners = self.listeners
        if not 0 <= listener < len(listeners) or not listeners[listener].serves(address):
            listener = self._listener_for(address)
        return listener, listeners[listener].fit(address)

    def _change_host(self, member: Member, ip: bytes) -> None:
        if not sockaddr.same_host(ip, member.ip):
            member.sender_state().moved_host = True
        member.ip = ip

    def _locate(
        self, member: Member, listener: int, address: bytes, now: float, unproven_from: int | None = None
    ) -> None:
        """Send a member's datagrams from this listener to this address from now on.

        `unproven_from`: it was not heard at its address before; what was sent there since this offset may be lost.
        """
        was_live = member.recipients is not None
        self.groups.leave(member)
        self.members.forget_address(member)
        self.members.at_address.setdefault(sockaddr.peer(address), member)
        is_elsewhere = member.address is not None and sockaddr.peer(address) != sockaddr.peer(member.address)
        if unproven_from is not None and is_elsewhere and unproven_from < member.cursor:
            # It was guessed, or the NAT mapping has ended with the last gateway: send again what went there. An answer
            # of the log that is under way is not of these entries.
            was_live, member.cursor, member.catch_up = False, unproven_from, None
        member.address, member.listener = address, listener
        if was_live:
            self.groups.join(member)
            return
        self.catch_up.begin(member, now)

    def _listener_for(self, address: bytes) -> int:
        """Return the first listener that serves an address; the first of all if there is none."""
        return next((index for index, bound in enumerate(self.listeners) if bound.serves(address)), 0)
