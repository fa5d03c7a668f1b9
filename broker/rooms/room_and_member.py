"""A room and a member. Only the directory writes to them."""

import sys
from dataclasses import dataclass, field, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from tsudoi.protocol.codes import Rights
from tsudoi.protocol.names import SERVER_NAME, RoomName, TokenHash, UserName, is_webhook_name

from ..store.interface import MemberRow, RoomRow
from .ids import created_ms

NO_RIGHTS = Rights(0)


@dataclass(frozen=True, slots=True)
class RareFields:
    """The fields that few of very many members use; the others share `UNUSED`."""

    former: tuple[str, ...] = ()
    """The gateways that served it before, the last one first: messages may still come from each."""
    rights: Rights = NO_RIGHTS
    told_muted_ms: int = 0
    """When it was last notified that it is muted."""
    whispered_by: int = 0
    """See `MemberRow`."""
    left: int = 0
    """Offset of the entry with which it was removed."""


UNUSED: Final = RareFields()


@dataclass(slots=True, eq=False, repr=False)
class Member:
    """One member of one room; the fields are those of `MemberRow`, but for `rare`, `spoke_ms` and `resumed`."""

    id: int
    room: "Room"
    name: UserName
    token_hash: TokenHash
    dialect: str
    ip: str
    address: bytes
    gateway: str
    idle_ms: int
    live: bool
    delivered: int
    wished: str
    """The name that it asked for: its client may still write it before its texts."""
    options: int
    muted_until_ms: int
    rare: RareFields
    spoke_ms: int
    """When it last sent a message to this run of the broker; before that, when it joined."""
    said: int = 0
    """See `MemberRow`."""
    resumed: int = 0
    """The highest `Resume.count` of this run of the broker."""

    @classmethod
    def of(cls, row: MemberRow, room: "Room") -> "Member":
        rare = UNUSED
        if row.rights or row.whispered_by:
            rare = RareFields(rights=Rights(row.rights), whispered_by=row.whispered_by)
        # Each frame brings strings of its own; thousands of members share these.
        dialect, ip, gateway = sys.intern(row.dialect), sys.intern(row.ip), sys.intern(row.gateway)
        name, token_hash, idle_ms = UserName(row.name), TokenHash(row.token_hash), _shared(row.idle_ms)
        head = (row.id, room, name, token_hash, dialect, ip, row.address, gateway, idle_ms, row.live, row.delivered)
        return cls(*head, row.wished or row.name, row.options, row.muted_until_ms, rare, created_ms(row.id), row.said)

    @property
    def may_moderate(self) -> bool:
        """Whether it may use the host's commands: it is the host, or a moderator of all rooms."""
        return self.is_host or Rights.MODERATOR in self.rare.rights

    @property
    def is_host(self) -> bool:
        return self.room.host == self.id

    def may_come_from(self, gateway: str) -> bool:
        """Return whether a gateway may have something of this member's: it serves it, or has done so lately."""
        return gateway == self.gateway or gateway in self.rare.former

    @property
    def where(self) -> str:
        """The IP address of the member's datagrams, or of its handshake if no datagram has come yet."""
        return self.address.decode(errors="replace").partition(" ")[0] if self.address else self.ip

    def received(self) -> int:
        """Return the offset up to which it has received its room's entries, as far as its gateway has reported."""
        if not self.live:
            return self.delivered
        return max(self.delivered, self.room.delivered.get(self.gateway, 0))

    def row(self) -> MemberRow:
        return MemberRow(*_member_fields(self))


_PLACES = {"room": "room.id", "rights": "rare.rights", "whispered_by": "rare.whispered_by"}
_member_fields = attrgetter(*(_PLACES.get(each.name, each.name) for each in fields(MemberRow)))


@lru_cache
def _shared(idle_ms: int) -> int:
    """Return the one number that all members with this time-out share."""
    return idle_ms


@dataclass(slots=True, eq=False, repr=False)
class Room:
    """One room with its members. The first fields are those of `RoomRow`."""

    id: int
    name: RoomName
    epoch: int
    host: int
    password_hash: str
    created_ms: int
    closed_ms: int
    topic: str
    persistent: bool
    epoch_after: int
    first: int
    """Offset of the oldest entry in the log."""
    last: int
    """Offset of the newest entry."""
    last_ms: int = 0
    """When this run of the broker stamped that entry; 0: an earlier one did."""
    opened_last: int = 0
    """`last` when this run of the broker began."""
    address: str = ""
    """The rate key that it counts for: its creator's, after a restart of the broker its host's."""
    members: dict[int, Member] = field(default_factory=dict)
    gateways: dict[str, int] = field(default_factory=dict)
    """Gateway instance → number of members of this room that it serves."""
    names: dict[str, int] = field(default_factory=dict)
    """Member's name → its id."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Wished name → the number in the last name that was made of it."""
    delivered: dict[str, int] = field(default_factory=dict)
    """Gateway instance → offset up to which it has delivered here."""

    @classmethod
    def of(cls, row: RoomRow, first: int = 1, last: int = 0) -> "Room":
        """Return the room of a row, whose log has these offsets."""
        values: tuple[Any, ...] = (*_room_fields(row), first, last, 0, last)
        return cls(*values)

    def row(self) -> RoomRow:
        return RoomRow(*_room_fields(self))

    def called(self, name: str) -> Member | None:
        """Return the member of a name in normal form, if there is one."""
        return self.members.get(self.names.get(name, 0))

    def is_taken(self, name: str) -> bool:
        """Return whether a member has this name, the server, which sends notices under its own, or a webhook."""
        return name in self.names or name == SERVER_NAME or is_webhook_name(name)


_room_fields = attrgetter(*(each.name for each in fields(RoomRow)))
