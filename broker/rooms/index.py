"""Find rooms and members in memory by id, name, token and gateway; no decisions."""

from collections.abc import Iterator

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.backbone import shard_of
from tsudoi.protocol.errors import RoomNotFound
from tsudoi.protocol.names import RoomName

from .ids import Ids
from .room_and_member import Member, Room

REMOVED = 1_000
"""Removed members of version 2 that are remembered, for their clients that come back."""
DEPARTED = 100_000
"""Departed members whose last gateway is remembered, for gateways that were cut off when they left."""


class Index:
    """All rooms and members."""

    def __init__(self, ids: Ids) -> None:
        self.rooms: dict[int, Room] = {}
        """Open rooms."""
        self.closed: dict[int, Room] = {}
        """Closed rooms until they are purged. Members that have not received the end may still change gateways."""
        self.by_name: dict[str, Room] = {}
        """Open rooms."""
        self.members: dict[int, Member] = {}
        self.by_token: dict[bytes, Member] = {}
        self.by_gateway: dict[str, dict[int, Room]] = {}
        """Gateway instance → rooms of which it serves members. An index of members would take 52 bytes for each."""
        self.departed: dict[int, str] = {}
        """Member id → the gateway that served it last, of the members that left last."""
        self.removed: dict[bytes, Member] = {}
        """By the hash of the token, the members of version 2 that were removed last, by others."""
        self._rooms_from: dict[str, int] = {}
        """Rate-limit key of an IP address → open rooms that were created from it."""
        self._ids = ids

    def find(self, name: RoomName) -> Room:
        """Return the open room of that name or raise RoomNotFound."""
        if room := self.by_name.get(name):
            return room
        raise RoomNotFound(name)

    def belongs(self, name: RoomName) -> bool:
        return shard_of(name, self._ids.shards) == self._ids.shard

    def rooms_from(self, address: str) -> int:
        """Return how many open rooms were created from a rate-limit key of an IP address."""
        return self._rooms_from.get(address, 0)

    def known_room(self, room_id: int) -> Room | None:
        """Return a room, open or closed."""
        return self.rooms.get(room_id) or self.closed.get(room_id)

    def find_removed(self, token_hash: bytes) -> Member | None:
        """Return a removed member, if its room's log still has the entry that removed it."""
        member = self.removed.get(token_hash)
        if member is None or self.known_room(member.room.id) is None or member.room.first > member.rare.left:
            return None
        return member

    @property
    def present(self) -> int:
        """How many members open rooms have. Any thread may read it."""
        return len(self.members) - sum(len(room.members) for room in list(self.closed.values()))

    def standing(self, room_id: int) -> tuple[int, int, int]:
        """Return (room id, epoch, last offset) of a room; epoch 0 of one that is closed or not known."""
        room = self.known_room(room_id)
        if room is None:
            return room_id, 0, 0
        return room_id, 0 if room.closed_ms else room.epoch, room.last

    def served_by(self, gateway: str) -> Iterator[Member]:
        """Yield the members that a gateway serves; they may be changed meanwhile."""
        for room in tuple(self.by_gateway.get(gateway, {}).values()):
            for member in tuple(room.members.values()):
                if member.gateway == gateway and member.id in room.members:
                    yield member

    def _add_room(self, room: Room) -> None:
        if room.closed_ms:
            self.closed[room.id] = room
        else:
            self.rooms[room.id] = self.by_name[room.name] = room
        self._ids.seen(room.id)

    def _count_for(self, room: Room, address: str) -> None:
        """Count a room for a rate-limit key instead of the one that it counted for; empty: for none."""
        for counted, change in ((room.address, -1), (address, 1)):
            if counted:
                self._rooms_from[counted] = self._rooms_from.get(counted, 0) + change
                if not self._rooms_from[counted]:
                    del self._rooms_from[counted]
        room.address = address

    def _add_member(self, member: Member) -> None:
        member.room.members[member.id] = self.members[member.id] = member
        member.room.names[member.name] = member.id
        self.by_token[member.token_hash] = member
        self._attach(member)
        self._ids.seen(member.id)

    def _remove_member(self, member: Member) -> bool:
        """Remove a member; return whether it was the last one that its gateway served in the room."""
        del member.room.members[member.id]
        member.room.names.pop(member.name, None)
        del self.members[member.id], self.by_token[member.token_hash]
        put_newest(self.departed, member.id, member.gateway, DEPARTED)
        return self._detach(member)

    def _attach(self, member: Member) -> None:
        """Count a member for its gateway."""
        gateway, gateways = member.gateway, member.room.gateways
        self.by_gateway.setdefault(gateway, {})[member.room.id] = member.room
        gateways[gateway] = gateways.get(gateway, 0) + 1

    def _detach(self, member: Member) -> bool:
        """Stop counting a member for its gateway; return whether it was the room's last one there."""
        gateway, gateways = member.gateway, member.room.gateways
        gateways[gateway] -= 1
        if gateways[gateway]:
            return False
        del gateways[gateway], self.by_gateway[gateway][member.room.id]
        return True
