"""Parse and serialize the lines of bodies: JSON objects and, down, arrays; PROTOCOL.md, "Bodies".

Each direction has one structure with the fields of all its objects, so that a line is decoded once. A missing field is
None; the field that is present tells the kind of line.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import PARSE_ERRORS

from .parts import MAX_WHOLE

MAX_LINES = 256
"""Lines of a body up."""

MAX_NUMBER = 2**53 - 1
"""The largest number that JavaScript has exactly."""
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
Range: TypeAlias = tuple[Number, Number]
LONGEST_PING = len('{"ping":999999}')
"""Bytes of a body that has a ping alone, as `ping_of` reads it: less than any line that says something."""
SaidArray: TypeAlias = tuple[int, str, str] | tuple[int, str, str, int, int] | tuple[str]
"""A message: offset, name and text; and of a numbered one the sender's `member_number` and its number. Or the text of
the next one of the same sender."""
State: TypeAlias = Literal["complete", "gap", "reset"]


class Resume(msgspec.Struct, frozen=True, omit_defaults=True):
    """Serve me from this position."""

    cookie: Annotated[str, msgspec.Meta(max_length=64)]
    """In hexadecimal; empty: none yet."""
    epoch: Number
    offset: Number
    next: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
    """The number of the client's next line, or the lowest that is not known to be kept."""


class UpLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a client."""

    resume: Resume | None = None
    say: str | None = None
    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)] = 0
    """Of `say`; 0: it has none."""
    after: Number | None = None
    """Of `say`: the number of the line before it that is not refused; None: `number` - 1."""
    want: Range | None = None
    ping: Number | None = None
    leave: bool = False


class Resumed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The position from which the client is served, and what was lost before it."""

    to: Number
    """The count of the packet with the `resume`; 0: it answers a `want`."""
    epoch: Number
    offset: Number
    said: Number
    """The number of the member's last line that is kept."""
    name: str
    state: State
    lost: Range | None = None
    """With `gap`: the first and the last offset that the log does not have."""


class Moving(msgspec.Struct, frozen=True, omit_defaults=True):
    """Go on at another server."""

    within: Annotated[float, msgspec.Meta(ge=0, le=3600)]
    """Seconds."""
    to: Annotated[list[Annotated[str, msgspec.Meta(max_length=300)]], msgspec.Meta(max_length=16)] = []
    """Where, `HOST:TCP:UDP`; empty: at another address of those that the client has."""


class DownLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object from a server, without the values of notices, which `client.downlink_decoder` reads.

    It is serialized in this order: first the keys that tell the kind of line.
    """

    resumed: Resumed | None = None
    n: Number | None = None
    """Of a notice: its offset, if it has a place in the room's order."""
    notice: str = ""
    """Which one it is."""
    member: Number = 0
    """Of a notice: whose command it comes from, as in messages; 0: from none."""
    number: Number = 0
    """That command's number."""
    kept: Number | None = None
    refused: Number | None = None
    pong: Number | None = None
    moving: Moving | None = None
    ended: str | None = None
    again: bool = False
    text: str = ""
    epoch: Number = 0
    last: Number = 0
    away: bool = False
    """With `pong`: this server does not reach the room."""


class Covered(NamedTuple):
    """The offsets whose entries a body has: those behind `after`, up to `to`."""

    after: int
    to: int


class SaidLine(NamedTuple):
    """A message; `client.downlink_decoder` reads what it says."""

    n: int
    name: str
    member: int
    """Its sender's `member` in the handshake; 0 as `number` if the sender has not numbered it."""
    number: int


class _Array(msgspec.Struct, frozen=True, array_like=True):
    """All kinds of arrays, to be decoded at once."""

    first: Number | str
    second: Number | str | None = None
    text: str | None = None
    member: Number = 0
    number: Number = 0


Down: TypeAlias = DownLine | Covered | SaidLine

_up = msgspec.json.Decoder(UpLine)
_down = msgspec.json.Decoder(DownLine)
_down_array = msgspec.json.Decoder(_Array)
_encoder = msgspec.json.Encoder()
_ping = re.compile(rb'\{"ping":(0|[1-9][0-9]{0,5})\}').fullmatch


def parse_up_untrusted(body: bytes) -> list[UpLine]:
    """Return the lines of a client's body; raise MalformedMessage, also if they are too many."""
    raw = body.split(b"\n") if body else []
    if len(raw) > MAX_LINES:
        raise MalformedMessage(f"{len(raw)} lines; a body has at most {MAX_LINES}")
    try:
        return list(map(_up.decode, raw))
    except PARSE_ERRORS as exc:
        raise _malformed(exc) from exc


