"""Define the frames that a gateway sends to the broker; ARCHITECTURE.md, "Backbone"."""

from typing import Annotated

import msgspec

from .wire import MAX_ITEMS, MAX_LINES, MAX_MEMBERS, MAX_ROOMS, ROOMS_ASKED, Hash, Number, Short, Text, Wire

Counts = Annotated[list[Number], msgspec.Meta(max_length=64)]
"""Values of a histogram by bucket, since the start."""


class Hello(Wire, tag=1):
    """Introduce the gateway: the first frame on a connection, and the reply to Unknown.

    The socket's identity is the gateway's instance, the name of this run of its process. Items are numbered per
    instance.
    """

    version: Number
    """`wire.VERSION`."""


class Item(Wire):
    """One event of a member, to be placed in its room's order."""

    kind: Number
    """EntryKind.SAID or COMMANDED, with `text` (of `/password` with the hash of the new one); LEFT, with the reason in
    `code` (in a closed room: the member has got its closing words); ADDRESSED, with the address in
    `text`; RELEASED, with the last offset delivered to the member in `code` and the handover in `text`; KEPT, with the
    handover in `text`; CLAIMED, with the address in `text`."""
    room: Number
    member: Number
    text: Text
    code: Number
    """Of SAID, the client's own number of the line, 0 for none: the broker keeps the line only directly behind the line
    `after`, so that none is doubled and none overtakes another."""
    after: Number = 0
    """Of SAID with a number: the number of the member's line before it."""
    more: Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_LINES - 1)] = ()
    """Of SAID with a number: the member's next lines, whose numbers follow on `code`. They came in one packet."""


Reached = Annotated[list[tuple[Number, Number, Number]], msgspec.Meta(max_length=MAX_ROOMS)]
"""(room, epoch, offset) up to which a gateway has delivered rooms."""


class Publish(Wire, tag=2):
    """Publish items numbered `first`, `first + 1`, …. Sent again until accepted; the broker takes each number once."""

    first: Number
    items: Annotated[list[Item], msgspec.Meta(max_length=MAX_ITEMS)]
    delivered: Reached = msgspec.field(default_factory=list)
    """A Delivered that goes along: as a frame of its own it costs as much as an item."""


class Create(Wire, tag=10):
    """Create a room with this member as its host."""

    room: Short
    user: Short
    password: str | None
    token_hash: Hash
    """A repeated request has the same hash, finds its member and gets the same answer."""
    dialect: Short
    ip: Short
    """IP address of the client's TCP connection."""
    idle_ms: Number
    """The member's idle time-out."""
    rights: Number = 0
    """`codes.Rights` from a signed token."""
    options: Number = 0
    """`client.member_options.MemberOptions` of the listener."""
    known_only: bool = False
    """The client has tried too many passwords (PROTOCOL.md, "Limits"): let it in only if its
    address has given this right password before; else the answer is BUSY."""


class Join(Create, tag=11):
    """Join a room; the fields are those of Create."""


class Resume(Wire, tag=12):
    """Ask for the member whose token came in a datagram and is unknown to this gateway.

    Refused as ROOM_NOT_FOUND if no member has the token; as BAD_REQUEST if the member was active lately at another IP
    address; as BUSY if the member changes its gateway too often, or has resumed with a higher `count`.
    """

    token_hash: Hash
    ip: Short = ""
    """IP address of the datagram; empty: do not check it."""
    move_after_ms: Number = 0
    """How long the member must have been silent before its IP address may change; 0: do not check it."""
    checks_bans: bool = False
    """Refuse a member that is banned by now, by its name or `ip`, as BAD_REQUEST with the reason in words."""
    count: Number = 0
    """Of the packet of version 2 that asked for it; 0: there is none. It rises with each packet, whichever gateway gets
    that, and so tells a Resume that was held up on its way."""


class ListRooms(Wire, tag=13):
    """Ask for the names of rooms."""

    limit: Number
    """Most names; of more rooms, the newest."""


class Replay(Wire, tag=14):
    """Ask for a room's entries after an offset."""

    room: Number
    epoch: Number
    after: Number
    limit: Number
    """Most entries."""
    at_ms: Number = 0
    """When the entry at the offset `after` was stamped, as the gateway received it; 0: not known. If the log has
    another entry there, or none, the broker continues from an older store than the gateway has seen."""
    newest: bool = False
    """If the entries are too long for one answer, leave out the first ones, not the last."""


