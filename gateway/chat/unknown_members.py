"""Remove members that the directory does not know, and tell them.

A member that leaves or is removed is removed here by its entry in the room's log. That entry may be lost to this
gateway: it was away for longer than the log reaches back. Or the directory has lost the member: an older state of the
store was put in its place, or a power cut took the join. Then the member would go on receiving the room's messages, and
no other member would know.
"""

from dataclasses import dataclass, field

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.names import hash_token

from . import render
from .leave import LEAVING_S, Leaving
from .members import DISPLACED, Member, Room
from .outbound import Component

REMOVED = 10_000
"""Removed members that are remembered."""
TELL_AGAIN_S = 1.0
"""Least time between two answers to a client that still sends: the datagram that told it may be lost."""


@dataclass(slots=True)
class _Removed:
    member: Member
    told_at: float


@dataclass(slots=True)
class _Unknown:
    """Members of one room."""

    members: set[int]
    until: float
    """Then they are removed in any case."""
    end: tuple[int, int] | None = None
    """Epoch and last offset of the log, which has the entries of those that have left; None: not known yet."""


@dataclass(slots=True, eq=False)
class UnknownMembers(Component):
    """Waits until a room's log is delivered to its end, and removes the members that are still there."""

    leaving: Leaving
    _rooms: dict[int, _Unknown] = field(default_factory=dict)
    """By room id."""
    _removed: dict[bytes, _Removed] = field(default_factory=dict)
    """By the hash of the token."""

    def note(self, shard: int, ids: list[int], now: float) -> None:
        """Note the members that a shard's directory does not know; `ends_at` must follow for their rooms."""
        rooms, unknown = self.members.by_shard[shard], set(ids)
        self._rooms = {room_id: noted for room_id, noted in self._rooms.items() if room_id not in rooms}
        for room in rooms.values() if unknown else ():
            if found := unknown.intersection(room.members):
                self._rooms[room.id] = _Unknown(found, now + LEAVING_S)

    def ends_at(self, room: Room, epoch: int, last: int) -> None:
        """Note where a room's log ended after the directory was asked about its members."""
        if unknown := self._rooms.get(room.id):
            unknown.end = epoch, last

    def tick(self, now: float) -> None:
        """Remove the members of rooms whose logs are delivered so far."""
        for room_id, unknown in list(self._rooms.items()):
            room = self.members.rooms.get(room_id)
            if room is None:
                del self._rooms[room_id]
            elif now >= unknown.until or _is_delivered(room, unknown.end):
                del self._rooms[room_id]
                for member_id in unknown.members:
                    self._remove(room, member_id, now)

    def notify_again(self, token_hash: bytes, source: bytes, now: float) -> None:
        """Tell a member that was removed here and still sends from its address with a token that is refused."""
        removed = self._removed.get(token_hash)
        if removed is not None and removed.member.address == source and now - removed.told_at >= TELL_AGAIN_S:
            removed.told_at = now
            self._notify(removed.member)

    def _remove(self, room: Room, member_id: int, now: float) -> None:
        if (member := room.members.get(member_id)) is None:
            return
        self.counters.unknown_members += 1
        is_known = self.members.by_token.get(member.token) is member
        token_hash = hash_token(member.token) if is_known else member.token
        put_newest(self._removed, token_hash, _Removed(member, now), REMOVED)
        if member.source != DISPLACED:
            self._notify(member)
        self.leaving.drop(member)

    def _notify(self, member: Member) -> None:
        if member.stream is not None:
            # Its client subscribes again, and so joins as a new member.
            member.stream.interrupt(member)
        elif member.address is not None:
            for payload in render.lost_membership(member.room.name, member.dialect, member.options):
                self.send_to(member, payload)


def _is_delivered(room: Room, end: tuple[int, int] | None) -> bool:
    return end is not None and not room.is_stale and room.epoch == end[0] and room.position >= end[1]