def ping_of(body: bytes) -> int | None:
    """Return the number of a ping, below a million, if it is alone in a body, as most clients write it; else None."""
    found = _ping(body)
    return None if found is None else int(found[1])


def parse_down_untrusted(body: bytes) -> list[tuple[Down, bytes]]:
    """Return the lines of a server's body that are known, each also as its bytes; raise MalformedMessage.

    A message in the short form comes with the bytes of the long one.
    """
    lines: list[tuple[Down, bytes]] = []
    before: Down | None = None
    try:
        for raw in body.split(b"\n") if body else ():
            found = _array_untrusted(raw, before) if raw.startswith(b"[") else (_down.decode(raw), raw)
            before = None if found is None else found[0]
            if found is not None:
                lines.append(found)
    except PARSE_ERRORS as exc:
        raise _malformed(exc) from exc
    return lines


def _array_untrusted(raw: bytes, before: Down | None) -> tuple[Covered | SaidLine, bytes] | None:
    """Return what an array says behind the line before it, and its bytes; None: this version does not know it."""
    try:
        array = _down_array.decode(raw)
    except msgspec.ValidationError:
        return None
    if isinstance(array.first, str):
        return _behind(before, array.first) if isinstance(before, SaidLine) else None
    if isinstance(array.second, str):
        said = SaidLine(array.first, array.second, array.member, array.number)
        return None if array.text is None else (said, raw)
    return None if array.second is None or array.second < array.first else (Covered(array.first, array.second), raw)


def _behind(before: SaidLine, text: str) -> tuple[SaidLine, bytes]:
    """Return the message behind another one in the same body that has the short form."""
    said = before._replace(n=before.n + 1, number=before.number and before.number + 1)
    return said, _encoder.encode((said.n, said.name, text, said.member, said.number))


def _malformed(exc: Exception) -> MalformedMessage:
    return MalformedMessage(f"not a line of version 2: {exc}")


def member_number(member_id: int) -> int:
    """Return a member's number in messages: its id as far as JavaScript has numbers; one room has no two the same."""
    return member_id & MAX_NUMBER


def serialize_said(said: Sequence[SaidArray]) -> list[bytes]:
    """Return the lines of messages."""
    return _encoder.encode_lines(said).splitlines()


def is_short(line: bytes) -> bool:
    """Return whether a line is a message in short."""
    return line.startswith(b'["')


def lengthen(line: bytes, behind: int, whole: bytes) -> bytes:
    """Return the long form of a message in short, which stands so many lines behind one that is `whole`."""
    offset, rest = whole[1:].split(b",", 1)
    # Within a string a quotation mark has a backslash before it.
    name, rest = rest.split(b'","', 1)
    sender = b""
    if not rest.endswith(b'"]'):
        _, member, number = rest[:-1].rsplit(b",", 2)
        sender = b",%b,%d" % (member, int(number) + behind)
    return b'[%d,%b",%b%b]' % (int(offset) + behind, name, line[1:-1], sender)


def with_cause(notice: bytes, member: int, number: int) -> bytes:
    """Return a notice that tells from which line it comes: the number of the line's member, and that of the line."""
    return b'%b,"member":%d,"number":%d}' % (notice[:-1], member_number(member), number & MAX_NUMBER)


def offset_of(line: bytes) -> int:
    """Return the offset of an entry's line, which stands in front in our own; 0: it has none."""
    if line.startswith(b"["):
        return int(line[1 : line.index(b",")])
    return int(line[5 : line.index(b",")]) if line.startswith(b'{"n":') else 0


def serialize(line: UpLine | DownLine) -> bytes:
    return _encoder.encode(line)


def serialize_range(after: int, to: int) -> bytes:
    """Return the line that says which offsets a body covers: those after `after`, up to `to`."""
    return b"[%d,%d]" % (after, to)


def serialize_pong(ping: int, epoch: int, last: int, *, is_away: bool = False) -> bytes:
    """Return the line that answers a `ping`: its number, the newest offset of its room, and whether that is away."""
    away = b',"away":true' if is_away else b""
    return b'{"pong":%d,"epoch":%d,"last":%d%b}' % (ping, epoch, last, away)


def join(lines: Iterable[bytes]) -> bytes:
    """Return the body of these lines."""
    return b"\n".join(lines)


def bodies_of(lines: Iterable[bytes]) -> list[bytes]:
    """Return the bodies of these lines, as few as fit one packet each; a line that is longer has a body of its own."""
    bodies: list[bytes] = []
    for line in lines:
        if bodies and len(bodies[-1]) + 1 + len(line) <= MAX_WHOLE:
            bodies[-1] += b"\n" + line
        else:
            bodies.append(line)
    return bodies
