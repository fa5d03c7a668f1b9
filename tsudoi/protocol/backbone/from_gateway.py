"""Frames that a gateway sends to the broker; ARCHITECTURE.md, "Backbone"."""

from typing import Annotated

import msgspec

from .wire import MAX_ITEMS, MAX_MEMBERS, MAX_ROOMS, ROOMS_ASKED, Hash, Number, Short, Text, Wire


class Hello(Wire, tag=1):
    """A gateway says who it is: first thing on a connection, and whenever the broker does not know it.

    The name of this run of the process, its instance, is the identity of its socket; publishes are numbered within it.
    """

    version: Number
    """Of these frames."""


class Item(Wire):
    """One thing that happened to a member, to be put into its room's order."""

    kind: Number
    """EntryKind.SAID; COMMANDED; LEFT, with the reason in `code` (of a member of a closed room: it has been told so);
    ADDRESSED, with the address in `text`; RELEASED, with the offset up to which the member has heard its room in `code`
    and the handover in `text`; KEPT, with the handover in `text`."""
    room: Number
    member: Number
    text: Text
    code: Number


class Publish(Wire, tag=2):
    """Items numbered `first`, `first + 1`, …: sent again until they are accepted, taken once."""

    first: Number
    items: Annotated[list[Item], msgspec.Meta(max_length=MAX_ITEMS)]


class Create(Wire, tag=10):
    """Make a room with this member as its host."""

    room: Short
    user: Short
    password: str | None
    token_hash: Hash
    """Also what makes a repeated request harmless: the member is there already, so the answer is the same."""
    dialect: Short
    ip: Short
    """Where the client's TCP connection came from."""
    idle_ms: Number
    """How long it may be silent."""
    rights: Number = 0
    """`codes.Rights` that a signed token gave it."""
    options: Number = 0
    """`MemberOptions` of the listener."""


class Join(Create, tag=11):
    """Become a member of a room; the same fields."""


class Resume(Wire, tag=12):
    """A datagram came with a token that this gateway does not know: is it a member, and whose?

    Refused as ROOM_NOT_FOUND if it is nobody's; as BAD_REQUEST if the member is at another host, where it was heard
    lately; as BUSY if it goes from gateway to gateway too often.
    """

    token_hash: Hash
    ip: Short = ""
    """Where the datagram came from; empty: that does not matter."""
    move_after_ms: Number = 0
    """How long a member must have been silent before it may be at another host; 0: that does not matter."""


class ListRooms(Wire, tag=13):
    """Which rooms are there?"""

    limit: Number
    """Names at most; the newest rooms are kept."""


class Replay(Wire, tag=14):
    """What came in this room after an offset?"""

    room: Number
    epoch: Number
    after: Number
    limit: Number
    """Entries at most."""


class Reconcile(Wire, tag=15):
    """Which members do I serve still? Asked by a gateway that was out of touch, so that others may have some by now.

    Members that it serves without knowing so come as Adopt before the answer.
    """

    members: Annotated[list[Number], msgspec.Meta(max_length=MAX_MEMBERS)]
    """Whom it thinks that it serves."""


class Positions(Wire, tag=16):
    """Where do these rooms stand? Asked when news may have been dropped."""

    rooms: Annotated[list[Number], msgspec.Meta(max_length=ROOMS_ASKED)]


class Who(Wire, tag=40):
    """Who is in this room? Members in the order in which they came."""

    room: Number
    skip: Number
    limit: Number


class Browse(Wire, tag=41):
    """What is there to know of the rooms? The oldest first."""

    skip: Number
    limit: Number


class Bans(Wire, tag=48):
    """A member wants to know who is kept out of its room or muted there; told to who may change that, oldest first."""

    room: Number
    member: Number
    skip: Number
    limit: Number


class Clock(Wire, tag=42):
    """What time is it?"""


class SetPassword(Wire, tag=43):
    """A member wants its room to have this password, or none.

    Not an item: the hash takes its time off the loop, and nothing is accepted before it is kept. Asked again, it does
    the same again.
    """

    room: Number
    member: Number
    password: str


Question = (
    Create | Join | Resume | ListRooms | Replay | Reconcile | Positions | Who | Browse | Bans | Clock | SetPassword
)


class Request(Wire, tag=3):
    """A question with a number that its answer repeats."""

    id: Number
    body: Question


class Canary(Wire, tag=4):
    """Comes back in a Bundle, on the gateway's own topic: health is that it did, lately."""

    number: Number


class Delivered(Wire, tag=5):
    """How far this gateway has delivered, so that another can go on from there."""

    positions: Annotated[list[tuple[Number, Number]], msgspec.Meta(max_length=MAX_ROOMS)]
    """(room, offset), for rooms that went on since the last of these."""


class Bye(Wire, tag=6):
    """The gateway stops in good order."""


Upward = Hello | Publish | Request | Canary | Delivered | Bye
