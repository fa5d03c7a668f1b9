"""What a member hears, as values."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody said something."""

    sender: str
    """The name as the server gave it; empty where the dialect's datagram has none."""
    text: str
    """Without control characters but tab and line feed."""
    offset: int | None = None
    """The message's place in its room; places between may be joins and leaves. None where the dialect does not tell."""


@dataclass(frozen=True, slots=True)
class RoomClosed:
    """The room is no more. The last event."""

    text: str
    """The server's words."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """This member was removed for silence. The last event."""

    text: str


@dataclass(frozen=True, slots=True)
class Kicked:
    """This member was removed by somebody. The last event."""

    text: str
    by: str = ""
    """Who did it; empty: the operator, or the dialect does not tell."""
    reason: str = ""
    banned: bool = False
    """It can not come back, at least for a time."""


# What follows is told in `tsudoi` only; members of other dialects hear the same as a Notice, in words.


@dataclass(frozen=True, slots=True)
class Emote:
    """Somebody says what it does, in the third person."""

    sender: str
    text: str
    """`waves`"""
    offset: int


@dataclass(frozen=True, slots=True)
class Private:
    """Something said to one member alone: to this one, or by it."""

    sender: str
    to: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody has come."""

    name: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody has gone."""

    name: str
    reason: str
    """`left`, `idle`, `kicked`, `banned` or `operator`."""
    by: str
    """Who removed it; empty: nobody, or the operator."""
    why: str
    """What was said about it."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """In a big room: so many have come and gone lately."""

    joined: int
    left: int
    text: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """Somebody has another name."""

    name: str
    """The old one."""
    to: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class TopicChanged:
    """The room is about something else."""

    name: str
    """Who has said so."""
    topic: str
    """Empty: about nothing any more."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class HostChanged:
    """Somebody else is the host."""

    name: str
    by: str
    """Who handed over; empty: the one before has left."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Muted:
    """Somebody may not speak."""

    name: str
    by: str
    minutes: int
    """0: until the room closes."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Unmuted:
    """Somebody may speak again."""

    name: str
    by: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class LockChanged:
    """The room has a password, another one, or none any more."""

    name: str
    """Who has said so."""
    locked: bool
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Announced:
    """The operator says something to everybody."""

    said: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answers what this member has asked or ordered, in one line."""

    code: str
    """PROTOCOL.md, "Phrases": `no-such-member`, `not-host`, …"""
    about: str
    """The name, say, that there is not."""
    offset: int | None
    """Its place in the room, where it has one."""
    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """A row of who is here."""

    name: str
    is_host: bool
    idle_s: int
    """Since it last said something."""


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A row of which rooms there are."""

    name: str
    members: int
    locked: bool


@dataclass(frozen=True, slots=True)
class Sanction:
    """A row of who is kept out, or muted."""

    name: str
    """Empty: the address alone is banned."""
    address: str
    """IP address; empty: the name alone."""
    muted: bool
    """It may be there, but not speak; else it is banned."""
    until_ms: int
    """Milliseconds since 1970, UTC; 0: until the room closes."""


@dataclass(frozen=True, slots=True)
class Past:
    """A row of what was said last."""

    sender: str
    text: str
    offset: int
    at_ms: int
    """Milliseconds since 1970, UTC."""
    acted: bool
    """It was said in the third person."""


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """A row of which commands there are."""

    usage: str
    does: str


Row: TypeAlias = Person | RoomInfo | Sanction | Past | CommandHelp


@dataclass(frozen=True, slots=True)
class Listed:
    """A long answer, or a part of one."""

    what: str
    """`who`, `rooms`, `bans`, `history` or `help`."""
    rows: tuple[Row, ...]
    count: int
    """All rows that there are; 0 where that is not told."""
    page: int
    pages: int
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The server says something that this client has no other name for."""

    text: str


@dataclass(frozen=True, slots=True)
class ServerAway:
    """The server's machine says that nobody listens there. Told once until the server is heard again."""

    text: str


RoomEvent: TypeAlias = (
    Joined
    | Left
    | PeopleChanged
    | Renamed
    | TopicChanged
    | HostChanged
    | Muted
    | Unmuted
    | LockChanged
    | Announced
    | Answered
    | Listed
)
"""What the server tells: each has its words for a person as `text`."""

Event: TypeAlias = Message | Emote | Private | RoomEvent | RoomClosed | TimedOut | Kicked | Notice | ServerAway

LAST: tuple[type[Event], ...] = (RoomClosed, TimedOut, Kicked)
"""After one of these nothing more comes."""
