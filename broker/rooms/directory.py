"""The rules by which rooms and members change, and who serves them.

All changes are made here: each is noted for the store, and in the log if members must learn of it (`records.py`).
`index.py` finds rooms and members. `wall_ms` is milliseconds since 1970.
"""

import secrets
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import Full, PeerError, RoomExists
from tsudoi.protocol.names import RoomName, UserName

from ..config import Limits
from ..store.interface import MemberRow, RestrictionKind, RoomRow, Snapshot
from .bans_and_mutes import BansAndMutes
from .free_name import free_name
from .ids import Ids, first_epoch
from .index import REMOVED, Index
from .records import Records
from .room_and_member import Member, Room
from .webhooks import Posts

NO_HOST = 0
"""The host's member id in a room without a host."""
REMOVALS = frozenset({LeaveReason.KICKED, LeaveReason.BANNED, LeaveReason.OPERATOR})
"""The reasons for which others remove a member, which its client may not have heard."""
FORMERS = 8
"""Former gateways of a member that are remembered: its client may have sent something to each before the first of them
could reach the broker."""


EPOCH_BITS = 32
"""An epoch is another one than that of any other copy of the store."""


class WrongShard(PeerError):
    """A gateway asks a shard for a room that belongs to another: its number of shards, or its hash, is another one."""