class Reconcile(Wire, tag=15):
    """Ask which members this gateway still serves, after an outage in which other gateways may have taken some.

    Members that the gateway serves but does not name come in an Adopt before the answer, and so do those with an
    address that are not live by what the directory knows: another gateway may have had them, and come further.
    """

    members: Annotated[list[Number], msgspec.Meta(max_length=MAX_MEMBERS)]
    """Members that the gateway believes to serve."""


class Positions(Wire, tag=16):
    """Ask for the positions of rooms, when news may have been dropped."""

    rooms: Annotated[list[tuple[Number, Number, Number, Number]], msgspec.Meta(max_length=ROOMS_ASKED)]
    """(room, epoch, the gateway's own offset there, when that entry was stamped or 0). A broker whose log ends before
    that offset begins a new epoch for the room."""


class Who(Wire, tag=40):
    """Ask for the members of a room, in the order in which they joined."""

    room: Number
    skip: Number
    limit: Number


class Browse(Wire, tag=41):
    """Ask for the rooms with their numbers of members, oldest first."""

    skip: Number
    limit: Number


class Bans(Wire, tag=48):
    """Ask for a room's bans and mutes, oldest first, for a member.

    If the member may not change them, the answer is Done.
    """

    room: Number
    member: Number
    skip: Number
    limit: Number


class GetTime(Wire, tag=42):
    """Ask for the broker's time."""


class HashPassword(Wire, tag=43):
    """Ask for the hash of a password that a member wants its room to have.

    The command with the hash in it then sets it. Hashing is slow and runs in another thread, so it changes nothing:
    what sets the password has its place in the order of the member's commands. If the member may not set the password,
    the answer is Done. The gateway then sends the same without a hash, and an ANSWERED entry says why: once, also if
    the question was asked twice.
    """

    room: Number
    member: Number
    password: str


class Post(Wire, tag=60):
    """Put a webhook's message into a room's order; PROTOCOL.md, "Webhook".

    A question and not an item: the webhook is told its position, or why it is refused. The answer is Posted, or
    Refused as ROOM_NOT_FOUND, as WRONG_PASSWORD, or as BAD_REQUEST with the reason in words.
    """

    room: Short
    user: Short
    """The webhook's name without its mark."""
    text: Text
    key: Hash
    """A repeated request has the same key, finds its message and gets the same answer."""
    password: str | None
    """The room's password."""
    ip: Short
    """IP address of the HTTP connection."""
    options: Number = 0
    """`client.member_options.MemberOptions`, of which only SHARED_ADDRESS counts."""
    known_only: bool = False
    """As in Create."""


class Say(Wire, tag=61):
    """Put a line of a member that is served over a stream into its room's order; PROTOCOL.md, "WebSocket".

    A question and not an item: the member's client is told that the line is kept, or why it is not. The answer is
    Posted, or Refused as ROOM_NOT_FOUND, as BUSY, or as BAD_REQUEST with the reason in words.
    """

    room: Number
    member: Number
    text: Text
    is_command: bool
    """Carry it out instead of saying it."""
    number: Number
    """The client's own, which grows from line to line; the same once more: the line is kept already. 0: none."""
    after: Number | None = None
    """As in Item; None: the numbers only grow, and any line may follow on any (WebSocket). With it, a command without a
    text only notes its number: the gateway has answered it."""


Question = (
    Create
    | Join
    | Resume
    | ListRooms
    | Replay
    | Reconcile
    | Positions
    | Who
    | Browse
    | Bans
    | GetTime
    | HashPassword
    | Post
    | Say
)


class Request(Wire, tag=3):
    """A question with a number, which the Reply repeats."""

    id: Number
    body: Question


class Canary(Wire, tag=4):
    """Probe the way to the broker and back: the number returns in a Bundle. A gateway is healthy if one did lately."""

    number: Number


class Delivered(Wire, tag=5):
    """Report how far this gateway has delivered its rooms, so that another gateway can continue from there."""

    positions: Reached
    """Of rooms with deliveries since the last report."""


class Bye(Wire, tag=6):
    """Announce that the gateway stops regularly."""


class Measured(Wire, tag=7):
    """Report what this run of the gateway has done, once a second: the operator's page shows it. It may be lost."""

    at_ms: Number
    """When it was counted, by a clock of the gateway's own that never goes back."""
    deliveries: Number
    """Datagrams and frames sent to members since the start."""
    dropped: Number
    """Datagrams dropped since the start, for any reason."""
    accepted: Counts
    """Frames with messages by the time until their Accepted, in the buckets of `ops.histogram.SECONDS`."""
    canaries: Counts
    """Canaries that came back, by the time of their way, in the same buckets."""
    lost_canaries: Number


Upward = Hello | Publish | Request | Canary | Delivered | Bye | Measured
