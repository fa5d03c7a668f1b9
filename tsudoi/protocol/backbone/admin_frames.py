"""Define the frames between an admin client and the broker; ARCHITECTURE.md, "Operator".

One question, one answer, each one frame: a MessagePack array whose first item is the tag. They have a socket of their
own, so that a gateway can not send them.
"""

from typing import Annotated, Final

import msgspec

from tsudoi.protocol.backbone import Number, Wire
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import PARSE_ERRORS

VERSION: Final = 1
PAGE: Final = 1_000
"""Most rows in one answer; for more, ask again."""

Text = Annotated[str, msgspec.Meta(max_length=2_000)]


# --- questions ----------------------------------------------------------------------------------------------------


class ListRooms(Wire, tag=1):
    """List rooms."""

    after: Number = 0
    """Only rooms with larger ids."""
    name: Text = ""
    """Only the room with this name, if not empty."""


class ListMembers(Wire, tag=2):
    """List members."""

    after: Number = 0
    """Only members with larger ids."""
    room: Text = ""
    """Only members of the room with this name, if not empty."""


class ListGateways(Wire, tag=3):
    """List gateways."""


class Count(Wire, tag=4):
    """Read the broker's counters."""


class CloseRoom(Wire, tag=5):
    """Close a room; a persistent one too."""

    room: Text


class RemoveMember(Wire, tag=6):
    """Remove a member from its room."""

    room: Text
    name: Text
    reason: Text = ""


class Ban(Wire, tag=7):
    """Ban a name or an IP address from all rooms, and remove its members."""

    name: Text
    """Empty: ban the address."""
    ip: Text
    """An IP address; empty: ban the name."""
    minutes: Number
    """0: until an Unban."""
    reason: Text = ""


class Unban(Wire, tag=8):
    """Lift the bans of a name or an IP address."""

    who: Text


class ListBans(Wire, tag=9):
    """List the bans of the whole server."""


class Announce(Wire, tag=10):
    """Send an announcement to all members, or to those of one room."""

    text: Text
    room: Text = ""


class Persist(Wire, tag=11):
    """Make a room persistent: it outlives its members and has no host. Creates the room if there is none."""

    room: Text
    password_hash: Text | None = None
    """Empty: no password. None: unchanged."""
    topic: Text | None = None
    """None: unchanged."""


class Unpersist(Wire, tag=12):
    """Make a room close when its last member leaves."""

    room: Text


Question = (
    ListRooms
    | ListMembers
    | ListGateways
    | Count
    | CloseRoom
    | RemoveMember
    | Ban
    | Unban
    | ListBans
    | Announce
    | Persist
    | Unpersist
)


class Ask(Wire, tag=1):
    """A question, with the version of these frames."""

    version: Number
    body: Question


# --- answers ------------------------------------------------------------------------------------------------------


class Room(Wire):
    """One room."""

    id: Number
    name: str
    members: Number
    host: str
    """The host's name; empty: there is none."""
    locked: bool
    persistent: bool
    topic: str
    created_ms: Number
    entries: Number
    """Number of entries in the room's log."""


class Member(Wire):
    """One member."""

    id: Number
    room: str
    name: str
    host: bool
    rights: Number
    """`codes.Rights`"""
    dialect: str
    ip: str
    """IP address of its TCP connection."""
    address: str
    """IP address, UDP port and its gateway's listener, to which its datagrams go; empty while unknown."""
    gateway: str
    """Instance of the gateway that serves it."""


class Gateway(Wire):
    """One gateway."""

    instance: str
    members: Number
    state: str
    """`serves`, `stopped` or `away`."""
    silent_ms: Number
    """Time since its last frame."""


class Sanction(Wire):
    """One ban of the whole server."""

    name: str
    ip: str
    until_ms: Number
    """Milliseconds since 1970; 0: until an Unban."""


class Rooms(Wire, tag=1):
    """Rooms, in the order of their ids."""

    rooms: list[Room]
    more: bool
    """There are more after the last one."""


class Members(Wire, tag=2):
    """Members, in the order of their ids."""

    members: list[Member]
    more: bool


class Gateways(Wire, tag=3):
    """All known gateways, also stopped ones."""

    gateways: list[Gateway]


class Counted(Wire, tag=4):
    """Counters since the broker's start: (name, value)."""

    counters: list[tuple[str, int]]


class Bans(Wire, tag=5):
    """Bans of the whole server, oldest first."""

    bans: list[Sanction]


class Done(Wire, tag=6):
    """The order is carried out and committed; `count` is the number of rooms or members that it concerned."""

    count: Number


class Refused(Wire, tag=7):
    """The order is not carried out; one line says why."""

    why: str


Answer = Rooms | Members | Gateways | Counted | Bans | Done | Refused

_questions = msgspec.msgpack.Decoder(Ask)
_answers = msgspec.msgpack.Decoder(Answer)
encode = msgspec.msgpack.Encoder().encode


def parse_ask_untrusted(frame: bytes) -> Ask:
    """Return an admin client's question, or raise MalformedMessage."""
    try:
        ask: Ask = _questions.decode(frame)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not an operator's frame: {exc}") from exc
    return ask


def parse_answer_untrusted(frame: bytes) -> Answer:
    """Return the broker's answer, or raise MalformedMessage."""
    try:
        answer: Answer = _answers.decode(frame)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not an answer to an operator: {exc}") from exc
    return answer
