"""Encode datagrams from server to client, one form per dialect; PROTOCOL.md, "Datagrams".

`downlink_decoder.py` reads them. Notices with values, answers and actions are in `notices.py`.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tsudoi.protocol.client.closing_words import break_closing_words, break_name, sized_name
from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle, Keys
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.lines import mark_further_lines
from tsudoi.protocol.client.sanitize import strip_bidi
from tsudoi.protocol.names import SERVER_NAME, cut
from tsudoi.protocol.visible_characters import boundary

NATIVE = DownStyle(DownForm.NATIVE)
_RAW: Final = DownForm.RAW
_NAMED: Final = DownForm.NAMED
"""As plain names: to look up an enum's member takes 0.1 µs, a fifth of what it takes to encode a message."""
MAX_DOWN = 4094
"""Bytes of one datagram; a text that does not fit is cut between two characters."""
SURELY_WHOLE = 1_000
"""Bytes of a text up to which no form needs to cut it: an invalid byte becomes three (U+FFFD), the longest name takes
510 in JSON, and marks of further lines 200."""
_STYLES = frozenset(dialect.down for dialect in DIALECTS.values())
_ANY_OFFSET = 10**12
_CLOSING_WORDS = frozenset(words for style in _STYLES for words in style.ends_at)


def fits_every_form(room: str, sender: str, text: str) -> bool:
    """Return whether no form of datagram needs to cut this message."""
    return all(
        len(encode_message(style, room, _ANY_OFFSET, sender, text, 16 * MAX_DOWN)) <= MAX_DOWN for style in _STYLES
    )


def carried_size(text: str) -> int:
    """Return the most bytes that a message's text takes in any form, beside what stands around it."""
    broken = sum(text.count(words) for words in _CLOSING_WORDS)
    return json_size(mark_further_lines(text)) + 3 * broken


def json_size(text: str) -> int:
    """Return the bytes of a text as JSON, without the quotes around it."""
    return len(msgspec.json.encode(text)) - len('""')


def encode_message(style: DownStyle, room: str, offset: int, sender: str, text: str, size: int = MAX_DOWN) -> bytes:
    """Return the datagram with what `sender` wrote, cut to `size` bytes.

    Members' further lines are marked, except in NATIVE, whose clients mark them. The server's lists have many lines.
    """
    form = style.form
    if "\n" in text and sender != SERVER_NAME and form is not DownForm.NATIVE:
        text = mark_further_lines(text)
    if form is _RAW:
        return _cut_text(_message_line(style, sender, text), size)
    if form is _NAMED:
        name = sized_name(break_name(style, sender))
        return name + _cut_text(text, size - len(name))
    match form:
        case DownForm.U1:
            head = _u1_head(room)
            return head + _cut_text(_message_line(style, sender, text), size - len(head))
        case DownForm.OBJECT:
            keys = (sender == SERVER_NAME and style.notice) or style.message
            return _object(style, keys, sender, text, size)
        case _:
            assert form is DownForm.NATIVE, "a member with a stream gets messages from `gateway/chat/render.py`"
            return _cut_json({"n": offset, "from": sender, "text": text}, "text", size)


def encode_line(style: DownStyle, room: str, text: str) -> bytes:
    """Return the datagram with a line that has no sender in front; for RAW and U1 only."""
    head = _u1_head(room) if style.form is DownForm.U1 else b""
    return head + _cut_text(break_closing_words(style, text), MAX_DOWN - len(head))


def encode_closing(dialect: Dialect, room: str, kind: str, text: str) -> bytes:
    """Return the datagram with the dialect's words for a closed room, a time-out or a removal.

    The words at which the client ends stay whole. NATIVE gets `kind` ("closed", "timeout", "kicked", "slow") too.
    """
    style = dialect.down
    if style.form is DownForm.NATIVE:
        return _cut_json({"notice": kind, "text": text}, "text", MAX_DOWN)
    if style.form is DownForm.RAW or dialect.notices_raw:
        return cut(text, MAX_DOWN).encode()
    if style.form is DownForm.U1:
        head = _u1_head(room)
        return head + cut(text, MAX_DOWN - len(head)).encode()
    if style.closing:
        return _object(style, style.closing, SERVER_NAME, text, MAX_DOWN)
    return encode_message(style, room, 0, SERVER_NAME, text)


# --- pieces of datagrams -------------------------------------------------------------------------------------------


def _message_line(style: DownStyle, sender: str, text: str) -> str:
    line = f"{sender}{style.separator}{text}"
    return break_closing_words(style, line) if style.ends_at else line


def _u1_head(room: str) -> bytes:
    raw = room.encode()
    return bytes((len(raw), 0)) + raw


def _object(style: DownStyle, keys: Keys, sender: str, text: str, size: int) -> bytes:
    values = {"{user}": sender, "{text}": text}
    where = next(key for key, value in keys if value == "{text}")
    return style.head + _cut_json({key: values.get(value, value) for key, value in keys}, where, size - len(style.head))


def _cut_text(text: str, size: int) -> bytes:
    """Return the longest beginning of a text that fits `size` bytes."""
    raw = text.encode()
    return raw if len(raw) <= size else cut(strip_bidi(text), size).encode()


def _cut_json(fields: Mapping[str, str | int], key: str, size: int) -> bytes:
    """Return `fields` as JSON of at most `size` bytes, with the text under `key` cut no more than it must be."""
    raw = msgspec.json.encode(fields)
    if len(raw) <= size:
        return raw
    text = strip_bidi(str(fields[key]))
    return longest_fit(
        lambda length: msgspec.json.encode({**fields, key: text[: boundary(text, length)]}), len(text), size
    )


def longest_fit(encode: Callable[[int], bytes], longest: int, size: int) -> bytes:
    """Return `encode(length)` for the largest length up to `longest` that gives at most `size` bytes.

    Escapes make the size of JSON unpredictable, so this searches; the length 0 must fit.
    """
    return encode(bisect_right(range(1, longest + 1), size, key=lambda length: len(encode(length))))
