"""A room and a member, as the directory keeps them. Only the directory writes to them.

There are very many members, so fields that few of them use are in an object that the others share.
"""

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tsudoi.protocol.codes import Rights
from tsudoi.protocol.names import SERVER_NAME, RoomName, TokenHash, UserName, numbered_name

from ..store.interface import MemberRow, RoomRow

NO_RIGHTS = Rights(0)

NUMBERS = 1_000
"""Wished names of a room whose last number is remembered; for others the search begins at 2."""

TIME_SHIFT = 16
"""Ids are led by the milliseconds at which they were given."""


@dataclass(frozen=True, slots=True)
class RareFields:
    """The fields that few members use."""

    former: str = ""
    """The gateway that served it before: messages that the client sent there may still come from it."""
    rights: Rights = NO_RIGHTS
    told_muted_ms: int = 0
    """When it was last told that it is muted."""
    whispered_by: int = 0
    """See `MemberRow`."""


UNUSED: Final = RareFields()
"""Shared by all members that use none of them."""


class Member:
    """One member of one room."""

    __slots__ = (
        "address",
        "delivered",
        "dialect",
        "gateway",
        "id",
        "idle_ms",
        "ip",
        "live",
        "muted_until_ms",
        "name",
        "options",
        "rare",
        "room",
        "spoke_ms",
        "token_hash",
        "wished",
    )

    def __init__(self, row: MemberRow, room: "Room") -> None:
        self.id = row.id
        self.room = room
        self.name = UserName(row.name)
        self.token_hash = TokenHash(row.token_hash)
        # Each frame brings strings of its own; thousands of members share these.
        self.dialect = sys.intern(row.dialect)
        self.ip = sys.intern(row.ip)
        self.address = row.address
        self.gateway = sys.intern(row.gateway)
        self.idle_ms = _shared(row.idle_ms)
        self.live = row.live
        self.delivered = row.delivered
        self.wished = row.wished or row.name
        """The name that it asked for: its client may go on to write it before its texts."""
        self.options = row.options
        self.muted_until_ms = row.muted_until_ms
        self.rare = UNUSED
        if row.rights or row.whispered_by:
            self.rare = RareFields(rights=Rights(row.rights), whispered_by=row.whispered_by)
        self.spoke_ms = row.id >> TIME_SHIFT
        """When it last sent a message to this run of the broker; before that, when it joined."""

    @property
    def may_moderate(self) -> bool:
        """Whether it may use the host's commands: it is the host, or a moderator of all rooms."""
        return self.is_host or Rights.MODERATOR in self.rare.rights

    @property
    def is_host(self) -> bool:
        """Whether the room closes when this member leaves."""
        return self.room.host == self.id

    @property
    def where(self) -> str:
        """The IP address that its datagrams come from; that of its handshake, if nothing has come yet."""
        return self.address.decode(errors="replace").partition(" ")[0] if self.address else self.ip

    def received(self) -> int:
        """Return the offset up to which it has received its room's entries, as far as its gateway has reported.

        A gateway's reports on a room count for its live members only.
        """
        if not self.live:
            return self.delivered
        return max(self.delivered, self.room.delivered.get(self.gateway, 0))

    def row(self) -> MemberRow:
        """Return what the store keeps of it."""
        return MemberRow(
            self.id,
            self.room.id,
            self.name,
            self.token_hash,
            self.dialect,
            self.ip,
            self.address,
            self.gateway,
            self.idle_ms,
            self.live,
            self.delivered,
            int(self.rare.rights),
            self.wished,
            self.options,
            self.muted_until_ms,
            self.rare.whispered_by,
        )


@lru_cache
def _shared(idle_ms: int) -> int:
    """Return the one number that all members with this time-out share."""
    return idle_ms


class Room:
    """One room with its members; `last` is the offset of its newest entry, `first` of the oldest in the log."""

    __slots__ = (
        "address",
        "closed_ms",
        "created_ms",
        "delivered",
        "epoch",
        "first",
        "gateways",
        "host",
        "id",
        "last",
        "members",
        "name",
        "names",
        "numbers",
        "password_hash",
        "persistent",
        "topic",
    )

    def __init__(self, row: RoomRow, first: int, last: int) -> None:
        self.id = row.id
        self.name = RoomName(row.name)
        self.epoch = row.epoch
        self.host = row.host
        self.password_hash = row.password_hash
        self.created_ms = row.created_ms
        self.closed_ms = row.closed_ms
        self.topic = row.topic
        self.address = ""
        """The address that it counts for: its creator's, after a restart of the broker its host's."""
        self.persistent = row.persistent
        self.first = first
        self.last = last
        self.members: dict[int, Member] = {}
        self.gateways: dict[str, int] = {}
        """Gateway instance → number of members of this room that it serves."""
        self.names: dict[str, int] = {}
        """Member's name → its id."""
        self.numbers: dict[str, int] = {}
        """Wished name → the number in the last name that was made of it."""
        self.delivered: dict[str, int] = {}
        """Gateway instance → offset up to which it has delivered here."""

    def row(self) -> RoomRow:
        """Return what the store keeps of it, but for its members and log."""
        return RoomRow(
            self.id,
            self.name,
            self.epoch,
            self.host,
            self.password_hash,
            self.created_ms,
            self.closed_ms,
            self.topic,
            self.persistent,
        )

    def is_taken(self, name: str) -> bool:
        """Say whether a member has this name, or the server, which sends notices under its own."""
        return name in self.names or name == SERVER_NAME

    def free_name(self, wished: UserName) -> UserName:
        """Return the wished name, with a number if another member has it."""
        name, number = wished, self.numbers.get(wished, 1)
        while self.is_taken(name):
            number += 1
            name = numbered_name(wished, number)
        if name != wished:
            self.numbers[wished] = number
            if len(self.numbers) > NUMBERS:
                del self.numbers[next(iter(self.numbers))]
        return name
