"""Frames between an operator's tool and the broker; ARCHITECTURE.md, "Operator".

One question, one answer, each one frame: a MessagePack array whose first item is the tag. They have a socket of their
own: what a gateway may say (`backbone.py`) does not hold them, so a gateway can not give an operator's orders.
"""

from typing import Annotated, Final

import msgspec

from tsudoi.protocol.backbone import Number, Wire
from tsudoi.protocol.errors import MalformedMessage

VERSION: Final = 1
PAGE: Final = 1_000
"""Rows in one answer at the most; for more, ask again."""

Text = Annotated[str, msgspec.Meta(max_length=2_000)]


# --- questions and orders -----------------------------------------------------------------------------------------


class ListRooms(Wire, tag=1):
    """Which rooms are there?"""

    after: Number = 0
    """Rooms with larger ids only."""
    name: Text = ""
    """Only the room of this name."""


class ListMembers(Wire, tag=2):
    """Who is there?"""

    after: Number = 0
    """Members with larger ids only."""
    room: Text = ""
    """In the room of this name only."""


class ListGateways(Wire, tag=3):
    """Which gateways are known?"""


class Count(Wire, tag=4):
    """What has happened since the broker started?"""


class CloseRoom(Wire, tag=5):
    """Close a room, also a persistent one."""

    room: Text


class RemoveMember(Wire, tag=6):
    """Take a member out of its room."""

    room: Text
    name: Text
    reason: Text = ""


class Ban(Wire, tag=7):
    """Let nobody of this name, or from this address, into any room; who is in goes."""

    name: Text
    """Empty: by address."""
    ip: Text
    """One IP address; empty: by name."""
    minutes: Number
    """0: until it is lifted."""
    reason: Text = ""


class Unban(Wire, tag=8):
    """Lift the bans of a name or an address."""

    who: Text


class ListBans(Wire, tag=9):
    """Who may not come in anywhere?"""


class Announce(Wire, tag=10):
    """Tell all members something, or those of one room."""

    text: Text
    room: Text = ""


class Persist(Wire, tag=11):
    """Let a room outlive its members, and nobody be its host; make it if it is not there."""

    room: Text
    password_hash: Text | None = None
    """Empty: none. None: as it is."""
    topic: Text | None = None
    """None: as it is."""


class Unpersist(Wire, tag=12):
    """Let a room close when its last member leaves."""

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
    """A question, in the words of this version."""

    version: Number
    body: Question


# --- answers ------------------------------------------------------------------------------------------------------


class Room(Wire):
    """One room."""

    id: Number
    name: str
    members: Number
    host: str
    """Its name; empty: nobody is."""
    locked: bool
    persistent: bool
    topic: str
    created_ms: Number
    entries: Number
    """In its log."""


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
    """Where its handshake came from."""
    address: str
    """Where its datagrams go: IP address, port and its gateway's door; empty while that is not known."""
    gateway: str
    """The instance that serves it."""


class Gateway(Wire):
    """One gateway."""

    instance: str
    members: Number
    state: str
    """`serves`, `stopped` or `away`"""
    silent_ms: Number
    """For how long it was not heard."""


class Sanction(Wire):
    """One ban of the whole server."""

    name: str
    ip: str
    until_ms: Number
    """Milliseconds since 1970; 0: until it is lifted."""


class Rooms(Wire, tag=1):
    """In the order of their ids."""

    rooms: list[Room]
    more: bool
    """There are more behind the last."""


class Members(Wire, tag=2):
    """In the order of their ids."""

    members: list[Member]
    more: bool


class Gateways(Wire, tag=3):
    """Living or not."""

    gateways: list[Gateway]


class Counted(Wire, tag=4):
    """Names and numbers."""

    counters: list[tuple[str, int]]


class Bans(Wire, tag=5):
    """Oldest first."""

    bans: list[Sanction]


class Done(Wire, tag=6):
    """It is done, and kept; it concerned so many rooms or members."""

    count: Number


class Refused(Wire, tag=7):
    """It is not done; one line says why."""

    why: str


Answer = Rooms | Members | Gateways | Counted | Bans | Done | Refused

_questions = msgspec.msgpack.Decoder(Ask)
_answers = msgspec.msgpack.Decoder(Answer)
encode = msgspec.msgpack.Encoder().encode

_PARSE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_ask_untrusted(frame: bytes) -> Ask:
    """Return what an operator asks, or raise MalformedMessage."""
    try:
        ask: Ask = _questions.decode(frame)
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not an operator's frame: {exc}") from exc
    return ask


def parse_answer_untrusted(frame: bytes) -> Answer:
    """Return what the broker answers, or raise MalformedMessage."""
    try:
        answer: Answer = _answers.decode(frame)
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not an answer to an operator: {exc}") from exc
    return answer
