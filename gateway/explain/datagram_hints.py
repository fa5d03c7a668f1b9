"""Find what the author of a client may have got wrong in a datagram, also in one that was accepted."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tsudoi.protocol import names
from tsudoi.protocol.client.datagram import (
    MAX_UP,
    MIN_UP,
    Datagram,
    drop_incomplete_character,
    parse_in_characters_untrusted,
    parse_untrusted,
)
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import InvalidName, MalformedMessage
from tsudoi.protocol.untrusted import json_or_none

from ..sealed.keys import is_meant
from .encodings import is_printable, is_text, is_utf16, likely_encoding
from .mistakes import Hint, Mistake, hint
from .other_protocols import DTLS_RECORD, TLS_RECORD

_ANY_CASE = re.compile(rb"(?=([0-9a-fA-F]{32}))")
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")
_MISSING = 4
"""Characters by which a token is damaged, so that it is still taken for one."""
_REFUSAL = CLASSIC.refused[0].text.partition("{")[0].encode()
_DIGITS = re.compile(rb"\d{2,6}")
_RAW_TOKEN = names.TOKEN_SIZE // 2
_LOOKED_AT = 1_024
"""Bytes in which a token is searched: behind the longest room name it begins at byte 257."""


class Known(NamedTuple):
    """The member to whom a token belongs."""

    room: bytes
    """Its room's name."""
    dialect: Dialect
    name: bytes


WhoseToken = Callable[[bytes], Known | None]
"""Returns the member of a token, None if it is not known."""


def find_member(data: bytes, whose: WhoseToken) -> tuple[Known | None, Datagram | None]:
    """Return the member of a datagram and how it is read, sizes in bytes or else in characters, as the server reads it.

    Without a known token, the datagram is as its sizes say; None if they do not fit.
    """
    in_bytes = None
    for parse in (parse_untrusted, parse_in_characters_untrusted):
        with contextlib.suppress(MalformedMessage):
            read = parse(data)
            if (known := whose(read[1])) is not None:
                return known, read
            if parse is parse_untrusted:
                in_bytes = read
    return None, in_bytes


def datagram_hints(data: bytes, whose: WhoseToken) -> list[Hint]:
    """Return what may be wrong with a datagram, the worst first."""
    # The listener reads no more than this.
    found = [hint(Mistake.DATAGRAM_CUT, limit=MAX_UP)] if len(data) >= MAX_UP else []
    if len(data) < MIN_UP:
        return [hint(Mistake.DATAGRAM_SHORT)]
    if is_meant(data):
        return []
    known, read = find_member(data, whose)
    if known is not None and read is not None:
        room, _, text = read
        if data[0] != len(room):
            found.append(hint(Mistake.ROOM_SIZE_IN_CHARACTERS))
        if _sizes_are_apart(data):
            return [*found, hint(Mistake.SIZES_APART)]
        if data[1] != names.TOKEN_SIZE:
            found.append(hint(Mistake.TOKEN_SIZE_WRONG, size=data[1]))
        if not _same_name(room, known.room):
            is_padded = _same_name(room.rstrip(b"\0"), known.room)
            in_its_place = Mistake.USER_FOR_ROOM if _same_name(room, known.name) else Mistake.ROOM_OF_ANOTHER
            found.append(
                hint(Mistake.PADDED_WITH_ZEROS if is_padded else in_its_place if room else Mistake.ROOM_MISSING)
            )
        return found + list(_text(text, known.dialect))
    return [next(_why_unknown(data[:_LOOKED_AT], len(data), read, whose)), *found]


def _sizes_are_apart(data: bytes) -> bool:
    """Return whether each size stands before its own field: room size, room, token size, token."""
    token_at = MIN_UP + data[0]
    sizes = data[1], data[token_at - 1 : token_at]
    return sizes[0] != names.TOKEN_SIZE and sizes[1] == bytes((names.TOKEN_SIZE,)) and len(data) > token_at


def _same_name(one: bytes, other: bytes) -> bool:
    try:
        return one == other or names.room_name(one.decode()).encode() == other
    except (UnicodeDecodeError, InvalidName):
        return False


def _text(text: bytes, dialect: Dialect) -> Iterator[Hint]:
    if is_utf16(text) or not is_text(drop_incomplete_character(text)):
        encoding = likely_encoding(text)
        yield hint(Mistake.TEXT_NOT_UTF8_BUT, encoding=encoding) if encoding else hint(Mistake.TEXT_NOT_UTF8)
    elif text.endswith(b"\0"):
        yield hint(Mistake.TEXT_ENDS_IN_ZERO)
    if text and dialect.up_keys is not None:
        value = json_or_none(text)
        if not isinstance(value, dict) or not isinstance(value.get(dialect.up_keys[1]), str):
            yield hint(Mistake.TEXT_NOT_JSON, dialect=dialect.name)


def _why_unknown(data: bytes, size: int, read: Datagram | None, whose: WhoseToken) -> Iterator[Hint]:
    """Yield why no token is known, the likeliest reason first; at least one."""
    places = [found.start() for found in _ANY_CASE.finditer(data)]
    owners = ((at, whose(data[at : at + names.TOKEN_SIZE].lower())) for at in places)
    known_at, owner = next((each for each in owners if each[1] is not None), (None, None))
    if known_at is None and read is not None:
        # Digits and a to f of the name or the text beside a damaged token may look like the rest of it.
        yield from _damaged(read[1])
    at = known_at if known_at is not None else _guess(places, read)
    if at is None:
        yield from _without_token(data, size, read, whose)
        yield hint(Mistake.NO_TOKEN_ANYWHERE)
        return
    if not names.looks_like_token(data[at : at + names.TOKEN_SIZE]):
        yield hint(Mistake.TOKEN_UPPER_CASE)
    yield from _token_elsewhere(data, at, read, owner)
    yield hint(Mistake.TOKEN_UNKNOWN)


