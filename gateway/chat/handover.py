"""Hand members over between gateways, as the directory orders: it assigns each session to a gateway.

A gateway that releases a member reports how far the member has received its room; the next one continues there.
"""

from dataclasses import dataclass, field

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.backbone import Adoption, Granted, Item, Release
from tsudoi.protocol.client.dialects import OF_STREAMS, TSUDOI_2
from tsudoi.protocol.codes import EntryKind

from ..listeners import sockaddr
from ..sealed.resuming import Resuming
from ..sealed.taking_over import take_over
from .address_moves import AddressMoves
from .catch_up import CatchUp
from .closed_rooms import ClosedRooms
from .enter import Enter
from .groups import Groups
from .kept_address import KeptAddress
from .leave import Leaving
from .members import DISPLACED, Member
from .outbound import Component
from .unknown_tokens import UnknownTokens

RELEASES = 10_000
"""Answered releases that are remembered."""


@dataclass(slots=True, eq=False)
class Handover(Component):
    """Releases and adopts members."""

    groups: Groups
    catch_up: CatchUp
    moves: AddressMoves
    closed_rooms: ClosedRooms
    leaving: Leaving
    enter: Enter
    unknown_tokens: UnknownTokens
    resuming: Resuming
    _answered: dict[str, float] = field(default_factory=dict)
    """Handovers that were answered. A repeated Release must not release the member once it has come back here."""

    def release(self, shard: int, message: Release, now: float) -> None:
        """Release a member of a shard to another gateway, or keep it if it may not change its host."""
        if message.handover in self._answered:
            return
        member = self._member(message.room, message.member)
        if message.elsewhere and (member is None or not self.moves.may_change_host(member, now)):
            # The member is unknown here, and so is when it was last active: it must stay at its host.
            self._answer(shard, EntryKind.KEPT, message, 0)
            return
        if member is not None and member.sender is not None and member.sender.held is not None:
            # Its lines wait for a command that is not done: the next gateway must not overtake them. The broker asks
            # again in a moment.
            return
        put_newest(self._answered, message.handover, now, RELEASES)
        if member is None:
            # The directory uses the last delivery report.
            self._answer(shard, EntryKind.RELEASED, message, 0)
            return
        self.counters.released += 1
        owes_history = member.catch_up is not None and member.catch_up.history
        if member.recipients is None and member.is_reachable and not owes_history:
            # It still catches up, and the directory may not know its address. It learns none of a member that has not
            # had its history: an address says that it had.
            self.groups.publish_address(member, member.cursor)
        self.groups.leave(member)
        self._answer(shard, EntryKind.RELEASED, message, member.cursor)
        self.leaving.drop(member)

    def _answer(self, shard: int, kind: EntryKind, message: Release, heard: int) -> None:
        self.routes.publish(shard, Item(kind, message.room, message.member, message.handover, heard))

    def adopt(self, shard: int, adoptions: list[Adoption], now: float) -> None:
        """Serve members that a shard's directory has given to this gateway; of their tokens it knows the hashes."""
        for adoption in adoptions:
            granted, token_hash = adoption.granted, adoption.token_hash
            if self.closed_rooms.was_notified(shard, granted.room, granted.member):
                continue
            if (known := self._member(granted.room, granted.member)) is not None:
                self.leaving.repeat(known)
                if known.dialect is TSUDOI_2:
                    # Another gateway may have served it meanwhile: its client takes nothing of its run here any more.
                    take_over(self.resuming, self.moves, known, granted, token_hash)
                    continue
                self.granted(granted, now)
                if known.recipients is not None:
                    # The directory takes it for a member that still catches up.
                    self.groups.publish_address(known, known.room.position)
                continue
            self.counters.adopted += 1
            adopted = self.enter.adopt(granted, token_hash, now)
            if adopted.dialect is TSUDOI_2:
                take_over(self.resuming, self.moves, adopted, granted, token_hash)
            self.unknown_tokens.receive_held(shard, token_hash, now)

    def granted(self, granted: Granted, now: float) -> None:
        """Go on with a member from the position that another gateway has reached, if one has served it meanwhile.

        While this gateway was fenced, the directory may have given the member to another gateway and back: by a delayed
        Resume, or because the other gateway is gone. No Release told of that.
        """
        member = self._member(granted.room, granted.member)
        if member is None or member.dialect in OF_STREAMS:
            return  # its client knows its position itself
        room, unproven = member.room, self.members.unproven
        offset, kept = granted.offset, KeptAddress.parse(granted.address)
        unproven_from, displaced_from = (kept.unproven_from, kept.displaced_from) if kept is not None else (None, None)
        is_elsewhere = kept is not None and member.address is not None and not _is_at(member, kept)
        if is_elsewhere and member.source and unproven_from is not None:
            # It was heard here, and not where the other gateway has sent what came after that.
            offset, is_elsewhere, unproven_from = unproven_from, False, None
        if displaced_from is not None:
            offset = min(offset, displaced_from)
        if granted.epoch != room.epoch or offset <= member.reached:
            return
        self.counters.adopted += 1
        receives = member.recipients is not None or member.id in room.waiting
        self.groups.leave(member)
        member.cursor, member.catch_up = offset, None
        if is_elsewhere or unproven_from is not None or member.id in unproven:
            # The other gateway knows where its client went; as after an adoption, that may have changed again.
            unproven[member.id] = offset if unproven_from is None else unproven_from
        if not receives:
            return
        if is_elsewhere or displaced_from is not None:
            self.members.forget_address(member)
            member.source = None
            self.moves.restore(member, granted.address, now)
            return
        if unproven_from is not None and member.source != DISPLACED:
            member.source = None  # its next datagram shows where it is
        self.catch_up.begin(member, now)

    def _member(self, room_id: int, member_id: int) -> Member | None:
        room = self.members.rooms.get(room_id)
        return room.members.get(member_id) if room else None


def _is_at(member: Member, kept: KeptAddress) -> bool:
    """Return whether a member's address is the kept one; the local addresses of two gateways may differ."""
    assert member.address is not None
    return sockaddr.unpack(kept.address) == sockaddr.unpack(member.address)
