"""Who is where: rooms, their members, and the next offset of each; ARCHITECTURE.md, "Directory".

Ordinary objects that decide; every change is noted in a `Batch` for the store and as an `Entry` for the room's
log. Time is an argument: `wall_ms` is milliseconds since 1970.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from broker.config import Limits
from broker.rooms import TIME_SHIFT, Member, Room
from broker.sanctions import Sanctions
from broker.store import Batch, MemberRow, RoomRow, SanctionKind, Snapshot
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import Full, RoomExists, RoomNotFound
from tsudoi.protocol.names import SERVER_NAME, RoomName, UserName

NOBODY = 0
"""The host of a room that has none: no member has this id."""

DEPARTED = 100_000
"""Members that are no more whose last gateway is known still, for a gateway that was out of touch when they went."""


class Directory:
    """All rooms and members that this broker owns."""

    def __init__(self, snapshot: Snapshot, limits: Limits | None = None) -> None:
        """Begin with what the store has."""
        self._limits = limits or Limits()
        self._housed: dict[str, int] = {}
        """Household (of an IP address) → rooms that were created from it and are open."""
        self.sanctions = Sanctions(snapshot.sanctions)
        self.rooms: dict[int, Room] = {}
        """Those that are open."""
        self.closed: dict[int, Room] = {}
        """Those that are closed, until they are purged, with the members who have not been told yet: these may go from
        gateway to gateway like all others, and are told at last, but nobody hears them."""
        self.by_name: dict[str, Room] = {}
        self.members: dict[int, Member] = {}
        self.by_token: dict[bytes, Member] = {}
        self.by_gateway: dict[str, dict[int, Room]] = {}
        """Gateway instance → rooms of which it serves members. To keep the members took 52 bytes for each."""
        self.batch = Batch()
        self.entries: dict[int, list[Entry]] = {}
        """Room id → entries of this turn."""
        self.regrouped: set[int] = set()
        """Rooms that a gateway stopped serving in this turn: it must hear yet why."""
        self.departed: dict[int, str] = {}
        """Member id → the gateway that served it to the end, of those who went last."""
        self._last_id = 0
        for row in snapshot.rooms:
            self._add_room(Room(row, *snapshot.ends.get(row.id, (1, 0))))
        for member_row in snapshot.members:
            if room := self.known_room(member_row.room):
                member = Member(member_row, room)
                # After a power cut the log may end before what was heard of it.
                member.delivered = min(member.delivered, room.last)
                self._add_member(member)
        for room in self.rooms.values():
            if host := room.members.get(room.host):
                self._house(room, rate_key(host.ip))
        for (room_id, gateway), offset in snapshot.delivered.items():
            if room := self.known_room(room_id):
                room.delivered[gateway] = min(offset, room.last)

    # --- what happens ---------------------------------------------------------------------------------------------

    def create(self, name: RoomName, password_hash: str, wished: UserName, member: MemberRow, wall_ms: int) -> Member:
        """Make a room with its host; `member` gives all but the ids and the name.

        Raises:
            RoomExists: there is a room of that name.
            Full: there are as many rooms as may be, or as may be from the member's address.
        """
        if name in self.by_name:
            raise RoomExists(name)
        if len(self.rooms) >= self._limits.rooms:
            raise Full(f"the server has its most rooms ({self._limits.rooms})")
        most = self._limits.rooms_per_address
        if most and self._housed.get(rate_key(member.ip), 0) >= most:
            raise Full(f"your address has its most rooms ({most})")
        room_id = self._new_id(wall_ms)
        room = Room(RoomRow(room_id, name, 1, self._new_id(wall_ms), password_hash, wall_ms), 1, 0)
        self._add_room(room)
        self._house(room, rate_key(member.ip))
        self.batch.rooms[room_id] = room.row()
        return self._enter(room, room.host, wished, member, wall_ms)

    def join(self, room: Room, wished: UserName, member: MemberRow, wall_ms: int) -> Member:
        """Add a member to a room; `member` gives all but the ids and the name.

        Raises:
            Full: the room has as many members as may be.
        """
        if len(room.members) >= self._limits.room_members:
            raise Full(f"the room has its most members ({self._limits.room_members})")
        return self._enter(room, self._new_id(wall_ms), wished, member, wall_ms)

    def find(self, name: RoomName) -> Room:
        """Return the room of that name or raise RoomNotFound."""
        try:
            return self.by_name[name]
        except KeyError:
            raise RoomNotFound(name) from None

    def known_room(self, room_id: int) -> Room | None:
        """Return a room, open or closed; None if there is no such room (any more)."""
        return self.rooms.get(room_id) or self.closed.get(room_id)

    def standing(self, room_id: int) -> tuple[int, int, int]:
        """Return (room id, epoch, last offset) of a room; epoch 0 of one that is closed or not known."""
        room = self.known_room(room_id)
        if room is None:
            return room_id, 0, 0
        return room_id, 0 if room.closed_ms else room.epoch, room.last

    def say(self, member: Member, text: str, wall_ms: int) -> None:
        """Put what a member says into its room's order."""
        member.spoke_ms = wall_ms
        self.note(member.room, EntryKind.SAID, member, text, 0, wall_ms)

    def leave(
        self, member: Member, reason: LeaveReason, wall_ms: int, text: str = "", by: "Member | None" = None
    ) -> None:
        """Take a member out of its room; if it is the host, the room closes, or another is the host.

        Of a closed room it needs no more then.

        Args:
            member: whom.
            reason: why.
            wall_ms: now.
            text: what is said about it to the member and the others.
            by: who removed it; nobody if it went itself, or the operator removed it.
        """
        room, heir = member.room, None
        if room.closed_ms:
            self._drop_member(member)
            return
        if member.is_host and room.persistent:
            room.host = NOBODY
            self.batch.rooms[room.id] = room.row()
        elif member.is_host:
            heir = next((other for other in room.members.values() if other is not member), None)
            if heir is None or self._limits.host_leaves == "close":
                self.close(
                    room, LeaveReason.HOST_IDLE if reason is LeaveReason.IDLE else LeaveReason.HOST_LEFT, wall_ms
                )
                return
        self.note(room, EntryKind.LEFT, member, text, reason, wall_ms, by)
        self._drop_member(member)
        if heir is not None:
            self.make_host(heir, None, wall_ms)
        elif room.host == NOBODY:
            self._close_if_over(room, reason, wall_ms)

    def close(self, room: Room, reason: LeaveReason, wall_ms: int) -> None:
        """Close a room: its log ends with this, and its members are kept only until they have been told."""
        self.note(room, EntryKind.CLOSED, room.members.get(room.host), "", reason, wall_ms)
        del self.rooms[room.id], self.by_name[room.name]
        self._house(room, "")
        self.closed[room.id] = room
        room.closed_ms = wall_ms
        self.batch.rooms[room.id] = room.row()

    def purge(self, room: Room) -> None:
        """Forget a closed room, whoever of its members has been told or not."""
        for member in list(room.members.values()):
            self._drop_member(member)
        del self.closed[room.id]
        self.sanctions.forget_room(room.id)
        self.batch.purged.add(room.id)

    def persist(self, name: RoomName, wall_ms: int) -> Room:
        """Let a room outlive its members, make it if there is none of that name, and return it. Nobody is its host."""
        room = self.by_name.get(name)
        if room is None:
            room = Room(RoomRow(self._new_id(wall_ms), name, 1, NOBODY, "", wall_ms), 1, 0)
            self._add_room(room)
        if not room.persistent:
            room.persistent, room.host = True, NOBODY
            self.batch.rooms[room.id] = room.row()
        return room

    def unpersist(self, room: Room, wall_ms: int) -> None:
        """Let a room close when its last member leaves: at once, if nobody is there."""
        room.persistent = False
        self.batch.rooms[room.id] = room.row()
        self._close_if_over(room, LeaveReason.OPERATOR, wall_ms)

    def _close_if_over(self, room: Room, reason: LeaveReason, wall_ms: int) -> None:
        if not room.members and not room.persistent:
            self.close(room, reason, wall_ms)

    def make_host(self, member: Member, by: Member | None, wall_ms: int) -> None:
        """Let a member be its room's host; `by` whom, None if the last one just left."""
        room = member.room
        room.host = member.id
        self.batch.rooms[room.id] = room.row()
        self.note(room, EntryKind.HOST, member, "", 0, wall_ms, by)

    def rename(self, member: Member, name: UserName, wall_ms: int) -> None:
        """Give a member another name, which must be free."""
        names = member.room.names
        names.pop(member.name, None)
        names[name] = member.id
        self.note(member.room, EntryKind.RENAMED, member, name, 0, wall_ms)
        member.name = name
        self.batch.members[member.id] = member.row()

    def set_topic(self, room: Room, topic: str, by: Member | None, wall_ms: int) -> None:
        """Let a room be about something, or nothing; None: the operator says so."""
        room.topic = topic
        self.batch.rooms[room.id] = room.row()
        self.note(room, EntryKind.TOPIC, by, topic, 0, wall_ms)

    def set_password(self, room: Room, password_hash: str, by: Member | None, wall_ms: int) -> None:
        """Let a room be joined with this password only, or without; None: the operator says so."""
        room.password_hash = password_hash
        self.batch.rooms[room.id] = room.row()
        self.note(room, EntryKind.LOCKED, by, "", int(bool(password_hash)), wall_ms)

    def move(self, member: Member, gateway: str, heard: int) -> None:
        """Let another gateway serve a member, which has heard its room up to `heard`."""
        self._part(member)
        member.seldom = replace(member.seldom, former=member.gateway)
        member.gateway = sys.intern(gateway)
        member.live = False
        member.delivered = heard
        self._attach(member)
        self.batch.members[member.id] = member.row()

    def shorten(self, member: Member, idle_ms: int) -> None:
        """Let a member be silent for so long only."""
        member.idle_ms = idle_ms
        self.batch.members[member.id] = member.row()

    def hold(self, member: Member) -> None:
        """A member is to go to another gateway: what its own reports from now on may be about others.

        Not noted for the store: a broker that starts again does not know of the handover either.
        """
        member.delivered = member.heard()
        member.live = False

    def locate(self, member: Member, address: bytes, heard: int) -> None:
        """A member is live at its gateway: note where its datagrams go, and up to where it has heard its room."""
        member.delivered = max(member.delivered, min(heard, member.room.last))
        member.live = True
        member.address = address
        self.batch.members[member.id] = member.row()

    def deliver(self, room: Room, gateway: str, offset: int) -> None:
        """Note how far a gateway has delivered in a room."""
        offset = min(offset, room.last)
        if offset > room.delivered.get(gateway, 0):
            room.delivered[gateway] = offset
            self.batch.delivered[room.id, gateway] = offset

    def forget_gateway(self, gateway: str) -> None:
        """Drop what is known of a gateway that serves nobody any more."""
        self.by_gateway.pop(gateway, None)
        self.batch.forgotten.add(gateway)
        for room in chain(self.rooms.values(), self.closed.values()):
            room.delivered.pop(gateway, None)

    def served_by(self, gateway: str) -> Iterator[Member]:
        """Yield the members that a gateway serves; they may be changed meanwhile."""
        for room in tuple(self.by_gateway.get(gateway, {}).values()):
            for member in tuple(room.members.values()):
                if member.gateway == gateway and member.id in room.members:
                    yield member

    # --- how it is noted ------------------------------------------------------------------------------------------

    def _enter(self, room: Room, member_id: int, wished: UserName, row: MemberRow, wall_ms: int) -> Member:
        member = Member(row, room)
        member.id = member_id
        member.name = room.free_name(wished)
        self._add_member(member)
        member.wished, member.spoke_ms = wished, wall_ms
        changes = self.batch.sanctions
        member.muted_until_ms = self.sanctions.until(room.id, SanctionKind.MUTE, wished, row.ip, wall_ms, changes)
        self.note(room, EntryKind.JOINED, member, "", len(room.members), wall_ms)
        member.delivered = room.last
        self.batch.members[member.id] = member.row()
        if room.topic and member.options & MemberOptions.NOTICES:
            # Behind what it has heard, so that it is told when it is live, and again if that was lost.
            self.note(room, EntryKind.ANSWERED, member, room.topic, Phrase.TOPIC_IS, wall_ms)
        return member

    def note(
        self,
        room: Room,
        kind: EntryKind,
        member: Member | None,
        text: str,
        code: int,
        wall_ms: int,
        peer: Member | None = None,
    ) -> None:
        """Put something into a room's order; `protocol.backbone.Entry` says what the arguments are.

        Without a member it is the server itself that does something.
        """
        room.last += 1
        member_id, name = (member.id, member.name) if member is not None else (0, SERVER_NAME)
        entry = Entry(room.last, kind, member_id, name, text, code, wall_ms)
        if peer is not None:
            entry.peer, entry.peer_name = peer.id, peer.name
        entries = self.entries.get(room.id)
        if entries is None:
            self.entries[room.id] = [entry]
        else:
            entries.append(entry)

    def _add_room(self, room: Room) -> None:
        if room.closed_ms:
            self.closed[room.id] = room
        else:
            self.rooms[room.id] = self.by_name[room.name] = room
        self._last_id = max(self._last_id, room.id)

    def _house(self, room: Room, address: str) -> None:
        """Count a room among those that were created from an address; empty: among none any more."""
        for counted, change in ((room.address, -1), (address, 1)):
            if counted:
                self._housed[counted] = self._housed.get(counted, 0) + change
                if not self._housed[counted]:
                    del self._housed[counted]
        room.address = address

    def _add_member(self, member: Member) -> None:
        member.room.members[member.id] = self.members[member.id] = member
        member.room.names[member.name] = member.id
        self.by_token[member.token_hash] = member
        self._attach(member)
        self._last_id = max(self._last_id, member.id)

    def _drop_member(self, member: Member) -> None:
        del member.room.members[member.id]
        member.room.names.pop(member.name, None)
        del self.members[member.id], self.by_token[member.token_hash]
        self._part(member)
        self.departed[member.id] = member.gateway
        if len(self.departed) > DEPARTED:
            del self.departed[next(iter(self.departed))]
        self.batch.members[member.id] = None

    def _attach(self, member: Member) -> None:
        """Count a member among those of its gateway."""
        gateway, gateways = member.gateway, member.room.gateways
        self.by_gateway.setdefault(gateway, {})[member.room.id] = member.room
        gateways[gateway] = gateways.get(gateway, 0) + 1

    def _part(self, member: Member) -> None:
        """Count it there no more."""
        gateway, gateways = member.gateway, member.room.gateways
        gateways[gateway] -= 1
        if not gateways[gateway]:
            del gateways[gateway], self.by_gateway[gateway][member.room.id]
            self.regrouped.add(member.room.id)

    def _new_id(self, wall_ms: int) -> int:
        # Led by the time, so that a broker which has forgotten everything does not give an id twice.
        # A sum is given room for a carry, and keeps it as long as it lives: `| 0` copies it without.
        self._last_id = max(self._last_id + 1, wall_ms << TIME_SHIFT) | 0
        return self._last_id
