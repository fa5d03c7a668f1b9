"""Parse and serialize datagrams from client to server; PROTOCOL.md, "Datagrams".

| room size: 1 | token size: 1 | room | token | text |      UTF-8, at most 4096 bytes in all
"""

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import TOKEN_SIZE, cut
from tsudoi.protocol.untrusted import parse_json_untrusted

MIN_UP = 2
"""Bytes of the two sizes."""
MAX_UP = 4096
"""Bytes of one datagram; the rest is cut off."""


Datagram = tuple[bytes, bytes, bytes]
"""(room, token, text) from a client, still bytes: most of it is compared, not read. A plain tuple, as one is made for
each datagram that comes."""


def parse_untrusted(data: bytes) -> Datagram:
    """Return the room, token and text in a datagram, its sizes taken as bytes; beyond 4096 bytes the text is cut off.

    Raises:
        MalformedMessage: the sizes are missing, or larger than the datagram.
    """
    size = len(data)
    if size < MIN_UP:
        raise MalformedMessage("shorter than its two sizes")
    token_at = 2 + data[0]
    text_at = token_at + data[1]
    if text_at > size:
        raise MalformedMessage("sizes disagree")
    return data[2:token_at], data[token_at:text_at], data[text_at:MAX_UP]


def parse_in_characters_untrusted(data: bytes) -> Datagram:
    """Return the same with the room's size taken as characters, and a token of the size that tokens have.

    For clients that put `len(str)` where bytes belong: tried when the token at the declared place is unknown.

    Raises:
        MalformedMessage: there is no such split.
    """
    if len(data) < MIN_UP:
        raise MalformedMessage("shorter than its two sizes")
    token_at = characters_end(data)
    text_at = token_at + TOKEN_SIZE
    if text_at > len(data):
        raise MalformedMessage("sizes disagree")
    return data[2:token_at], data[token_at:text_at], data[text_at:MAX_UP]


def characters_end(data: bytes) -> int:
    """Return where the token begins in a datagram of at least one byte, its room size taken as characters."""
    at = 2 + data[0]
    if data[2:at].isascii():
        return min(at, len(data))
    at = 2
    for _ in range(data[0]):
        if at >= len(data):
            break
        lead = data[at]
        at += 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return at


def serialize(room: str, token: str, text: str) -> bytes:
    """Return the datagram of a text, which is cut between two characters so that the whole has at most 4096 bytes."""
    head = room.encode()
    head = bytes((len(head), len(token))) + head + token.encode()
    return head + cut(text, MAX_UP - len(head)).encode()


def decode_text(raw: bytes, dialect: Dialect) -> str:
    """Return the text of a datagram, with its invalid and dangerous parts replaced or removed.

    Unwraps the JSON object of a dialect that sends one; other bytes are the text itself. Removes an incomplete
    character at the end, replaces other invalid UTF-8 by U+FFFD, and cleans the result with `sanitize.clean`.
    """
    if dialect.up_keys is not None:
        raw = _unwrap(raw, dialect.up_keys[1])
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = drop_incomplete_character(raw).decode(errors="replace")
    return clean(text)


def drop_incomplete_character(raw: bytes) -> bytes:
    """Return `raw` without an incomplete UTF-8 character at its end."""
    for back in range(1, min(4, len(raw)) + 1):
        lead = raw[-back]
        if lead >= 0xC0:
            needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return raw[:-back] if needed > back else raw
        if lead < 0x80:
            break
    return raw


def _unwrap(raw: bytes, key: str) -> bytes:
    """Return the string under `key` of a JSON object, or `raw` if it is not such an object."""
    try:
        value = parse_json_untrusted(raw)
    except MalformedMessage:
        return raw
    text = value.get(key) if isinstance(value, dict) else None
    return text.encode(errors="replace") if isinstance(text, str) else raw
