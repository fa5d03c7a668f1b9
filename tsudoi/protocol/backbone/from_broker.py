"""Frames that the broker sends to a gateway; ARCHITECTURE.md, "Backbone"."""

from .log import Entry
from .wire import Number, Wire


class Welcome(Wire, tag=1):
    """The broker knows the gateway from here on."""

    broker: str
    """Of this run of the broker: another value means that it was started again."""
    accepted: Number
    """The last number that it has taken from this instance; 0 for none."""
    is_new: bool
    """It knew nothing of this instance, or does not any more."""


class Accepted(Wire, tag=2):
    """All items up to this number are in the log, or are refused for good (no such member)."""

    number: Number


class Granted(Wire, tag=20):
    """The member that a create, join or resume is about."""

    room: Number
    room_name: str
    member: Number
    user: str
    """As assigned: told apart from others of the same name."""
    dialect: str
    ip: str
    address: bytes
    idle_ms: Number
    is_host: bool
    epoch: Number
    offset: Number
    """What the member has heard already, or need not hear; what comes after is to be delivered."""
    first: Number
    """The oldest offset that the room's log still holds."""
    wished: str = ""
    """The name that it came with: its client may write that before its texts for ever."""
    options: Number = 0
    size: Number = 0
    """Members of the room."""


class Refused(Wire, tag=21):
    """Why not."""

    status: Number
    detail: str


class Rooms(Wire, tag=22):
    """Names, oldest room first."""

    names: list[str]


class Replayed(Wire, tag=23):
    """Entries after the offset that was asked for, in order.

    Exactly one of: complete (`first` is the offset asked for plus one, same epoch), a gap (`first` is later: what is
    between is lost), a reset (another epoch: all that its log holds), or gone (`epoch` 0: the room and its log are no
    more). A closed room's log is answered as a living one's for a while; its last entry is CLOSED.
    """

    room: Number
    epoch: Number
    first: Number
    """The offset of the first entry that could be told; with no entries, the room's last offset plus one."""
    last: Number
    """The room's last offset: more is to be asked for if the entries end before it."""
    entries: list[Entry]


class Reconciled(Wire, tag=24):
    """Of the members that the gateway named, those that another serves.

    What became of the rest is in their rooms' logs.
    """

    elsewhere: list[Number]


class Standing(Wire, tag=25):
    """(room, epoch, last offset) of the rooms that were asked for; epoch 0 for one that is closed."""

    positions: list[tuple[Number, Number, Number]]


class Present(Wire, tag=44):
    """Who is in the room."""

    count: Number
    """Members in all."""
    members: list[tuple[str, bool, Number]]
    """(name, is the host, milliseconds since it last spoke), of those that were asked for."""


class Browsed(Wire, tag=45):
    """Which rooms there are."""

    count: Number
    rooms: list[tuple[str, Number, bool]]
    """(name, members, has a password), of those that were asked for."""


class Banned(Wire, tag=49):
    """Who is kept out, or muted."""

    count: Number
    sanctions: list[tuple[str, str, bool, Number]]
    """(name, IP address, is muted, until when in milliseconds since 1970 or 0), of those that were asked for."""


class Clocked(Wire, tag=46):
    """Milliseconds since 1970, UTC."""

    at_ms: Number


class Done(Wire, tag=47):
    """What was asked for is kept, or refused; the room's log tells which."""


Answer = Granted | Refused | Rooms | Replayed | Reconciled | Standing | Present | Browsed | Banned | Clocked | Done


class Reply(Wire, tag=3):
    """The answer to the request of that number."""

    id: Number
    body: Answer


class Unknown(Wire, tag=4):
    """The broker does not know this gateway (any more): say Hello."""

    broker: str


class Release(Wire, tag=5):
    """Another gateway wants to serve this member: stop, and publish RELEASED, or KEPT. Repeated until that has come."""

    room: Number
    member: Number
    handover: str
    """What this handover is called, in this and in RELEASED: no other is ever called so."""
    elsewhere: bool
    """The member has shown itself at another host: only if it has been silent for so long that it may be there."""


class Adoption(Wire):
    """A member that a gateway takes over although its client has not sent it anything yet."""

    granted: Granted
    token_hash: bytes


class Adopt(Wire, tag=6):
    """Serve these members from now on: the gateway of your name that did is gone."""

    members: list[Adoption]


Downward = Welcome | Accepted | Reply | Unknown | Release | Adopt