class Directory(Index):
    """All rooms and members, and what may be done with them."""

    def __init__(self, snapshot: Snapshot, limits: Limits | None = None, ids: Ids | None = None) -> None:
        """Begin with what the store has; the arguments are those of `Core`."""
        super().__init__(ids or Ids())
        self.bans_and_mutes, self.posts = BansAndMutes(snapshot.restrictions), Posts(snapshot.posts)
        self.records = Records(self.bans_and_mutes, self.posts)
        self.say = self.records.append_said
        self._renewed: set[int] = set()
        """Rooms that have begun a new epoch in this run of the broker."""
        self.siblings: Callable[[], Iterable[Directory]] = lambda: (self,)
        """Returns the directories of all shards of this broker: its limits of rooms count them together."""
        self._limits = limits or Limits()
        for row in snapshot.rooms:
            self._add_room(Room.of(row, *snapshot.ends.get(row.id, (1, 0))))
        for member_row in snapshot.members:
            if room := self.known_room(member_row.room):
                member = Member.of(member_row, room)
                # After a power cut the log may end before what the member had received of it.
                member.delivered = min(member.delivered, room.last)
                self._add_member(member)
        for room in self.rooms.values():
            if host := room.members.get(room.host):
                self._count_for(room, rate_key(host.ip))
        for (room_id, gateway), offset in snapshot.delivered.items():
            if room := self.known_room(room_id):
                room.delivered[gateway] = min(offset, room.last)

    # --- rooms ----------------------------------------------------------------------------------------------------

    def create(self, name: RoomName, password_hash: str, wished: UserName, member: MemberRow, wall_ms: int) -> Member:
        """Create a room and return its host; `member` has all but the ids and the name.

        Raises:
            WrongShard: a room of that name belongs to another shard.
            RoomExists: there is one.
            Full: this broker has its most rooms, or the address has.
        """
        if not self.belongs(name):
            raise WrongShard(name)
        if name in self.by_name:
            raise RoomExists(name)
        if sum(len(each.rooms) for each in self.siblings()) >= self._limits.rooms:
            raise Full(f"the server has its most rooms ({self._limits.rooms})")
        most = self._limits.rooms_per_address
        if most and sum(each.rooms_from(rate_key(member.ip)) for each in self.siblings()) >= most:
            raise Full(f"your address has its most rooms ({most})")
        room_id = self._ids.new(wall_ms)
        room = Room.of(RoomRow(room_id, name, first_epoch(room_id), self._ids.new(wall_ms), password_hash, wall_ms))
        self._add_room(room)
        self._count_for(room, rate_key(member.ip))
        self.records.store_room(room)
        return self._enter(room, room.host, wished, member, wall_ms)

    def close(self, room: Room, reason: LeaveReason, wall_ms: int) -> None:
        """Close a room. Its members stay until they have received this last entry of its log."""
        self.records.append(room, EntryKind.CLOSED, room.members.get(room.host), "", reason, wall_ms)
        del self.rooms[room.id], self.by_name[room.name]
        self._count_for(room, "")
        self.closed[room.id] = room
        room.closed_ms = wall_ms
        self.records.store_room(room)

    def purge(self, room: Room) -> None:
        """Forget a closed room and its members."""
        for member in list(room.members.values()):
            self._drop_member(member)
        del self.closed[room.id]
        self.bans_and_mutes.forget_room(room.id)
        self.records.changes.batch.purged.add(room.id)

    def persist(self, name: RoomName, wall_ms: int) -> Room:
        """Return a room, persistent and without a host from now on, perhaps made now; raise WrongShard if not ours."""
        room = self.by_name.get(name)
        if room is None and not self.belongs(name):
            raise WrongShard(name)
        if room is None:
            room_id = self._ids.new(wall_ms)
            room = Room.of(RoomRow(room_id, name, first_epoch(room_id), NO_HOST, "", wall_ms))
            self._add_room(room)
        if not room.persistent:
            room.persistent, room.host = True, NO_HOST
            self.records.store_room(room)
        return room

    def unpersist(self, room: Room, wall_ms: int) -> None:
        """Let a room close when its last member leaves; at once, if it has none."""
        room.persistent = False
        self.records.store_room(room)
        self._close_if_over(room, LeaveReason.OPERATOR, wall_ms)

    def set_topic(self, room: Room, topic: str, by: Member | None, wall_ms: int) -> None:
        """Set a room's topic; empty: none. `by` is None for the operator."""
        room.topic = topic
        self.records.store_room(room)
        self.records.append(room, EntryKind.TOPIC, by, topic, 0, wall_ms)

    def set_password(self, room: Room, password_hash: str, by: Member | None, wall_ms: int) -> None:
        """Set the password that a room is joined with; empty: none. `by` is None for the operator."""
        room.password_hash = password_hash
        self.records.store_room(room)
        self.records.append(room, EntryKind.LOCKED, by, "", int(bool(password_hash)), wall_ms)

    def announce(self, room: Room, text: str, wall_ms: int) -> None:
        """Append an operator's announcement to a room's log."""
        self.records.append(room, EntryKind.ANNOUNCED, None, text, 0, wall_ms)

    # --- members --------------------------------------------------------------------------------------------------

    def join(self, room: Room, wished: UserName, member: MemberRow, wall_ms: int) -> Member:
        """Add a member to a room and return it, or raise Full; `member` has all but the ids and the name."""
        if len(room.members) >= self._limits.room_members:
            raise Full(f"the room has its most members ({self._limits.room_members})")
        return self._enter(room, self._ids.new(wall_ms), wished, member, wall_ms)

    def leave(
        self, member: Member, reason: LeaveReason, wall_ms: int, text: str = "", by: Member | None = None
    ) -> None:
        """Remove a member from its room. If it is the host, the room closes, or another member becomes host.

        A host that was removed is told so, as any member, before its room closes. `text` explains it to the room; `by`
        is the member that removed it, None if that was itself or the operator.
        """
        room, successor, closes = member.room, None, False
        if room.closed_ms:
            # A gateway publishes again that its host leaves, when it has reconciled. One of version 2 stays as long as
            # the room, since its client comes back if it lacks entries before the end.
            if member.dialect != TSUDOI_2.name:
                self._drop_member(member)
            return
        if member.is_host and room.persistent:
            room.host = NO_HOST
            self.records.store_room(room)
        elif member.is_host:
            if self._limits.host_leaves != "close":
                successor = next((other for other in room.members.values() if other is not member), None)
            closes = successor is None
            if closes and reason not in REMOVALS:
                is_idle = reason is LeaveReason.IDLE
                self.close(room, LeaveReason.HOST_IDLE if is_idle else LeaveReason.HOST_LEFT, wall_ms)
                return
        self.records.append(room, EntryKind.LEFT, member, text, reason, wall_ms, by)
        left = room.last
        if closes:
            self.close(room, LeaveReason.HOST_LEFT if by else LeaveReason.OPERATOR, wall_ms)
        self._drop_member(member)
        if reason in REMOVALS and member.dialect == TSUDOI_2.name:
            member.rare = replace(member.rare, left=left)
            put_newest(self.removed, member.token_hash, member, REMOVED)
        if successor is not None:
            self.make_host(successor, None, wall_ms)
        elif room.host == NO_HOST:
            self._close_if_over(room, reason, wall_ms)

    def replace(self, before: Member, member: Member, wall_ms: int) -> None:
        """Let a member take the place of the one that its client was before: its name, and whether it is host or muted.

        Rights by a signed token are not handed over: each member has those of its own token.
        """
        room, was_host = member.room, before.is_host
        self.records.append(room, EntryKind.LEFT, before, "", LeaveReason.REJOINED, wall_ms)
        self._drop_member(before)
        member.muted_until_ms = max(member.muted_until_ms, before.muted_until_ms)
        self.rename(member, before.name, wall_ms)
        if was_host:
            self.make_host(member, None, wall_ms)

    def make_host(self, member: Member, by: Member | None, wall_ms: int) -> None:
        """Make a member its room's host; `by` is the host before, None if that one has left."""
        room = member.room
        room.host = member.id
        self.records.store_room(room)
        self.records.append(room, EntryKind.HOST, member, "", 0, wall_ms, by)

    def rename(self, member: Member, name: UserName, wall_ms: int) -> None:
        """Give a member another name, which must be free."""
        names = member.room.names
        names.pop(member.name, None)
        names[name] = member.id
        self.records.append(member.room, EntryKind.RENAMED, member, name, 0, wall_ms)
        member.name = name
        self.records.store_member(member)

    def mute(self, member: Member, minutes: int, until_ms: int, by: Member, wall_ms: int) -> None:
        """Refuse a member's messages until a time; `minutes` is for the notice."""
        member.muted_until_ms = until_ms
        member.rare = replace(member.rare, told_muted_ms=0)
        self.records.store_member(member)
        self.records.append(member.room, EntryKind.MUTED, member, "", minutes, wall_ms, by)

    def unmute(self, member: Member, by: Member, wall_ms: int) -> None:
        member.muted_until_ms = 0
        self.records.store_member(member)
        self.records.append(member.room, EntryKind.UNMUTED, member, "", 0, wall_ms, by)

    def note_told_muted(self, member: Member, wall_ms: int) -> None:
        """Note when a member was last notified that it is muted; this is not stored."""
        member.rare = replace(member.rare, told_muted_ms=wall_ms)

    # --- who serves them ------------------------------------------------------------------------------------------

    def move(self, member: Member, gateway: str, received: int) -> None:
        """Let another gateway serve a member that has received its room up to an offset."""
        if self._detach(member):
            self.records.changes.regrouped.add(member.room.id)
        former = (member.gateway, *(each for each in member.rare.former if each != member.gateway))
        member.rare = replace(member.rare, former=former[:FORMERS])
        member.gateway = sys.intern(gateway)
        member.live = False
        member.delivered = received
        self._attach(member)
        self.records.store_member(member)

    def hold(self, member: Member) -> None:
        """Ignore its gateway's reports for a member that will go to another gateway.

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
        self.records.store_member(member)

    def note_delivered(self, positions: Iterable[tuple[int, int, int]], gateway: str) -> None:
        """Note up to which offsets a gateway has delivered rooms: (room id, epoch, offset)."""
        for room_id, epoch, offset in positions:
            if (room := self.known_room(room_id)) and room.epoch == epoch and gateway in room.gateways:
                offset = min(offset, room.last)
                if offset > room.delivered.get(gateway, 0):
                    room.delivered[gateway] = self.records.changes.batch.delivered[room_id, gateway] = offset

    def forget_gateways(self, gateways: set[str]) -> None:
        """Forget gateways that serve no member any more."""
        for gateway in gateways:
            self.by_gateway.pop(gateway, None)
        self.records.changes.batch.forgotten |= gateways
        for room in chain(self.rooms.values(), self.closed.values()):
            room.delivered = {each: offset for each, offset in room.delivered.items() if each not in gateways}

    # --- logs that have gone back or were cut ----------------------------------------------------------------------

    def is_behind(self, room: Room, offset: int, at_ms: int) -> bool:
        """Return whether the log of a room is older than a gateway that has received it up to an offset.

        `at_ms` is when the gateway's last entry was stamped; 0: not known.
        """
        is_other = offset == room.last and at_ms and room.last_ms and at_ms != room.last_ms
        return offset > room.last or bool(is_other)

    def begin_epoch(self, room: Room) -> None:
        """Begin a new epoch in a room whose log went back in time, because an older state of the store was restored.

        This is done once in a run of the broker: a gateway that lies can not make others read the log again and again.
        """
        if room.id in self._renewed:
            return
        self._renewed.add(room.id)
        room.epoch += 1 + secrets.randbits(EPOCH_BITS)
        room.epoch_after = room.opened_last
        # What was reported since then may be of the later state.
        for gateway, offset in room.delivered.items():
            room.delivered[gateway] = self.records.changes.batch.delivered[room.id, gateway] = min(
                offset, room.epoch_after
            )
        for member in room.members.values():
            member.delivered = min(member.delivered, room.epoch_after)
        self.removed = {token: member for token, member in self.removed.items() if member.room is not room}
        self.records.changes.renewed.add(room.id)
        self.records.store_room(room)

    def note_trimmed(self, firsts: dict[int, int]) -> None:
        """Note that the store has dropped old entries: room id → its oldest offset now."""
        for room_id, first in firsts.items():
            if room := self.known_room(room_id):
                room.first = first

    # --- messages -------------------------------------------------------------------------------------------------

    def act(self, member: Member, text: str, wall_ms: int) -> None:
        """Append a member's `/me` to its room's log."""
        member.spoke_ms = wall_ms
        self.records.append(member.room, EntryKind.ACTED, member, text, 0, wall_ms)

    def post(self, room: Room, sender: UserName, text: str, wall_ms: int) -> None:
        """Append a webhook's message to a room's log."""
        self.records.append(room, EntryKind.SAID, None, text, 0, wall_ms, sender=sender)

    def whisper(self, member: Member, target: Member, text: str, wall_ms: int) -> None:
        """Append a message for one other member to the room's log, which that one may answer by `/r`."""
        member.spoke_ms = wall_ms
        if target.rare.whispered_by != member.id:
            target.rare = replace(target.rare, whispered_by=member.id)
            self.records.store_member(target)
        self.records.append(member.room, EntryKind.WHISPERED, member, text, 0, wall_ms, target)

    def answer(self, member: Member, phrase: Phrase, about: str, wall_ms: int) -> None:
        """Append a notice for one member to its room's log, unless the room is closed: then its log has ended."""
        if not member.room.closed_ms:
            self.records.append(member.room, EntryKind.ANSWERED, member, about, phrase, wall_ms)

    # --- internals ------------------------------------------------------------------------------------------------

    def _enter(self, room: Room, member_id: int, wished: UserName, row: MemberRow, wall_ms: int) -> Member:
        member = Member.of(row, room)
        member.id = member_id
        member.name = free_name(room, wished)
        self._add_member(member)
        member.wished, member.spoke_ms = wished, wall_ms
        is_shared = bool(row.options & MemberOptions.SHARED_ADDRESS)
        until_ms = self.bans_and_mutes.until(room.id, RestrictionKind.MUTE, wished, row.ip, wall_ms, is_shared)
        member.muted_until_ms = until_ms
        self.records.append(room, EntryKind.JOINED, member, "", len(room.members), wall_ms)
        member.delivered = room.last
        self.records.store_member(member)
        if room.topic and member.options & MemberOptions.NOTICES:
            # After the member's position, so that a member that has lost it gets it again.
            self.answer(member, Phrase.TOPIC_IS, room.topic, wall_ms)
        return member

    def _drop_member(self, member: Member) -> None:
        if self._remove_member(member):
            self.records.changes.regrouped.add(member.room.id)
        self.records.changes.batch.members[member.id] = None

    def _close_if_over(self, room: Room, reason: LeaveReason, wall_ms: int) -> None:
        if not room.members and not room.persistent:
            self.close(room, reason, wall_ms)
