"""The events of a room, as values."""

from dataclasses import dataclass
from typing import TypeAlias

from tsudoi.protocol.client.notices import action_line
from tsudoi.protocol.untrusted import Milliseconds


@dataclass(frozen=True, slots=True)
class Message:
    """A member sent a text to the room."""

    sender: str
    """The name as the server shows it; empty where the dialect's datagram has none."""
    text: str
    """Without control characters but tab and line feed."""
    offset: int | None = None
    """The position in the room's log, where joins and leaves have positions too. None where the dialect has none."""


@dataclass(frozen=True, slots=True)
class RoomClosed:
    """The room was closed. The last event."""

    text: str
    """The server's words."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The server removed this member because it had been silent for too long. The last event."""

    text: str
    is_forgotten: bool = False
    """In `tsudoi-2`: the server has no such membership, and the room can not be joined again; `text` says why."""


@dataclass(frozen=True, slots=True)
class Kicked:
    """The host or the operator removed this member. The last event."""

    text: str
    by: str = ""
    """The host's name; empty: the operator, or the dialect does not say."""
    reason: str = ""
    """As `why` in `Left`."""
    banned: bool = False
    """The member is banned, at least for a time."""


# The following exist in `tsudoi` only; members of other dialects get the same as a Notice.


@dataclass(frozen=True, slots=True)
class Emote:
    """A member sent an action (`/me waves`)."""

    sender: str
    text: str
    """`waves`"""
    offset: int


@dataclass(frozen=True, slots=True)
class Private:
    """A private message to this member, or from it."""

    sender: str
    to: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A member joined."""

    name: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """A member left or was removed."""

    name: str
    reason: str
    """`left`, `idle`, `kicked`, `banned`, `operator`, or `rejoined`: it is here again, as another member."""
    by: str
    """The host that removed it; empty: it left by itself, or the operator removed it."""
    why: str
    """The reason that the host gave; of a ban, for how many minutes, or empty: until the room closes."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """In a big room, instead of single events: how many joined and left lately."""

    joined: int
    left: int
    text: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """A member changed its name."""

    name: str
    """The old one."""
    to: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class TopicChanged:
    """A member changed the topic."""

    name: str
    """The member that changed it."""
    topic: str
    """Empty: the topic was removed."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class HostChanged:
    """Another member is the host now."""

    name: str
    by: str
    """The former host; empty: it has left."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Muted:
    """The host muted a member."""

    name: str
    by: str
    minutes: int
    """0: until the room closes."""
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Unmuted:
    """The host unmuted a member."""

    name: str
    by: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class LockChanged:
    """The host set, changed or removed the room's password."""

    name: str
    """The host's name."""
    locked: bool
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Announced:
    """The operator sent an announcement."""

    said: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The server's answer to a command of this member, in one line."""

    code: str
    """PROTOCOL.md, "Phrases": `no-such-member`, `not-host`, …"""
    about: str
    """The value that the answer is about, such as an unknown name."""
    offset: int | None
    """The position in the room's log, where the answer has one."""
    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """A row of the list of members."""

    name: str
    is_host: bool
    idle_s: int
    """Seconds since its last message."""


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A row of the list of rooms."""

    name: str
    members: int
    locked: bool


@dataclass(frozen=True, slots=True)
class Sanction:
    """A row of the list of bans and mutes."""

    name: str
    """Empty: the address alone is banned."""
    address: str
    """IP address; empty: the name alone."""
    muted: bool
    """True: a mute. False: a ban."""
    until_ms: Milliseconds
    """Milliseconds since 1970, UTC; 0: until the room closes."""


@dataclass(frozen=True, slots=True)
class Past:
    """A row of the history."""

    sender: str
    text: str
    offset: int
    at_ms: Milliseconds
    """Milliseconds since 1970, UTC."""
    acted: bool
    """An action (`/me`)."""


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """A row of the list of commands."""

    usage: str
    does: str


Row: TypeAlias = Person | RoomInfo | Sanction | Past | CommandHelp


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that answers a command of this member, or a part of it."""

    what: str
    """`who`, `rooms`, `bans`, `history` or `help`."""
    rows: tuple[Row, ...]
    count: int
    """The number of rows on all pages, in all parts; 0 where the server does not say."""
    page: int
    pages: int
    text: str
    before: int = 0
    """Of `history`: the position that the question named; 0: none."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A text of the server for which this version has no other event."""

    text: str


