"""What may differ between clients, as fields. The known dialects are rows of `dialects.py`; PROTOCOL.md, "Dialects".

A dialect has no code of its own: `handshake.py` and `datagram.py` read a profile and act on it, on either side of the
wire. Texts are templates, filled by `str.format` with the names listed at `Reply`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from tsudoi.protocol.codes import State, Status


class RequestForm(Enum):
    """What the payload of a request is."""

    PLAIN = auto()
    """The user name, bare."""
    JSON_OBJECT = auto()
    """An object; the profile names its keys."""
    JSON_STRING = auto()
    """The user name as a JSON string."""


class PortPlace(Enum):
    """Where a client announces the UDP port on which it will listen, if it does so on TCP at all."""

    NOWHERE = auto()
    PAYLOAD_END = auto()
    """The last two bytes of the request's payload."""
    AFTER_TOKEN = auto()
    """Two bytes, sent when the token has come."""
    KEY = auto()
    """The JSON key `port_key`: a number, or a list [ip, port] of which the port counts."""


class DownForm(Enum):
    """What a datagram to a member looks like."""

    RAW = auto()
    """`user: text`, bare."""
    NAMED = auto()
    """| name size: 1 | user | text |"""
    U1 = auto()
    """| room size: 1 | 0 | room | `user: text` |: no token is ever sent to anyone else."""
    JSON_U1 = auto()
    """| 0 | 0 | {"sender": …, "message": …} |"""
    NATIVE = auto()
    """{"n": offset, "from": …, "text": …}, and {"notice": …, "text": …}"""


@dataclass(frozen=True, slots=True)
class Reply:
    """One frame from server to client.

    Placeholders of `text` and of the strings in `json`: {token} {room} {user} (the name as assigned) {reason} (words
    for a person) {status} {code} {word} (the status as the profile spells it). A JSON string that is one placeholder
    and no more becomes that value itself, so "{status}" becomes a number.
    """

    text: str = ""
    json: Mapping[str, str | int] | None = None
    state: int | None = State.COMPLETE
    """The header's state; None: no header at all, the payload goes bare."""
    status_byte: bool = False
    """The payload is the status as one byte."""
    header_only: bool = False
    """No body follows, though the header repeats the request's sizes."""
    room: bool = False
    """The room's name is repeated before the payload."""


@dataclass(frozen=True, slots=True)
class DownStyle:
    """All that decides how a message is encoded for a member; members who share one share the encoded bytes."""

    form: DownForm
    separator: str = ": "
    ends_at: tuple[str, ...] = ()
    """Words at which the client ends: anywhere in a line, or, of NAMED, where the datagram begins with them. Members
    can not say them: a space of no width parts the first character from the rest."""


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
    """One kind of client. Every field has the meaning that most surveyed clients share as its default."""

    name: str
    summary: str
    """Who speaks it, in one line."""

    request: RequestForm = RequestForm.PLAIN
    user_key: str = "username"
    password_key: str | None = None
    bare_name: bool = False
    """A payload that does not begin as a JSON object does is taken too: as the user name, without a password."""
    marker_key: str | None = None
    """A JSON key that a client's own request always has, with the value 1."""
    port: PortPlace = PortPlace.NOWHERE
    port_key: str = "port"
    port_stays: bool = False
    """Its datagrams come from another socket than it listens with: answers go to the announced port for good."""

    join_lists_rooms: bool = False
    """A join names no room; it is answered with the rooms' names, and the client then sends one of them."""
    lists_rooms: bool = False
    """A connection of its own, H32(0, 2, 0, 0), asks for the rooms' names."""

    created: tuple[Reply, ...] = (
        Reply(state=State.RESPONSE, status_byte=True),
        Reply("{token}"),
    )
    joined: tuple[Reply, ...] | None = None
    """As `created` if None."""
    refused: tuple[Reply, ...] = (Reply(state=State.RESPONSE, status_byte=True),)
    refused_states: Mapping[Status, int] = field(default_factory=dict)
    """The header's state of a refusal's last frame, where the client reads the status from there."""
    words: Mapping[Status, str] = field(default_factory=dict)
    """What {word} stands for."""
    codes: Mapping[Status, int] = field(default_factory=lambda: _HTTP_CODES)
    """What {code} stands for."""
    pause_s: float = 0.02
    """Between two frames of an answer, so that each comes in a segment of its own."""
    stays_open: bool = False
    """After a refusal the client may try again on the same connection."""
    error_is_token: bool = False
    """The client takes a refusal's text for its token: its datagrams are answered with the last `closed` text."""

    down: DownStyle = DownStyle(DownForm.RAW)
    up_keys: tuple[str, str] | None = None
    """A message up is a JSON object with these keys for (sender, text)."""
    echo: bool = False
    """A sender hears its own messages."""
    register_words: frozenset[str] = frozenset()
    """Messages that only make an address known."""
    leave_words: frozenset[str] = frozenset()
    """Messages by which a member leaves."""
    closed: tuple[str, ...] = _SEED_CLOSED
    """Notices when the room closes; {user} is the host, {room} the room."""
    timed_out: str = _SEED_TIMED_OUT
    """Notice to a member removed for silence; {user} is itself, {room} the room."""
    removed: tuple[str, ...] = ("{reason}", "exit!")
    """Notices to a member that somebody removed; {reason} is who and why, {user} and {room} as in `timed_out`.

    Where none has {reason}, it is told before them, as the server's message."""
    notices: bool = True
    """Members are told who comes, goes and so on, where the listener does not say otherwise."""
    notices_raw: bool = False
    """Notices go as bare text whatever the form of messages."""
