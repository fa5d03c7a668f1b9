"""Chat datagrams, up and down; PROTOCOL.md, "Datagrams".

Up (U1): | room size: 1 | token size: 1 | room | token | text |, all UTF-8, 4096 bytes in all.
Down: a form per dialect, 4094 bytes in all.
"""

from typing import NamedTuple

import msgspec

from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.client.sanitize import clean, without_turns
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import MAX_NAME_SIZE, SERVER_NAME, TOKEN_SIZE, cut

MAX_UP = 4096
MAX_DOWN = 4094
_NO_WIDTH = "\u200b"


class Datagram(NamedTuple):
    """One datagram from a client, still bytes: most of it is compared, not read."""

    room: bytes
    token: bytes
    text: bytes


def parse_untrusted(data: bytes) -> Datagram:
    """Return the datagram in `data`, sizes taken as bytes; what is beyond 4096 bytes is cut off.

    Raises:
        MalformedMessage: sizes that `data` can not hold.
    """
    if len(data) < 2:
        raise MalformedMessage("shorter than its two sizes")
    token_at = 2 + data[0]
    text_at = token_at + data[1]
    if text_at > len(data):
        raise MalformedMessage("sizes disagree")
    return Datagram(data[2:token_at], data[token_at:text_at], data[text_at:MAX_UP])


def parse_in_characters_untrusted(data: bytes) -> Datagram:
    """Return the datagram in `data` with its room size taken as characters; the token has its known size.

    For clients that put `len(str)` where bytes belong: tried when the token at the declared place is unknown.

    Raises:
        MalformedMessage: no such split.
    """
    if len(data) < 2:
        raise MalformedMessage("shorter than its two sizes")
    token_at = characters_end(data)
    text_at = token_at + TOKEN_SIZE
    if text_at > len(data):
        raise MalformedMessage("sizes disagree")
    return Datagram(data[2:token_at], data[token_at:text_at], data[text_at:MAX_UP])


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
    """Return a datagram up; the text is cut at a character's border so that all fits 4096 bytes."""
    head = room.encode()
    head = bytes((len(head), len(token))) + head + token.encode()
    return head + cut(text, MAX_UP - len(head)).encode()


def readable(raw: bytes, dialect: Dialect) -> str:
    """Return the text of a message as its sender meant it.

    Invalid UTF-8 becomes U+FFFD, a character cut in two at the end goes; control characters but tab and line feed go;
    other ends of lines become line feeds; what turns the direction of writing ends in its line.
    JSON of a dialect that wraps its texts so is unwrapped; what is not such JSON is taken as text.
    """
    if dialect.up_keys is not None:
        raw = _unwrap(raw, dialect.up_keys[1])
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = cut_end(raw).decode(errors="replace")
    return clean(text)


def cut_end(raw: bytes) -> bytes:
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
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    text = value.get(key) if isinstance(value, dict) else None
    return text.encode(errors="replace") if isinstance(text, str) else raw


def said(style: DownStyle, room: str, offset: int, sender: str, text: str) -> bytes:
    """Return the datagram that tells a member what `sender` said; the text is cut so that 4094 bytes hold all."""
    match style.form:
        case DownForm.RAW:
            return _shortened(_line(style, sender, text), MAX_DOWN)
        case DownForm.NAMED:
            name = _sized(_NO_WIDTH + sender if _begins_with_an_end(style, sender) else sender)
            return name + _shortened(text, MAX_DOWN - len(name))
        case DownForm.U1:
            head = room.encode()
            head = bytes((len(head), 0)) + head
            return head + _shortened(_line(style, sender, text), MAX_DOWN - len(head))
        case DownForm.JSON_U1:
            return b"\0\0" + _fitting({"sender": sender, "message": text}, "message", MAX_DOWN - 2)
        case DownForm.NATIVE:
            return _fitting({"n": offset, "from": sender, "text": text}, "text", MAX_DOWN)


def line(style: DownStyle, room: str, text: str) -> bytes:
    """Return the datagram for a line that no sender's name stands before; in the forms that have such lines."""
    head = b""
    if style.form is DownForm.U1:
        raw = room.encode()
        head = bytes((len(raw), 0)) + raw
    return head + _shortened(_parted(style, text), MAX_DOWN - len(head))


def _line(style: DownStyle, sender: str, text: str) -> str:
    return _parted(style, f"{sender}{style.separator}{text}")


def _parted(style: DownStyle, line: str) -> str:
    for words in style.ends_at:
        line = line.replace(words, words[0] + _NO_WIDTH + words[1:])
    return line


def restored(style: DownStyle, line: str) -> str:
    """Return a line as it was before the words at which its receiver would end were parted."""
    for words in style.ends_at:
        line = line.replace(words[0] + _NO_WIDTH + words[1:], words)
    return line


def _begins_with_an_end(style: DownStyle, sender: str) -> bool:
    if not style.ends_at or len(sender.encode()) > MAX_NAME_SIZE:
        return False
    return _sized(sender).startswith(tuple(words.encode() for words in style.ends_at))


def restored_name(style: DownStyle, name: str) -> str:
    """Return the sender in a datagram that names it, as it was before such words were parted."""
    bare = name.removeprefix(_NO_WIDTH)
    return bare if _begins_with_an_end(style, bare) else name


def _sized(name: str) -> bytes:
    raw = name.encode()
    return bytes((len(raw),)) + raw


def notice(dialect: Dialect, room: str, kind: str, text: str) -> bytes:
    """Return the datagram for a notice: `kind` ("closed", "timeout") for our own clients, `text` for the others."""
    style = dialect.down
    if style.form is DownForm.NATIVE:
        return _fitting({"notice": kind, "text": text}, "text", MAX_DOWN)
    if style.form is DownForm.RAW or dialect.notices_raw:
        return cut(text, MAX_DOWN).encode()
    if style.form is DownForm.U1:
        head = room.encode()
        return bytes((len(head), 0)) + head + cut(text, MAX_DOWN - 2 - len(head)).encode()
    return said(style, room, 0, SERVER_NAME, text)


def _shortened(text: str, size: int) -> bytes:
    """Return what of a text fits `size` bytes."""
    raw = text.encode()
    return raw if len(raw) <= size else cut(without_turns(text), size).encode()


def _fitting(fields: dict[str, str | int], key: str, size: int) -> bytes:
    """Return `fields` as JSON of at most `size` bytes; the text under `key` gives way, no more than it must."""
    raw = msgspec.json.encode(fields)
    if len(raw) <= size:
        return raw
    # How much a cut saves depends on the escapes in what it takes away, so the place is searched for.
    text = without_turns(str(fields[key]))
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(msgspec.json.encode(fields | {key: text[:middle]})) <= size:
            fits = middle
        else:
            too_long = middle
    return msgspec.json.encode(fields | {key: text[:fits]})