@dataclass(frozen=True, slots=True)
class ServerAway:
    """The server does not answer.

    In `tsudoi-2` it comes once until ServerBack or Rejoined, and lines wait. In other dialects the server's machine
    refuses datagrams; it comes once until a datagram arrives again, and what is said may be lost.
    """

    text: str
    distrusted: str = ""
    """Why its certificate is not trusted, in `tsudoi-2`: it comes once more for that. Empty: it does not answer."""


# The following exist in `tsudoi-2` only.


@dataclass(frozen=True, slots=True)
class ServerBack:
    """The server answers again."""

    missed: int | None
    """Positions that are lost to this member, as a Gap has told; 0: nothing is lost. None: a Reset has told."""

    @property
    def text(self) -> str:
        lost = {0: "; nothing is lost", None: ""}.get(self.missed, f"; {self.missed} entries of the room are lost")
        return f"the server answers again{lost}"


@dataclass(frozen=True, slots=True)
class FirstContact:
    """The server showed a certificate that no authority has signed, the first one at this address. It is remembered.

    Compare it with what the service prints at its start (`certificate sha256 …`). The first event.
    """

    server: str
    """Its address."""
    sha256: str
    """Of the certificate, in hexadecimal."""

    @property
    def text(self) -> str:
        return f"first contact with {self.server}, whose certificate has the SHA-256 {self.sha256}"


@dataclass(frozen=True, slots=True)
class Earlier:
    """The room's last messages from before the join, where the server gives newcomers some (`--history`).

    It comes before all events of the room. No Message or Emote follows for these.
    """

    rows: tuple[Past, ...]
    """Oldest first."""

    @property
    def text(self) -> str:
        """The event in words, a line for each message."""
        return "\n".join(
            action_line(row.sender, row.text) if row.acted else f"{row.sender}: {row.text}" for row in self.rows
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """What was at these positions is lost to this member: the log has it no more, or the membership has ended."""

    first: int
    last: int

    @property
    def text(self) -> str:
        return f"{self.last - self.first + 1} entries of the room are lost to you ({self.first} to {self.last})"


@dataclass(frozen=True, slots=True)
class Reset:
    """The room's history was lost or replaced: positions begin anew, and what was missed is not known."""

    @property
    def text(self) -> str:
        return "the room's history was lost or replaced; what was missed is not known"


@dataclass(frozen=True, slots=True)
class Rejoined:
    """The server did not know this membership any more, so the client has joined the room again.

    It goes on from its position: where the room's log does not reach back to that, a Gap or Reset follows. Of lines
    that were not kept before it is not known whether they were said.
    """

    name: str
    """This member's name now; another one (`alice#2`) while the old member is still there."""

    @property
    def text(self) -> str:
        return f"the server did not know you any more; you have joined again as {self.name}"


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Messages go by TCP from now on, since the network lets no UDP pass; or by UDP again. Nothing is lost."""

    by_tcp: bool

    @property
    def text(self) -> str:
        return "the network lets no UDP pass: messages go by TCP" if self.by_tcp else "messages go by UDP again"


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
"""Events with the server's words for a person in `text`."""

Connection: TypeAlias = FirstContact | ServerAway | ServerBack | Rejoined | Gap | Reset | Rerouted
"""Events about the way to the server, and what was lost on it."""

Event: TypeAlias = (
    Message | Emote | Private | RoomEvent | RoomClosed | TimedOut | Kicked | Notice | Earlier | Connection
)

LAST: tuple[type[Event], ...] = (RoomClosed, TimedOut, Kicked)
"""The membership ends with one of these; no event follows."""
