"""Find what the author of a client may have got wrong in a request, also in one that was accepted."""

import re
from collections.abc import Iterator
from itertools import chain, islice

from tsudoi.protocol.client.dialect import Dialect, PortPlace, RequestForm
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS
from tsudoi.protocol.client.handshake import PORT, is_meant_as_object, trailer_size
from tsudoi.protocol.client.header import HEADER_SIZE, PAYLOAD_LIMIT, PROMISE_LIMIT, Header, split_untrusted
from tsudoi.protocol.client.recognise import Recognised, Rule, asks_for_rooms, recognise
from tsudoi.protocol.codes import Operation, State
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import MAX_NAME_SIZE

from .encodings import is_text, is_utf16, likely_encoding
from .header_hints import likeliest
from .json_hints import is_json, json_hints
from .mistakes import Hint, Mistake, hint
from .opening import Opening
from .other_protocols import not_a_request

_CERTAIN = frozenset(Rule) - {Rule.ROOM_LIST, Rule.BRACE, Rule.ENDS_IN_PORT, Rule.PLAIN}
"""Rules that do not guess: no other dialect's requests look so."""
_BY_SUM = frozenset({Mistake.SIZE_COUNTS_ROOM, Mistake.SIZE_COUNTS_HEADER})
"""Found by the sum of both sizes alone: where JSON begins is surer."""
_JSON = re.compile(rb'[{"]')
_STARTS = 8
"""Places at which JSON may begin that are tried."""


def request_hints(opening: Opening) -> list[Hint]:
    """Return what may be wrong with a request, the worst first; nothing about a request as PROTOCOL.md has it."""
    data, header = opening.data, opening.header
    if (other := not_a_request(data)) is not None:
        return [other]
    if len(data) < HEADER_SIZE:
        known = likeliest(data, opening.is_all)
        return [known or hint(Mistake.HALF_HEADER, came=len(data))]
    if header is None or header.payload_size > PAYLOAD_LIMIT:
        return [likeliest(data, opening.is_all) or _too_large(header)]
    if opening.is_cut:
        return list(_state(header))
    found = list(chain(_sizes(opening, header), _state(header), _content(opening, header)))
    return found or list(_twins(opening))


def _too_large(header: Header | None) -> Hint:
    if header is None:
        return hint(Mistake.SIZE_ABSURD, limit=PROMISE_LIMIT)
    return hint(Mistake.SIZE_TOO_LARGE, size=header.payload_size, limit=PAYLOAD_LIMIT)


# --- the header and its sizes --------------------------------------------------------------------------------------


def _sizes(opening: Opening, header: Header) -> Iterator[Hint]:
    """The operation, and sizes that do not fit the body."""
    body = opening.body
    is_known = header.operation in (Operation.CREATE, Operation.JOIN)
    difference = _left_over(header, body, opening.dialect)
    if is_known and difference == 0:
        return
    known = likeliest(opening.data, opening.is_all)
    in_json = _by_json(header, body)
    if not is_known:
        yield known or hint(Mistake.OPERATION_UNKNOWN, operation=header.operation)
    elif difference is None:
        return  # not UTF-8: `_content` says so
    elif in_json is not None and (known is None or known.mistake in _BY_SUM):
        yield known if known is not None and in_json.mistake is Mistake.SIZE_OF_PAYLOAD_WRONG else in_json
    elif known is not None:
        yield known
    elif difference < 0 and opening.is_all and not body:
        yield hint(Mistake.HEADER_ALONE)
    elif difference < 0 and opening.is_all:
        yield _difference(Mistake.BYTES_MISSING, header, body)
    elif difference > 0:
        yield _difference(Mistake.BYTES_LEFT_OVER, header, body)


def _left_over(header: Header, body: bytes, dialect: Dialect | None) -> int | None:
    """Return how many bytes came beyond the promised ones, less than 0 if some are missing; None: not UTF-8."""
    if len(body) < header.body_size:
        return len(body) - header.body_size
    trailer = 0 if dialect is None else trailer_size(dialect)
    try:
        room, payload = split_untrusted(header, body, trailer)
    except MalformedMessage:
        return None if len(body) == header.body_size else len(body) - header.body_size
    return len(body) - len(room.encode()) - len(payload)


def _difference(mistake: Mistake, header: Header, body: bytes) -> Hint:
    promised, came = header.body_size, len(body)
    return hint(
        mistake,
        room=header.room_size,
        payload=header.payload_size,
        promised=promised,
        came=came,
        difference=abs(promised - came),
    )


def _by_json(header: Header, body: bytes) -> Hint | None:
    """Return which of the two sizes is wrong if the body ends in JSON, which shows where the payload begins."""
    starts = [found.start() for found in islice(_JSON.finditer(body), _STARTS)]
    at = next((at for at in starts if is_json(body[at:])), None)
    if at is None:
        return None
    if header.room_size != at:
        if header.payload_size != len(body) - at:
            return None
        return hint(
            Mistake.SIZE_OF_ROOM_WRONG if at <= MAX_NAME_SIZE else Mistake.ROOM_TOO_LONG, size=header.room_size, at=at
        )
    return hint(Mistake.SIZE_OF_PAYLOAD_WRONG, size=header.payload_size, right=len(body) - at)


