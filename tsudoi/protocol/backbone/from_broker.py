"""Define the frames that the broker sends to a gateway; ARCHITECTURE.md, "Backbone"."""

from typing import Annotated

import msgspec

from ..untrusted import Milliseconds
from .log import Entry
from .wire import MAX_BROKERS, MAX_SHARDS, Number, Short, Wire


class Welcome(Wire, tag=1):
    """The broker knows the gateway from now on."""

    broker: str
    """Name of this run of the broker; it changes when the broker is started again."""
    accepted: Number
    """Number of the last item taken from this instance; 0: none."""
    is_new: bool
    """The broker did not know this instance."""
    term: Number
    """Of the shard, 0 if the broker shares no store: of an earlier term, the other fields are over."""


class Accepted(Wire, tag=2):
    """All items up to this number are committed, or refused for good (their member does not exist)."""

    number: Number


class Granted(Wire, tag=20):
    """The member of a Create, Join or Resume."""

    room: Number
    room_name: str
    member: Number
    user: str
    """The assigned name, which is unique in the room."""
    dialect: str
    ip: str
    address: bytes
    idle_ms: Number
    """Its time-out at a gateway that is gone; the gateway that serves it has its own."""
    is_host: bool
    epoch: Number
    offset: Number
    """Last offset that the member has received or does not get; delivery begins after it."""
    first: Number
    """The oldest offset in the room's log."""
    wished: str = ""
    """The wished name, which the client may write in front of its texts."""
    options: Number = 0
    size: Number = 0
    """Number of the room's members."""
    said: Number = 0
    """The number of the member's last line that is kept; PROTOCOL.md, "Version 2"."""
    left: Number = 0
    """Offset of the entry with which a member of version 2 was removed: it gets those before it. 0: it is a member."""
    resumed: Number = 0
    """The highest `Resume.count` for this member of version 2; 0: none is known."""


class Refused(Wire, tag=21):
    """The question is refused; the status and its detail say why."""

    status: Number
    detail: str


class Rooms(Wire, tag=22):
    """Names of rooms, oldest first."""

    names: list[str]
    ids: list[Number] = msgspec.field(default_factory=list)
    """The same rooms' ids, which grow with the time: by these a gateway merges the lists of several shards."""


class Replayed(Wire, tag=23):
    """Entries after the requested offset, in order; exactly one of four cases:

    complete: `first` is the requested offset plus one, in the same epoch;
    gap: `first` is later, and the entries between are lost;
    reset: another epoch; `first` may be any offset. If the log still has what the gateway has received, the entries
    after that, else those of the new epoch;
    gone: `epoch` is 0, the room and its log no longer exist.

    The log of a closed room is kept for a while, with CLOSED as its last entry.
    """

    room: Number
    epoch: Number
    first: Number
    """Offset of the first available entry, also where `Replay.newest` leaves it out; without entries, the room's last
    offset plus one."""
    last: Number
    """The room's last offset. If the entries end before it, ask again."""
    entries: list[Entry]


class Reconciled(Wire, tag=24):
    """Which of the members named in Reconcile the gateway does not serve."""

    elsewhere: list[Number]
    """Another gateway serves them, or has told them that they were removed."""
    unknown: list[Number]
    """They have left, as the rooms' logs say, or the directory has lost them. A gateway that has come to the end of
    such a log, and still has the member, tells it."""
    orphaned: list[Number] = msgspec.field(default_factory=list)
    """Those of `elsewhere` whose gateway is gone, or has ended and is waited for until its lease is over. The gateway
    asks (Resume) for those that it has heard since."""


class RoomPositions(Wire, tag=25):
    """(room, epoch, last offset) of each requested room; epoch 0 for a closed one."""

    positions: list[tuple[Number, Number, Number]]


class Present(Wire, tag=44):
    """Members of a room."""

    count: Number
    """Number of all members."""
    members: list[tuple[str, bool, Number]]
    """(name, is the host, milliseconds since its last message) of the requested members."""


class Browsed(Wire, tag=45):
    """Rooms; `count` is the number of all."""

    count: Number
    rooms: list[tuple[str, Number, bool]]
    """(name, number of members, has a password) of the requested rooms."""
    ids: list[Number] = msgspec.field(default_factory=list)
    """The same rooms' ids; see `Rooms`."""


class Banned(Wire, tag=49):
    """Bans and mutes of a room; `count` is the number of all."""

    count: Number
    sanctions: list[tuple[str, str, bool, Milliseconds]]
    """(name, IP address, is a mute, end in milliseconds since 1970 or 0) of the requested ones."""


class ServerTime(Wire, tag=46):
    """The broker's time, in milliseconds since 1970, UTC."""

    at_ms: Milliseconds


class Hashed(Wire, tag=50):
    """The hash of a password, as text."""

    password_hash: str


class Done(Wire, tag=47):
    """The question is carried out or refused; an entry in the room's log tells which."""


class Posted(Wire, tag=61):
    """The message of a Post, or the line of a Say, is kept."""

    user: str
    """The name under which it appears."""
    epoch: Number
    offset: Number
    """For a Say that is repeated 0: its position is not remembered."""
    is_same: bool
    """False: another text was said with this key before, which has this position; the one asked for is not kept."""


Answer = (
    Granted
    | Refused
    | Rooms
    | Replayed
    | Reconciled
    | RoomPositions
    | Present
    | Browsed
    | Banned
    | ServerTime
    | Hashed
    | Done
    | Posted
)


class Reply(Wire, tag=3):
    """The answer to the Request of the same number."""

    id: Number
    body: Answer


class Unknown(Wire, tag=4):
    """The broker does not know this gateway: send Hello."""

    broker: str


class Release(Wire, tag=5):
    """Another gateway wants to serve this member: stop serving it and publish RELEASED, or publish KEPT.

    Repeated until one of the two has come.
    """

    room: Number
    member: Number
    handover: str
    """Unique name of this handover; RELEASED and KEPT repeat it."""
    elsewhere: bool
    """The member has sent from another IP address: release it only if it has been silent for long enough to move."""


class Adoption(Wire):
    """A member that a gateway takes over before its client has sent it anything."""

    granted: Granted
    token_hash: bytes


class Adopt(Wire, tag=6):
    """Serve these members from now on: the earlier gateway of the same name is gone."""

    members: list[Adoption]


class Cluster(Wire, tag=7):
    """Which brokers share the store, and which of them owns each shard (`shards.py`).

    The answer to a Hello without a shard, and to any frame for a shard that this broker does not own; also published on
    `topics.CLUSTER_TOPIC`. Of two that differ about a shard, the one with the higher term is right.
    """

    brokers: Annotated[list[Short], msgspec.Meta(max_length=MAX_BROKERS)]
    """The endpoints at which gateways reach the living brokers."""
    answers: Number
    """Which of these sends this frame, counted from 1."""
    owners: Annotated[list[tuple[Number, Number]], msgspec.Meta(max_length=MAX_SHARDS)]
    """(term, which of these brokers, counted from 1; 0: none now) of each shard, in order."""


Downward = Welcome | Accepted | Reply | Unknown | Release | Adopt | Cluster
