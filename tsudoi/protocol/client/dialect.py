"""Describe a dialect as data: all differences between clients; PROTOCOL.md, "Dialects".

The known dialects are in `dialects.py`. No dialect has code of its own: the encoders and decoders of this package
follow the fields of its profile. Texts are templates for `str.format`, with the placeholders listed at `Reply`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from tsudoi.protocol.codes import State, Status


class RequestForm(Enum):
    """Form of a request's payload."""

    PLAIN = auto()
    """The user name, and nothing else."""
    JSON_OBJECT = auto()
    """A JSON object with the keys that the profile names."""
    JSON_STRING = auto()
    """The user name as a JSON string."""


class PortPlace(Enum):
    """Where a client announces over TCP the UDP port at which it receives."""

    NOWHERE = auto()
    PAYLOAD_END = auto()
    """The last two bytes of the request's payload."""
    AFTER_TOKEN = auto()
    """Two bytes that the client sends after it has received the token."""
    TCP_SOURCE = auto()
    """Not announced in bytes: its UDP socket is bound to the port that its TCP connection comes from."""
    KEY = auto()
    """The JSON key `port_key`: a number, or a list [ip, port], of which the server uses the port."""


class DownForm(Enum):
    """Form of a datagram from server to client."""

    RAW = auto()
    """user: text"""
    NAMED = auto()
    """| name size: 1 | user | text |"""
    U1 = auto()
    """| room size: 1 | 0 | room | user: text |; the token size is 0, as no token is ever sent down"""
    OBJECT = auto()
    """A JSON object with the keys that the style has."""
    NATIVE = auto()
    """{"n": offset, "from": …, "text": …}, and {"notice": …, "text": …}"""
    SEALED = auto()
    """A line of a body of version 2: a notice as in NATIVE, or a message, which is an array"""
    WEB = auto()
    """The same as the data of a publication: {"push": {"channel": room, "pub": {"data": …, "offset": …, "time": …}}}"""


WITH_VALUES = (DownForm.NATIVE, DownForm.SEALED)
"""Their notices have names and values, and not only words."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One frame from server to client.

    Placeholders in `text` and in the strings of `json`: {token}, {room}, {user} (the assigned name), {reason} (words
    for a person), {status}, {code} and {word} (the status as `codes` and `words` spell it). A JSON string that is one
    placeholder becomes the value itself: "{status}" becomes a number.
    """

    text: str = ""
    json: Mapping[str, str | int] | None = None
    state: int | None = State.COMPLETE
    """The header's state; None: the payload goes without a header."""
    status_byte: bool = False
    """The payload is one byte, the status."""
    header_only: bool = False
    """The frame is a header with the request's sizes, and no body follows."""
    room: bool = False
    """The room's name comes before the payload."""


Keys = tuple[tuple[str, str], ...]
"""Keys of a JSON object with their values: {user}, {text}, or a text that stays as it is."""


@dataclass(frozen=True, slots=True)
class DownStyle:
    """How a message is encoded; members with the same style get the same bytes."""

    form: DownForm
    separator: str = ": "
    ends_at: tuple[str, ...] = ()
    """Words at which the client quits: anywhere in a line, or with NAMED at the datagram's beginning. In a member's
    message a zero-width space breaks them, so that no member can end another's client."""
    head: bytes = b""
    """OBJECT: bytes before the object."""
    message: Keys = ()
    """OBJECT: what a message is."""
    notice: Keys = ()
    """OBJECT: what the server tells; if empty, a message from it."""
    closing: Keys = ()
    """OBJECT: closing words; if empty, as other notices."""


_SEED_CLOSED = ("ホストの{user}がルームを退出しました．", "exit!")
_SEED_TIMED_OUT = "Timeout!"
_HTTP_CODES = {
    Status.OK: 200,
    Status.ROOM_EXISTS: 409,
    Status.ROOM_NOT_FOUND: 404,
    Status.WRONG_PASSWORD: 401,
    Status.BAD_REQUEST: 400,
    Status.BUSY: 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Profile of one kind of client. Each default is what most surveyed clients have in common."""

    name: str
    summary: str
    """How its clients can be recognised, in one line."""

    request: RequestForm = RequestForm.PLAIN
    user_key: str = "username"
    password_key: str | None = None
    bare_name: bool = False
    """A payload that does not begin like a JSON object is the user name, without a password."""
    marker_key: str | None = None
    """A JSON key that each request has, with the value 1."""
    port: PortPlace = PortPlace.NOWHERE
    port_key: str = "port"
    port_stays: bool = False
    """The client sends from another socket than it receives with: datagrams to it always go to the announced port."""

    join_lists_rooms: bool = False
    """A join names no room: the server replies with the room names, and the client sends one of them."""
    lists_rooms: bool = False
    """The request H32(0, 2, 0, 0), on a connection of its own, asks for the room names."""

    created: tuple[Reply, ...] = (
        Reply(state=State.RESPONSE, status_byte=True),
        Reply("{token}"),
    )
    joined: tuple[Reply, ...] | None = None
    """None: as `created`."""
    refused: tuple[Reply, ...] = (Reply(state=State.RESPONSE, status_byte=True),)
    refused_states: Mapping[Status, int] = field(default_factory=dict)
    """Status → the header's state in a refusal's last frame, for clients that read the status there."""
    words: Mapping[Status, str] = field(default_factory=dict)
    """Status → {word}."""
    codes: Mapping[Status, int] = field(default_factory=lambda: _HTTP_CODES)
    """Status → {code}."""
    pause_s: float = 0.02
    """Pause between two frames of a reply, so that each leaves in a segment of its own."""
    stays_open: bool = False
    """After a refusal the client may send another request on the same connection."""

    down: DownStyle = DownStyle(DownForm.RAW)
    up_keys: tuple[str, str] | None = None
    """The text of a datagram up is a JSON object with these keys for (sender, text)."""
    echo: bool = False
    """A member receives its own messages."""
    register_words: frozenset[str] = frozenset()
    """Texts that only make the member's address known."""
    leave_words: frozenset[str] = frozenset()
    """Texts with which a member leaves."""
    closed: tuple[str, ...] = _SEED_CLOSED
    """Closing words, one datagram each, when the room closes. {user} is the host, {room} the room."""
    timed_out: str = _SEED_TIMED_OUT
    """Closing words to a member that was removed for its idle time. {user} is the member, {room} the room."""
    removed: tuple[str, ...] = ("exit!",)
    """Closing words, one datagram each, to a member that was kicked, banned or removed. {reason} says by whom and why;
    {user} and {room} as in `timed_out`. If no text has {reason}, it goes first, as a message from the server. In RAW
    and U1 a text with {reason} also needs words of `ends_at`: else a member could write the same line."""
    notices: bool = True
    """Members get notices about others by default; a listener's setting may say otherwise."""
    notices_raw: bool = False
    """Closing words go as bare text, whatever the form of messages."""