def _state(header: Header) -> Iterator[Hint]:
    if header.state != State.REQUEST:
        yield hint(Mistake.STATE_NOT_REQUEST, state=header.state)


# --- the body -------------------------------------------------------------------------------------------------------


def _content(opening: Opening, header: Header) -> Iterator[Hint]:
    """The body of a request that came whole."""
    dialect, body = opening.dialect, opening.body
    if dialect is None or len(body) < header.body_size or asks_for_rooms(header):
        return
    trailer = trailer_size(dialect)
    try:
        room, payload = split_untrusted(header, body, trailer)
    except MalformedMessage:
        yield _not_utf8(header, body)
        return
    sizes = len(room.encode()), len(payload)
    if sum(sizes) == len(body) and sizes != (header.room_size, header.payload_size):
        yield hint(Mistake.SIZES_IN_CHARACTERS)
    if not room and header.operation == Operation.CREATE:
        yield hint(Mistake.NO_ROOM)
    if len(body) > header.payload_size and is_json(body[: header.payload_size]):
        yield hint(Mistake.PAYLOAD_FIRST)
        return
    fields = room.encode(), payload[: len(payload) - trailer]
    if any(map(is_utf16, fields)):
        yield hint(Mistake.NOT_UTF8_BUT, encoding="utf-16")
        return
    if any(field.endswith(b"\0") for field in fields):
        yield hint(Mistake.PADDED_WITH_ZEROS)
    if len(payload) <= trailer:
        yield hint(Mistake.NO_USER)
    elif _has_sizes(payload):
        yield hint(Mistake.SIZE_IN_PAYLOAD, size=payload[0])
    elif dialect.request is not RequestForm.PLAIN:
        yield from json_hints(dialect, payload, opening.rule)
    if opening.room[:HEADER_SIZE].count(0) > HEADER_SIZE // 2:
        yield hint(Mistake.ROOM_HAS_HEADER)
    if not opening.room:
        yield from _dialects(opening, dialect, recognise(header, body, False), payload)


def _has_sizes(payload: bytes) -> bool:
    """Return whether the payload is one field or two, each behind a byte with its size.

    A size from 32 on would be the first letter of a name.
    """
    size = payload[0]
    rest = payload[1 + size :]
    return 0 < size < min(ord(" "), len(payload)) and (not rest or rest[0] == len(rest) - 1)


def _not_utf8(header: Header, body: bytes) -> Hint:
    room, payload = body[: header.room_size], body[header.room_size :]
    if is_utf16(room) or is_utf16(payload):
        return hint(Mistake.NOT_UTF8_BUT, encoding="utf-16")
    if len(payload) > PORT.size and is_text(body[: -PORT.size]):
        return hint(Mistake.PORT_AT_END)
    if len(payload) > PORT.size and is_text(room) and is_text(payload[PORT.size :]):
        return hint(Mistake.PORT_FIRST)
    encoding = likely_encoding(room) or likely_encoding(payload)
    return hint(Mistake.NOT_UTF8_BUT, encoding=encoding) if encoding else hint(Mistake.NOT_UTF8)


def _dialects(opening: Opening, dialect: Dialect, auto: Recognised, payload: bytes) -> Iterator[Hint]:
    """Whether the bytes look like another dialect than the listener's."""
    if opening.rule is None and auto.rule in _CERTAIN and auto.dialect not in same_bytes(dialect):
        yield hint(Mistake.OTHER_DIALECT, dialect=dialect.name, other=auto.dialect.name)
    elif opening.rule is None and dialect.request is RequestForm.PLAIN and is_meant_as_object(payload):
        yield hint(Mistake.JSON_FOR_PLAIN, dialect=dialect.name)


def _twins(opening: Opening) -> Iterator[Hint]:
    """That several dialects begin with these bytes, of which `auto` can only guess one."""
    if opening.dialect is not None and opening.rule in (Rule.PLAIN, Rule.USERNAME):
        name = opening.dialect.name
        others = [each.name for each in same_bytes(opening.dialect) if each not in (opening.dialect, CLASSIC)]
        yield hint(Mistake.SAME_BYTES, dialect=name, others=", ".join(others), first=others[0])


def same_bytes(dialect: Dialect) -> list[Dialect]:
    """Return the dialects whose requests could be this one's: their first bytes have the same form."""
    return [each for each in DIALECTS.values() if _form(each) == _form(dialect)]


def _form(dialect: Dialect) -> tuple[object, ...]:
    keys: tuple[str | None, ...] = ()
    if dialect.request is RequestForm.JSON_OBJECT:
        port_key = dialect.port_key if dialect.port is PortPlace.KEY else None
        keys = dialect.marker_key, dialect.user_key, dialect.password_key, port_key
    return dialect.request, trailer_size(dialect), keys
