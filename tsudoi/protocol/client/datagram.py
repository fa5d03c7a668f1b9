"""Parse and serialize datagrams from client to server; PROTOCOL.md, "Datagrams".

| room size: 1 | token size: 1 | room | token | text |      UTF-8, at most 4096 bytes in all
"""

import json
import re
from typing import Any

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import TOKEN_SIZE
from tsudoi.protocol.untrusted import json_or_none

MIN_UP = 2
"""Bytes of the two sizes."""
MAX_UP = 4096
"""Bytes of one datagram; the rest is cut off."""
MAX_READ = MAX_UP + 1
"""Bytes that are read of one datagram: one too many shows that it was longer."""
_MOST = MAX_UP - MIN_UP - TOKEN_SIZE
"""Bytes of room and text together, beside a token."""

_ESCAPE = re.compile(rb"\\\\|\\u[0-9A-Fa-f]{0,3}\Z|\\u[Dd][89ABab][0-9A-Fa-f]{2}\Z")
"""In JSON: an escaped backslash, whose second one begins no escape; at the end half an escape, or half a character."""

_END = re.compile(rb'"\s*}\s*\Z')
"""The end of an object whose last value is a text."""

Datagram = tuple[bytes, bytes, bytes]
"""(room, token, text) from a client, still bytes: most of it is compared, not read. A plain tuple, as one is made for
each datagram that comes."""


def parse_untrusted(data: bytes) -> Datagram:
    """Return the room, token and text in a datagram, its sizes taken as bytes.

    The text of a datagram of more than 4096 bytes ends at the next one (`cut_off`).

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
    return data[2:token_at], data[token_at:text_at], data[text_at:MAX_READ]


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
    return data[2:token_at], data[token_at:text_at], data[text_at:MAX_READ]


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


REPLACEMENT = "\ufffd"
"""Stands in a text for what was not UTF-8."""


def cut_off(room: bytes, text: bytes) -> bytes | None:
    """Return the text of a datagram cut where its limit is; None if it is not that long."""
    excess = len(room) + len(text) - _MOST
    return text[:-excess] if excess > 0 else None


def serialize(room: str, token: str, text: str) -> bytes:
    """Return the datagram of a text; raise ValueError if it has more than 4096 bytes: the server would cut some off."""
    raw = room.encode()
    data = bytes((len(raw), len(token))) + raw + f"{token}{text}".encode()
    if len(data) > MAX_UP:
        raise ValueError(f"a datagram of {len(data)} bytes is longer than {MAX_UP}")
    return data


def decode_text(raw: bytes, dialect: Dialect, was_cut: bool = False) -> str:
    """Return the text of a datagram, with its invalid and dangerous parts replaced or removed.

    Unwraps the JSON object of a dialect that sends one, also one that `was_cut` inside its text; other bytes are the
    text itself. Removes an incomplete character at the end, replaces other invalid UTF-8 by U+FFFD, and cleans the
    result with `sanitize.clean`.
    """
    if dialect.up_keys is not None:
        raw = _unwrap_cut(raw, dialect.up_keys[1]) if was_cut else _unwrap(raw, dialect.up_keys[1])
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = drop_incomplete_character(raw).decode(errors="replace")
    if text.isprintable() or text in dialect.leave_words:  # such a word may be a control character
        return text
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


def was_cut_before(raw: bytes, dialect: Dialect) -> bool:
    """Return whether the client has cut off the end of an object in JSON, inside its text or behind it."""
    if dialect.up_keys is None or not (raw := _object_alone(raw)).startswith(b"{") or _END.search(raw):
        return False
    return _parse_object(raw) is None and _text_in(raw, dialect.up_keys[1]) is not None


def _object_alone(raw: bytes) -> bytes:
    """Return `raw` without what some clients write before an object: zero bytes as down, a byte order mark."""
    return raw.lstrip(b"\0 \t\r\n").removeprefix(b"\xef\xbb\xbf")


def _text_in(raw: bytes, key: str) -> re.Match[bytes] | None:
    return re.search(rb'"%s"\s*:\s*"((?:[^"\\]|\\.)*)' % re.escape(key.encode()), raw, re.DOTALL)


def _parse_object(raw: bytes) -> dict[str, Any] | None:
    """Return an object, None if `raw` is none. Its texts may have half characters and controls."""
    value = json_or_none(raw)
    if value is None and raw.startswith(b"{"):
        try:
            value = json.loads(raw.decode(errors="replace"), strict=False)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _unwrap_cut(raw: bytes, key: str) -> bytes:
    """Return the beginning of the string under `key` in the beginning of a JSON object, without half a character.

    Empty if the object was cut before that string; `raw` if it is no object.
    """
    if not (raw := _object_alone(raw)).startswith(b"{"):
        return raw
    if (found := _text_in(raw, key)) is None:
        return b""
    escaped = drop_incomplete_character(found[1])
    for _ in range(2):  # half an escape, and then perhaps the first half of a character
        for escape in _ESCAPE.finditer(escaped):
            if escape[0] != b"\\\\":
                escaped = escaped[: escape.start()]
    try:
        return _encode(str(json.loads(f'"{escaped.decode(errors="replace")}"', strict=False)))
    except ValueError:
        return escaped


def _unwrap(raw: bytes, key: str) -> bytes:
    """Return the string under `key` of a JSON object, or `raw` if it is not such an object."""
    value = _parse_object(_object_alone(raw))
    text = None if value is None else value.get(key)
    return _encode(text) if isinstance(text, str) else raw


def _encode(text: str) -> bytes:
    """Return `text` in UTF-8, each half character in it as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
