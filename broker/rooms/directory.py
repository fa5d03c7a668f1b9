"""The rooms, their members, and the next offset of each room.

All changes of rooms and members are made here and in `serving.py`: each is noted for the store, and in the log if
members must learn of it (`records.py`). `wall_ms` is milliseconds since 1970.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import Full, PeerError, RoomExists
from tsudoi.protocol.names import RoomName, UserName

from ..config import Limits
from ..store.interface import MemberRow, RestrictionKind, RoomRow, Snapshot
from .free_name import free_name
from .ids import first_epoch
from .index import REMOVED
from .room_and_member import Member, Room
from .serving import Serving

NO_HOST = 0
"""The host's member id in a room without a host."""
REMOVALS = frozenset({LeaveReason.KICKED, LeaveReason.BANNED, LeaveReason.OPERATOR})
"""The reasons for which others remove a member, which its client may not have heard."""


class WrongShard(PeerError):
    """A gateway asks a shard for a room that belongs to another: its number of shards, or its hash, is another one."""


class Directory(Serving):
    """The rules by which rooms and members change."""

    def __init__(
        self,
        snapshot: Snapshot,
        limits: Limits | None = None,
        first_id: int = 0,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        """Begin with what the store has; the arguments are those of `Core`."""
        super().__init__(first_id, shard, shards, snapshot.restrictions, snapshot.posts)
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
        self._store_room(room)
        return self._enter(room, room.host, wished, member, wall_ms)

    def close(self, room: Room, reason: LeaveReason, wall_ms: int) -> None:
        """Close a room. Its members stay until they have received this last entry of its log."""
        self._append(room, EntryKind.CLOSED, room.members.get(room.host), "", reason, wall_ms)
        del self.rooms[room.id], self.by_name[room.name]
        self._count_for(room, "")
        self.closed[room.id] = room
        room.closed_ms = wall_ms
        self._store_room(room)

    def purge(self, room: Room) -> None:
        """Forget a closed room and its members."""
        for member in list(room.members.values()):
            self._drop_member(member)
        del self.closed[room.id]
        self.bans_and_mutes.forget_room(room.id)
        self.posts.forget_room(room.id)
        self._changes.batch.purged.add(room.id)

    def persist(self, name: RoomName, wall_ms: int) -> Room:
        """Make a room persistent, without a host, and return it; create it if there is none.

        Raises:
            WrongShard: a room of that name belongs to another shard.
        """
        room = self.by_name.get(name)
        if room is None and not self.belongs(name):
            raise WrongShard(name)
        if room is None:
            room_id = self._ids.new(wall_ms)
            room = Room.of(RoomRow(room_id, name, first_epoch(room_id), NO_HOST, "", wall_ms))
            self._add_room(room)
        if not room.persistent:
            room.persistent, room.host = True, NO_HOST
            self._store_room(room)
        return room

    def unpersist(self, room: Room, wall_ms: int) -> None:
        """Let a room close when its last member leaves; at once, if it has none."""
        room.persistent = False
        self._store_room(room)
        self._close_if_over(room, LeaveReason.OPERATOR, wall_ms)

    def set_topic(self, room: Room, topic: str, by: Member | None, wall_ms: int) -> None:
        """Set a room's topic; empty: none. `by` is None for the operator."""
        room.topic = topic
        self._store_room(room)
        self._append(room, EntryKind.TOPIC, by, topic, 0, wall_ms)

    def set_password(self, room: Room, password_hash: str, by: Member | None, wall_ms: int) -> None:
        """Set the password that a room is joined with; empty: none. `by` is None for the operator."""
        room.password_hash = password_hash
        self._store_room(room)
        self._append(room, EntryKind.LOCKED, by, "", int(bool(password_hash)), wall_ms)

    def announce(self, room: Room, text: str, wall_ms: int) -> None:
        """Append an operator's announcement to a room's log."""
        self._append(room, EntryKind.ANNOUNCED, None, text, 0, wall_ms)

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

        `text` explains it to the room; `by` is the member that removed it, None if that was itself or the operator.
        """
        room, successor = member.room, None
        if room.closed_ms:
            self._drop_member(member)
            return
        if member.is_host and room.persistent:
            room.host = NO_HOST
            self._store_room(room)
        elif member.is_host:
            successor = next((other for other in room.members.values() if other is not member), None)
            if successor is None or self._limits.host_leaves == "close":
                is_idle = reason is LeaveReason.IDLE
                self.close(room, LeaveReason.HOST_IDLE if is_idle else LeaveReason.HOST_LEFT, wall_ms)
                return
        self._append(room, EntryKind.LEFT, member, text, reason, wall_ms, by)
        self._drop_member(member)
        if reason in REMOVALS and member.dialect == TSUDOI_2.name:
            member.rare = replace(member.rare, left=room.last)
            self.removed[member.token_hash] = member
            drop_oldest(self.removed, REMOVED)
        if successor is not None:
            self.make_host(successor, None, wall_ms)
        elif room.host == NO_HOST:
            self._close_if_over(room, reason, wall_ms)

    def replace(self, before: Member, member: Member, wall_ms: int) -> None:
        """Let a member take the place of one of its room that its client was before: its name, its being host or muted.

        Rights by a signed token do not pass: each member has those of its own.
        """
        room, was_host = member.room, before.is_host
        self._append(room, EntryKind.LEFT, before, "", LeaveReason.REJOINED, wall_ms)
        self._drop_member(before)
        member.muted_until_ms = max(member.muted_until_ms, before.muted_until_ms)
        self.rename(member, before.name, wall_ms)
        if was_host:
            self.make_host(member, None, wall_ms)

    def make_host(self, member: Member, by: Member | None, wall_ms: int) -> None:
        """Make a member its room's host; `by` is the host before, None if that one has left."""
        room = member.room
        room.host = member.id
        self._store_room(room)
        self._append(room, EntryKind.HOST, member, "", 0, wall_ms, by)

    def rename(self, member: Member, name: UserName, wall_ms: int) -> None:
        """Give a member another name, which must be free."""
        names = member.room.names
        names.pop(member.name, None)
        names[name] = member.id
        self._append(member.room, EntryKind.RENAMED, member, name, 0, wall_ms)
        member.name = name
        self._store_member(member)

    def mute(self, member: Member, minutes: int, until_ms: int, by: Member, wall_ms: int) -> None:
        """Refuse a member's messages until a time; `minutes` is for the notice."""
        member.muted_until_ms = until_ms
        member.rare = replace(member.rare, told_muted_ms=0)
        self._store_member(member)
        self._append(member.room, EntryKind.MUTED, member, "", minutes, wall_ms, by)

    def unmute(self, member: Member, by: Member, wall_ms: int) -> None:
        """Accept a member's messages again."""
        member.muted_until_ms = 0
        self._store_member(member)
        self._append(member.room, EntryKind.UNMUTED, member, "", 0, wall_ms, by)

    def note_told_muted(self, member: Member, wall_ms: int) -> None:
        """Note when a member was last notified that it is muted; this is not stored."""
        member.rare = replace(member.rare, told_muted_ms=wall_ms)

    # --- messages -------------------------------------------------------------------------------------------------

    def say(self, member: Member, texts: Iterable[str], wall_ms: int, number: int = 0) -> None:
        """Append a member's messages to its room's log.

        `number` is the first one's, by its client, and the others' follow on it; 0: they have none.
        """
        member.spoke_ms = wall_ms
        self._append_said(member, texts, wall_ms, number)

    def act(self, member: Member, text: str, wall_ms: int) -> None:
        """Append a member's `/me` to its room's log."""
        member.spoke_ms = wall_ms
        self._append(member.room, EntryKind.ACTED, member, text, 0, wall_ms)

    def post(self, room: Room, sender: UserName, text: str, wall_ms: int) -> None:
        """Append a webhook's message to a room's log."""
        self._append(room, EntryKind.SAID, None, text, 0, wall_ms, sender=sender)

    def whisper(self, member: Member, target: Member, text: str, wall_ms: int) -> None:
        """Append a message for one other member to the room's log, which that one may answer by `/r`."""
        member.spoke_ms = wall_ms
        if target.rare.whispered_by != member.id:
            target.rare = replace(target.rare, whispered_by=member.id)
            self._store_member(target)
        self._append(member.room, EntryKind.WHISPERED, member, text, 0, wall_ms, target)

    def answer(self, member: Member, phrase: Phrase, about: str, wall_ms: int) -> None:
        """Append a notice for one member to its room's log, unless the room is closed: then its log has ended."""
        if not member.room.closed_ms:
            self._append(member.room, EntryKind.ANSWERED, member, about, phrase, wall_ms)

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
        self._append(room, EntryKind.JOINED, member, "", len(room.members), wall_ms)
        member.delivered = room.last
        self._store_member(member)
        if room.topic and member.options & MemberOptions.NOTICES:
            # After the member's position, so that a member that has lost it gets it again.
            self.answer(member, Phrase.TOPIC_IS, room.topic, wall_ms)
        return member

    def _close_if_over(self, room: Room, reason: LeaveReason, wall_ms: int) -> None:
        if not room.members and not room.persistent:
            self.close(room, reason, wall_ms)
