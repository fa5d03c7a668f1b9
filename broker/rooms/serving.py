"""Know which gateway serves a member, how far each has delivered, and whether the log has gone back behind that."""

import secrets
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from tsudoi.protocol.client.member_options import MemberOptions

from ..store.interface import PostRow, Restriction
from .records import Records
from .room_and_member import Member, Room

EPOCH_BITS = 32
"""An epoch is another one than that of any other copy of the store."""


class Serving(Records):
    """Members with the gateways that serve them."""

    def __init__(
        self, first_id: int, shard: int, shards: int, restrictions: Iterable[Restriction], posts: Iterable[PostRow]
    ) -> None:
        super().__init__(first_id, shard, shards, restrictions, posts)
        self._renewed: set[int] = set()
        """Rooms that have begun a new epoch in this run of the broker."""

    def move(self, member: Member, gateway: str, received: int) -> None:
        """Let another gateway serve a member that has received its room up to an offset."""
        if self._detach(member):
            self._changes.regrouped.add(member.room.id)
        member.rare = replace(member.rare, former=member.gateway)
        member.gateway = sys.intern(gateway)
        member.live = False
        member.delivered = received
        self._attach(member)
        self._store_member(member)

    def hold(self, member: Member) -> None:
        """Stop counting its gateway's reports for a member that will go to another gateway.

        This is not stored: a broker that starts again does not know of the handover.
        """
        member.delivered = member.received()
        member.live = False

    def set_live(self, member: Member, live: bool) -> None:
        """Count its gateway's reports for a member, or not; like `hold`, this is not stored."""
        member.live = live

    def locate(self, member: Member, address: bytes, received: int) -> None:
        """Note that a member is live at its gateway, its address, and up to which offset it has received its room."""
        member.delivered = max(member.delivered, min(received, member.room.last))
        member.live = True
        member.address = address
        member.options &= ~MemberOptions.HISTORY
        self._store_member(member)

    def note_delivered(self, positions: Iterable[tuple[int, int, int]], gateway: str) -> None:
        """Note up to which offsets a gateway has delivered rooms: (room id, epoch, offset)."""
        for room_id, epoch, offset in positions:
            if (room := self.known_room(room_id)) and room.epoch == epoch:
                offset = min(offset, room.last)
                if offset > room.delivered.get(gateway, 0):
                    room.delivered[gateway] = self._changes.batch.delivered[room_id, gateway] = offset

    def forget_gateway(self, gateway: str) -> None:
        """Forget a gateway that serves no member any more."""
        self.by_gateway.pop(gateway, None)
        self._changes.batch.forgotten.add(gateway)
        for room in chain(self.rooms.values(), self.closed.values()):
            room.delivered.pop(gateway, None)

    def is_behind(self, room: Room, offset: int, at_ms: int) -> bool:
        """Return whether the log of a room is older than a gateway that has received it up to an offset.

        `at_ms` is when the gateway's last entry was stamped; 0: not known.
        """
        is_other = offset == room.last and at_ms and room.last_ms and at_ms != room.last_ms
        return offset > room.last or bool(is_other)

    def begin_epoch(self, room: Room) -> None:
        """Begin a new epoch in a room whose log went back in time: an older state of the store was put in its place.

        Once in a run of the broker: a gateway that lies can not make others read the log again and again.
        """
        if room.id in self._renewed:
            return
        self._renewed.add(room.id)
        room.epoch += 1 + secrets.randbits(EPOCH_BITS)
        room.epoch_after = room.opened_last
        # What was reported since then may be of the later state.
        for gateway, offset in room.delivered.items():
            room.delivered[gateway] = self._changes.batch.delivered[room.id, gateway] = min(offset, room.epoch_after)
        for member in room.members.values():
            member.delivered = min(member.delivered, room.epoch_after)
        self.removed = {token: member for token, member in self.removed.items() if member.room is not room}
        self._changes.renewed.add(room.id)
        self._store_room(room)

    def note_trimmed(self, firsts: dict[int, int]) -> None:
        """Note that the store has dropped old entries: room id → its oldest offset now."""
        for room_id, first in firsts.items():
            if room := self.known_room(room_id):
                room.first = first
