"""Frames between gateways and broker; ARCHITECTURE.md, "Backbone".

Commands go DEALER to ROUTER and back, each one frame: a MessagePack array whose first item is the message's tag. News
of a room go XPUB to SUB, each one frame that begins with the room's topic. A subscription matches as a prefix, so
topics have one length; none begins with 0 or 1, which would mean (un)subscribe on these sockets.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from protocol.errors import MalformedMessage

VERSION: Final = 3
"""Of these frames. A broker refuses a gateway of another version by name, so that nobody guesses."""

TOPIC_SIZE = 9

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What a topic and a store's column can hold; any other number makes a frame malformed."""

MAX_ITEMS = 1_024
"""Of one publish; a gateway puts 512 into it. Also frames that one frame carries."""
SEVERAL = b"\xc1"
"""How a frame that carries others begins: the one byte that MessagePack never uses."""
SEVERAL_SIZE = 2**20
MAX_IDLE_MS = 30 * 86_400_000
"""A month. For so long a member may be silent, whatever its gateway says: else a room could stay for ever."""
MAX_MEMBERS = 200_000
"""Of one roll: more than one gateway serves."""
MAX_ROOMS = 100_000
"""Of one report: a gateway that was out of touch tells where all its rooms stand."""
ROOMS_ASKED = 2_000
"""Of one question where rooms stand; for more, a gateway asks several."""
Text = Annotated[str, msgspec.Meta(max_length=4_096)]
"""What a datagram can hold."""
Short = Annotated[str, msgspec.Meta(max_length=1_024)]
"""A name as its client wrote it, an address, a dialect: what they may be is looked at where they are used."""
Hash = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Wire(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """What all frames have in common: fields by position, no more than are known."""


# --- what a room's log holds -------------------------------------------------------------------------------------


class Entry(Wire):
    """One entry of a room's log. The room's order is the order of `offset`, which has no gaps."""

    offset: Number
    """From 1, the creation."""
    kind: Number
    """An EntryKind. A number that is not one is passed over: a newer broker may say more."""
    member: Number
    """Who said, joined, left, was muted…; for CLOSED the host."""
    sender: str
    """That member's name as assigned."""
    text: str
    """What was said; for LEFT, why the member was removed; else see EntryKind."""
    code: Number
    """A LeaveReason for LEFT and CLOSED, the number of members for JOINED, else see EntryKind, or 0."""
    at_ms: Number
    """When the broker stamped it: milliseconds since 1970, UTC."""
    peer: Number = 0
    """The second person: whom a WHISPERED is for; who removed, muted or handed over. 0: nobody, or the server."""
    peer_name: str = ""


class News(Wire):
    """Entries of one room, in order; without entries it only tells the position."""

    epoch: Number
    """Positions of different epochs do not compare: history was lost in between."""
    last: Number
    """The room's last offset when this was sent; that of the last entry if there are any."""
    entries: list[Entry]


class Bundle(Wire):
    """What a turn of the broker has for one gateway, in order: on its own topic."""

    broker: str
    """Of this run of the broker, as in Welcome."""
    accepted: Number
    """As in Accepted, which need not come then; 0 if nothing is to be said of it."""
    canaries: list[Number]
    """Its canaries, come back."""
    news: list[tuple[Number, News]]
    """(room, news) of rooms that a few gateways have members in; those of more come on the rooms' topics."""


# --- gateway to broker --------------------------------------------------------------------------------------------


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
    manner: Number = 0
    """`protocol.manner.Manner` of the listener."""


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


class Roll(Wire, tag=15):
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


Question = Create | Join | Resume | ListRooms | Replay | Roll | Positions | Who | Browse | Bans | Clock | SetPassword


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


# --- broker to gateway --------------------------------------------------------------------------------------------


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
    manner: Number = 0
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


class OnRoll(Wire, tag=24):
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


Answer = Granted | Refused | Rooms | Replayed | OnRoll | Standing | Present | Browsed | Banned | Clocked | Done


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

_encoder = msgspec.msgpack.Encoder()
_upward = msgspec.msgpack.Decoder(Upward)
_downward = msgspec.msgpack.Decoder(Downward)
_several = msgspec.msgpack.Decoder(Annotated[list[bytes], msgspec.Meta(max_length=MAX_ITEMS)])
_news = msgspec.msgpack.Decoder(News)
_bundle = msgspec.msgpack.Decoder(Bundle)
encode = _encoder.encode


_PARSE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def several(frames: Sequence[bytes], most: int = SEVERAL_SIZE) -> list[bytes]:
    """Return what carries these commands or answers, in order: one frame for many, as each costs its way through two
    threads of ZeroMQ. Large ones, and what would be more than `most` bytes, go alone."""
    if len(frames) < 2:
        return list(frames)
    carriers: list[bytes] = []
    start = size = 0
    for at, frame in enumerate(frames):
        size += len(frame)
        if size > most or at - start == MAX_ITEMS:
            carriers.append(_carrier(frames[start:at]))
            start, size = at, len(frame)
    carriers.append(_carrier(frames[start:]))
    return [carrier for carrier in carriers if carrier]


def _carrier(frames: Sequence[bytes]) -> bytes:
    return SEVERAL + encode(frames) if len(frames) > 1 else b"".join(frames)


def each_untrusted(carrier: bytes) -> list[bytes]:
    """Return the frames that `several` put together, or raise MalformedMessage. They may be anything still."""
    if not carrier.startswith(SEVERAL):
        return [carrier]
    try:
        frames: list[bytes] = _several.decode(memoryview(carrier)[1:])
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not several frames: {exc}") from exc
    return frames


def parse_upward_untrusted(frame: bytes) -> Upward:
    """Return what a gateway says, or raise MalformedMessage."""
    try:
        message: Upward = _upward.decode(frame)
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a gateway's frame: {exc}") from exc
    return message


def parse_downward_untrusted(frame: bytes) -> Downward:
    """Return what the broker says, or raise MalformedMessage."""
    try:
        message: Downward = _downward.decode(frame)
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a broker's frame: {exc}") from exc
    return message


def encode_bundle(broker: str, accepted: int, canaries: list[int], news: list[tuple[int, bytes]]) -> bytes:
    """Return a Bundle of news that are encoded already, (room, News) each."""
    return encode((broker, accepted, canaries, [(room, msgspec.Raw(body)) for room, body in news]))


def parse_bundle_untrusted(body: bytes) -> Bundle:
    """Return what comes after a gateway's own topic, or raise MalformedMessage."""
    try:
        bundle: Bundle = _bundle.decode(body)
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a bundle: {exc}") from exc
    return bundle


def parse_news_untrusted(body: bytes) -> News:
    """Return what comes after a room's topic, or raise MalformedMessage."""
    try:
        news: News = _news.decode(body)
    except _PARSE_ERRORS as exc:
        raise MalformedMessage(f"not news: {exc}") from exc
    return news


def room_topic(room: int) -> bytes:
    """Return the topic of a room: `r` and its number in 8 bytes."""
    return b"r" + room.to_bytes(8, "big")


def new_instance(name: str, run: str) -> str:
    """Return what a run of a gateway is called. Gateways of one name stand behind one address: what one served, another
    goes on with. The name may be empty: then it has none."""
    return f"{name}/{run}"


def gateway_name(instance: str) -> str:
    """Return the name of a gateway, empty if it has none."""
    return instance.rpartition("/")[0]


@lru_cache(maxsize=1_000)
def own_topic(instance: str) -> bytes:
    """Return the topic that is one gateway's own: `c` and 8 bytes that its instance gives."""
    return b"c" + hashlib.blake2b(instance.encode(), digest_size=8).digest()


def topic_room(topic: bytes) -> int | None:
    """Return the room of a topic, None if it is not a room's."""
    if len(topic) == TOPIC_SIZE and topic[:1] == b"r":
        return int.from_bytes(topic[1:], "big")
    return None


def publish_endpoint(endpoint: str) -> str:
    """Return where the news come from, given where the commands go: the next port, or the path with `.pub`."""
    if endpoint.startswith("ipc://"):
        return endpoint + ".pub"
    head, _, port = endpoint.rpartition(":")
    return f"{head}:{int(port) + 1}"
