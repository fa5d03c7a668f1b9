"""Frames between an operator's client and the broker's admin server; ARCHITECTURE.md, "Operator".

A question and its answer are one frame each: a MessagePack array whose first item is the tag. They have a socket of
their own, and gateways' frames (`from_gateway.py`) do not contain them: a gateway can not give an operator's orders.
"""

from typing import Annotated, Final

import msgspec

from tsudoi.protocol.backbone import Number, Wire
from tsudoi.protocol.untrusted import decode_untrusted

VERSION: Final = 2
PAGE: Final = 1_000
"""The most rows in one answer; for more, ask again."""

Text = Annotated[str, msgspec.Meta(max_length=2_000)]


# --- lists and orders -------------------------------------------------------------------------------------------


class ListRooms(Wire, tag=1):
    after: Number = 0
    """Only rooms with larger ids."""
    name: Text = ""
    """Only the room with this name, if not empty."""


class ListMembers(Wire, tag=2):
    after: Number = 0
    """Only members with larger ids."""
    room: Text = ""
    """Only members of the room of this name."""


class ListGateways(Wire, tag=3):
    """List the gateways that are known."""


class Count(Wire, tag=4):
    """Return the counters since the broker started."""


class CloseRoom(Wire, tag=5):
    """Close a room; a persistent one too."""

    room: Text


class RemoveMember(Wire, tag=6):
    """Remove a member from its room."""

    room: Text
    name: Text
    reason: Text = ""


MAX_MINUTES = 10_000_000
"""19 years. A turn whose times do not fit the store could not be kept, nor any after it."""


class Ban(Wire, tag=7):
    """Ban a name or an address from all rooms, and remove the members that have it."""

    name: Text
    """Empty: ban the address."""
    ip: Text
    """An IP address; empty: ban the name."""
    minutes: Annotated[int, msgspec.Meta(ge=0, le=MAX_MINUTES)]
    """0: until an Unban."""
    reason: Text = ""


class Unban(Wire, tag=8):
    """Lift the bans of a name or an IP address."""

    who: Text


class ListBans(Wire, tag=9):
    """List the bans from all rooms."""


class Announce(Wire, tag=10):
    """Send a notice to all members, or to those of one room."""

    text: Text
    room: Text = ""


class Persist(Wire, tag=11):
    """Make a room persistent and without a host; create it if there is none."""

    room: Text
    password_hash: Text | None = None
    """Empty: no password. None: leave it as it is."""
    topic: Text | None = None
    """None: leave it as it is."""


class Unpersist(Wire, tag=12):
    """Let a room close when its last member leaves; at once if it has none."""

    room: Text


class ListShards(Wire, tag=13):
    """List the shards, and the brokers that share them."""


class FindRooms(Wire, tag=14):
    """List the rooms with the most members whose names contain a text."""

    text: Text = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE)] = 200


class Watch(Wire, tag=15):
    """Ask how the broker is, and for the samples of the last minutes."""

    after_ms: Number = 0
    """Only samples that were taken later."""


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
    | ListShards
    | FindRooms
    | Watch
)


class Ask(Wire, tag=1):
    """The frame of a question."""

    version: Number
    body: Question


# --- answers ------------------------------------------------------------------------------------------------------


class Room(Wire):
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
    """Number of entries in its log."""
    last: Number
    """Offset of its newest entry."""


class Member(Wire):
    id: Number
    room: str
    name: str
    host: bool
    rights: Number
    """`codes.Rights`"""
    dialect: str
    ip: str
    """The address that it joined from."""
    address: str
    """Where its datagrams go: IP address, port and the gateway's listener; empty while that is not known."""
    gateway: str
    """The instance of the gateway that serves it."""
    silent_ms: Number
    """Since it last sent a message; longer than the broker runs: since it joined."""


class Gateway(Wire):
    instance: str
    members: Number
    state: str
    """`serves`, `stopped` or `away`."""
    silent_ms: Number
    """Since its last frame."""


class ListedBan(Wire):
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
    """The gateways that are known, gone ones too."""

    gateways: list[Gateway]


class Counted(Wire, tag=4):
    """The counters, by name."""

    counters: list[tuple[str, int]]


class Bans(Wire, tag=5):
    """Bans of the whole server, oldest first."""

    bans: list[ListedBan]


class Done(Wire, tag=6):
    """The order was carried out and stored."""

    count: Number
    """Rooms or members that it concerned."""
    shards: list[Number] = msgspec.field(default_factory=list)
    """Where it was carried out, if it was for all shards and there are several."""


class AdminRefused(Wire, tag=7):
    """The order was refused; `why` is one line."""

    why: str


class Broker(Wire):
    endpoint: str
    """Where gateways reach it."""
    admin: str
    """Where operators of other machines reach it; empty: nowhere."""
    leaving: bool
    """It gives its shards away, and then ends."""


class Shard(Wire):
    number: Number
    term: Number
    """Which owner in turn."""
    broker: Number
    """Which of the brokers owns it, counted from 1; 0: none."""
    rooms: Number
    """Number of its rooms, if `served`."""
    members: Number
    served: bool
    """The broker that answers serves it."""


class Shards(Wire, tag=8):
    """The shards, in order, and the brokers that share them, as the broker that answers saw them last."""

    brokers: list[Broker]
    me: Number
    """Which of them answers, counted from 1."""
    shards: list[Shard]


class Sample(Wire):
    """What happened since the sample before."""

    at_ms: Number
    """When it was taken, in milliseconds since 1970."""
    rooms: Number
    members: Number
    entries_s: float
    """Messages and events put into the logs of rooms, a second."""
    deliveries_s: float
    """Datagrams and frames that all gateways sent to members, a second."""
    drops_s: float
    """Datagrams that all gateways dropped, a second."""
    accepted: list[Number]
    """Frames with messages by the time until the broker had accepted them, in the buckets of `Watched.bounds`."""
    canaries: list[Number]
    """Canaries that came back, by the time of their way."""
    lost_canaries: Number


class Standing(Wire):
    """How one broker is."""

    endpoint: str
    """Where gateways reach it."""
    since_ms: Number
    """When this run began, in milliseconds since 1970."""
    unhealthy_reason: str
    """Why it is unhealthy; empty: it is healthy."""
    store: str
    """`memory`, `file` or `database`."""
    survives_a_machine: bool
    """Accepted messages are kept on a second machine, too."""
    shards: Number
    """How many of `of_shards` it serves."""
    of_shards: Number


class Watched(Wire, tag=9):
    samples: list[Sample]
    """Oldest first."""
    every_ms: Number
    """The time between two."""
    bounds: list[float]
    """Upper ends of the buckets of times in seconds; the last bucket has none."""
    brokers: list[Standing]
    """The one that answers."""


Answer = Rooms | Members | Gateways | Counted | Bans | Done | AdminRefused | Shards | Watched

_questions = msgspec.msgpack.Decoder(Ask)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
encode = msgspec.msgpack.Encoder().encode


def parse_ask_untrusted(frame: bytes) -> Ask:
    """Return an operator's question, or raise MalformedMessage."""
    return decode_untrusted(_questions, frame, "an operator's frame")


def parse_answer_untrusted(frame: bytes) -> Answer:
    """Return the broker's answer, or raise MalformedMessage."""
    return decode_untrusted(_answers, frame, "an answer to an operator")
