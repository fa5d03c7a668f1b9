"""Explain one request, reply or datagram: its fields, what is hidden, what each dialect makes of it, and hints.

The answers are values; `identify/render.py` turns them into lines.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from tsudoi.protocol import names
from tsudoi.protocol.client.dialect import Dialect, Reply
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.handshake import Request, encode_grant, encode_refusal, parse_request_untrusted
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import Recognised, recognise
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage, PeerError

from ..sealed.keys import is_plain
from .datagram_hints import WhoseToken, datagram_hints, find_member
from .fields import Field, Part, datagram_fields, down_fields, reply_fields, request_fields
from .mistakes import Hint
from .opening import Opening
from .redaction import Span, secret_spans
from .request_hints import request_hints

TOKEN = "T" * names.TOKEN_SIZE
"""Stands for a token in the replies that dialects would send."""


class DialectReading(NamedTuple):
    """What one dialect makes of a request."""

    dialect: Dialect
    request: Request | None
    """None: it refuses it."""
    error: str
    replies: list[bytes]
    """What a server of this dialect would answer: to a request that is granted, or its refusal."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Some bytes, explained."""

    data: bytes
    fields: list[Field]
    """Each byte is in exactly one."""
    hidden: list[Span]
    hints: list[Hint] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RequestExplanation(Explanation):
    """A request, or the beginning of one."""

    auto: Recognised | None = None
    """What an `auto` listener takes it for; None: too little came."""
    readings: list[DialectReading] = field(default_factory=list)
    """What each dialect makes of it, if it came whole."""


def explain_request(opening: Opening, tokens: tuple[bytes, ...] = ()) -> RequestExplanation:
    """Explain what a client has sent on a connection, whatever that is."""
    data, header = opening.data, opening.header
    hidden, hints = secret_spans(data, tokens), request_hints(opening)
    if header is None or len(data) - HEADER_SIZE < header.body_size:
        return RequestExplanation(data, request_fields(data, opening.dialect), hidden, hints)
    body = data[HEADER_SIZE:]
    auto = recognise(header, body, listed_before=False)
    readings = [_read(dialect, header, body) for dialect in DIALECTS.values()]
    fields = request_fields(data, opening.dialect or auto.dialect)
    return RequestExplanation(data, fields, hidden, hints, auto, readings)


def _read(dialect: Dialect, header: Header, body: bytes) -> DialectReading:
    room = ""
    try:
        request = parse_request_untrusted(dialect, header, body)
        room = request.room
        names.user_name(request.user)
        if request.room or request.operation is Operation.CREATE or not dialect.join_lists_rooms:
            names.room_name(request.room)
        granted = encode_grant(dialect, request, room, request.user, TOKEN)
    except PeerError as exc:
        return DialectReading(dialect, None, str(exc), encode_refusal(dialect, header, room, exc.status, str(exc)))
    return DialectReading(dialect, request, "", granted)


def explain_reply(frame: bytes, dialect: Dialect, tokens: tuple[bytes, ...] = ()) -> Explanation:
    """Explain one frame that the server sends in a handshake."""
    return Explanation(frame, reply_fields(frame, _form(frame, dialect)), secret_spans(frame, tokens))


def _form(frame: bytes, dialect: Dialect) -> Reply | None:
    """Return the reply of a dialect that a frame is, None if it has no header."""
    try:
        header = Header.parse_untrusted(frame[:HEADER_SIZE])
    except MalformedMessage:
        return None
    replies = (*dialect.created, *(dialect.joined or ()), *dialect.refused)
    framed = [reply for reply in replies if reply.state is not None]
    same_state = [reply for reply in framed if reply.state == header.state]
    status = [reply for reply in same_state if reply.status_byte and header.payload_size == 1]
    return next(iter((*status, *same_state, *framed)), Reply() if dialect.lists_rooms else None)


def explain_datagram(data: bytes, whose: WhoseToken, tokens: tuple[bytes, ...] = ()) -> Explanation:
    """Explain a datagram from a client, whatever it is; `whose` tells the member of a token."""
    known, read = find_member(data, whose)
    fields = datagram_fields(data, read, known is not None)
    hidden = secret_spans(data, tokens, _secret_places(data, fields))
    return Explanation(data, fields, hidden, datagram_hints(data, whose))


def explain_down(data: bytes, dialect: Dialect, tokens: tuple[bytes, ...] = ()) -> Explanation:
    """Explain a datagram to a client."""
    fields = down_fields(data, dialect)
    return Explanation(data, fields, secret_spans(data, tokens, _secret_places(data, fields)))


def _secret_places(data: bytes, fields: list[Field]) -> list[Span]:
    """Return where tokens are; in the suite `plain` the session is all that a client has to show."""
    return [
        (each.begin, each.end)
        for each in fields
        if each.part is Part.TOKEN or (each.part is Part.SESSION and is_plain(data[each.begin : each.end]))
    ]