def _guess(places: list[int], read: Datagram | None) -> int | None:
    """Return which of the places that look like a token is one: that of the sizes, else the first."""
    declared = MIN_UP + len(read[0]) if read is not None else None
    return declared if declared in places else next(iter(places), None)


def _damaged(token: bytes) -> Iterator[Hint]:
    """What is wrong with a token whose sizes are right, if most of it is a token's characters."""
    other = [at for at, byte in enumerate(token) if byte not in _HEX_DIGITS]
    if not other and names.TOKEN_SIZE - _MISSING <= len(token) < names.TOKEN_SIZE:
        yield hint(Mistake.TOKEN_CUT, size=len(token))
    elif len(token) == names.TOKEN_SIZE and 0 < len(other) <= _MISSING:
        yield hint(Mistake.TOKEN_NOT_HEX, at=other[0], byte=f"{token[other[0]]:02x}")


def _token_elsewhere(data: bytes, at: int, read: Datagram | None, owner: Known | None) -> Iterator[Hint]:
    """What is wrong with the sizes, given that a token begins at `at`; `owner` if it is a known one."""
    room_size, token_size = data[0], data[1]
    begin = MIN_UP + room_size
    if at >= HEADER_SIZE and _header(data) is not None:
        yield hint(Mistake.HEADER_BEFORE_DATAGRAM)
    elif at == begin and token_size == names.TOKEN_SIZE:
        return
    elif at == MIN_UP and len(data) > at + names.TOKEN_SIZE:
        yield hint(Mistake.TOKEN_FIRST)
    elif room_size == names.TOKEN_SIZE and token_size == at - MIN_UP:
        yield hint(Mistake.SIZES_SWAPPED)
    elif (digits := _DIGITS.match(data)) is not None and digits[0].endswith(b"32") and digits.end() <= at:
        yield hint(Mistake.SIZES_ARE_TEXT)
    elif (width := _width(data, at)) is not None:
        yield hint(Mistake.SIZES_WIDE, width=width)
    elif owner is not None and data[:at].endswith(owner.room) and at - len(owner.room) not in (0, MIN_UP):
        yield hint(Mistake.SIZES_COUNT, count=at - len(owner.room))
    elif read is not None and token_size > names.TOKEN_SIZE and begin <= at <= begin + token_size - names.TOKEN_SIZE:
        yield hint(Mistake.TOKEN_WRAPPED, size=token_size)
    elif at == begin:
        yield hint(Mistake.SIZES_APART) if _sizes_are_apart(data) else hint(Mistake.TOKEN_SIZE_WRONG, size=token_size)
    elif at < MIN_UP or (token_size != names.TOKEN_SIZE and is_printable(data[:at])):
        yield hint(Mistake.JSON_DATAGRAM if data.lstrip()[:1] == b"{" else Mistake.SIZES_NONE)
    else:
        yield hint(Mistake.ROOM_SIZE_WRONG, size=room_size, right=at - MIN_UP)


def _width(data: bytes, at: int) -> int | None:
    """Return how many bytes each of the two sizes has, if it is more than one."""
    for width in (2, 4, 8):
        for order in ("big", "little"):
            sizes = int.from_bytes(data[:width], order), int.from_bytes(data[width : 2 * width], order)
            if sizes == (at - 2 * width, names.TOKEN_SIZE):
                return width
    return None


def _without_token(data: bytes, size: int, read: Datagram | None, whose: WhoseToken) -> Iterator[Hint]:
    """What a datagram is in which nothing looks like a token."""
    for at in range(len(data) - _RAW_TOKEN + 1):
        if whose(data[at : at + _RAW_TOKEN].hex().encode()) is not None:
            yield hint(Mistake.TOKEN_BINARY)
    if read is not None and read[1].startswith(_REFUSAL):
        yield hint(Mistake.TOKEN_IS_REFUSAL)
    if data.startswith((TLS_RECORD, DTLS_RECORD)):
        yield hint(Mistake.TLS_BY_UDP)
    header = _header(data)
    if header is not None and header.body_size == size - HEADER_SIZE:
        yield hint(Mistake.REQUEST_BY_UDP)
    if data.lstrip()[:1] == b"{":
        yield hint(Mistake.JSON_DATAGRAM)
    if is_printable(data):
        yield hint(Mistake.TEXT_ONLY)
    if read is not None:
        token = read[1]
        if not token:
            yield hint(Mistake.TOKEN_MISSING)
        elif len(token) < names.TOKEN_SIZE and _HEX_DIGITS.issuperset(token):
            yield hint(Mistake.TOKEN_CUT, size=len(token))
        elif len(token) != names.TOKEN_SIZE:
            yield hint(Mistake.TOKEN_SIZE_WRONG, size=len(token))
    name_end = 1 + data[0]
    if data[0] > 0 and name_end <= size and is_printable(data[1:]):
        yield hint(Mistake.FIRST_STAGE)
    if read is None:
        yield hint(Mistake.SIZES_TOO_LARGE, promised=data[0] + data[1], came=size - MIN_UP)


def _header(data: bytes) -> Header | None:
    """Return the 32-byte header with which the datagram begins, if it begins with one."""
    try:
        header = Header.parse_untrusted(data[:HEADER_SIZE])
    except MalformedMessage:
        return None
    return header if header.operation in (Operation.CREATE, Operation.JOIN) else None
