"""Datagrams from a server, read by a client of any dialect; PROTOCOL.md, "Datagrams". `datagram.py` writes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from tsudoi.protocol.client.datagram import restored, restored_name
from tsudoi.protocol.client.dialect import Dialect, DownForm
from tsudoi.protocol.client.phrases import PHRASES, Phrase
from tsudoi.protocol.client.replies import template
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import SERVER_NAME


class NoticeKind(Enum):
    """What a notice tells its member; PROTOCOL.md spells them so for our own clients."""

    CLOSED = "closed"
    TIMED_OUT = "timeout"
    KICKED = "kicked"
    OTHER = ""


@dataclass(slots=True)
class Said:
    """Somebody said something."""

    sender: str
    """Empty where the datagram names nobody."""
    text: str
    offset: int | None = None
    """The message's place in its room, where the dialect tells it."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """The server itself has something to say."""

    kind: NoticeKind
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All that came with it, with its own name as `notice`, where the dialect has it in values."""


def parse_down_untrusted(dialect: Dialect, room: str, data: bytes) -> Said | Noticed:
    """Return what a datagram to a member of `room` says. Invalid UTF-8 in a text becomes U+FFFD.

    Where a dialect has no form of their own for notices, a text is one if it is what the dialect's templates make;
    where a message could be that too, a bare one is only a notice if nobody's name stands before it.

    Raises:
        MalformedMessage: not a datagram of this dialect.
    """
    match dialect.down.form:
        case DownForm.NATIVE:
            return _native(_object(data))
        case DownForm.RAW:
            return _raw(dialect, room, data)
        case DownForm.NAMED:
            raw_notice = _notice(dialect, room, data.decode(errors="replace")) if dialect.notices_raw else None
            return raw_notice or _named(dialect, room, data)
        case DownForm.U1:
            if len(data) < 2 or 2 + data[0] + data[1] > len(data):
                raise MalformedMessage("sizes disagree")
            return _raw(dialect, room, data[2 + data[0] + data[1] :])
        case DownForm.JSON_U1:
            if data[:2] != b"\0\0":
                raise MalformedMessage("does not begin with two zero bytes")
            fields = _object(data[2:])
            return _from_server(dialect, room, _string(fields, "sender"), _string(fields, "message"))


def _native(fields: dict[str, Any]) -> Said | Noticed:
    if "notice" in fields:
        word = _string(fields, "notice")
        kind = next((kind for kind in NoticeKind if kind.value == word), NoticeKind.OTHER)
        return Noticed(kind, _string(fields, "text"), fields)
    offset = fields.get("n")
    if not isinstance(offset, int):
        raise MalformedMessage('"n" is not a number')
    return Said(_string(fields, "from"), _string(fields, "text"), offset)


def _raw(dialect: Dialect, room: str, data: bytes) -> Said | Noticed:
    if not data:
        raise MalformedMessage("empty")
    text = data.decode(errors="replace")
    separator = dialect.down.separator
    notice = _notice(dialect, room, text, without=separator)
    if notice is not None:
        return notice
    text = restored(dialect.down, text)
    sender, found, said = text.partition(separator)
    return _said(sender, said) if found else Said("", text)


def _said(sender: str, text: str) -> Said | Noticed:
    """Nobody is called as the server is: what it says is no message."""
    return Noticed(NoticeKind.OTHER, text) if sender == SERVER_NAME else Said(sender, text)


def _named(dialect: Dialect, room: str, data: bytes) -> Said | Noticed:
    if not data or 1 + data[0] > len(data):
        raise MalformedMessage("sizes disagree")
    sender = restored_name(dialect.down, data[1 : 1 + data[0]].decode(errors="replace"))
    return _from_server(dialect, room, sender, data[1 + data[0] :].decode(errors="replace"))


def _from_server(dialect: Dialect, room: str, sender: str, text: str) -> Said | Noticed:
    notice = _notice(dialect, room, text) if sender == SERVER_NAME else None
    return notice or _said(sender, text)


def _notice(dialect: Dialect, room: str, text: str, without: str = "") -> Noticed | None:
    for kind, known in (
        # One dialect has the same words for both: its clients only know the former.
        (NoticeKind.CLOSED, dialect.closed),
        (NoticeKind.TIMED_OUT, (dialect.timed_out,)),
    ):
        for words in known:
            # The room is this one, and its name may hold what no placeholder may.
            pattern = template(words.replace("{room}", _literal(room)), (), without)
            if pattern.fullmatch(text):
                return Noticed(kind, text)
    for words in dialect.removed:
        beginning, reason, _ = words.partition("{reason}")
        if reason and beginning.startswith(dialect.down.ends_at or "\0") and text.startswith(beginning):
            return Noticed(NoticeKind.KICKED, text.removeprefix(beginning))
    return None


_REMOVALS = (
    Phrase.YOU_KICKED,
    Phrase.YOU_KICKED_WHY,
    Phrase.YOU_BANNED,
    Phrase.YOU_REMOVED,
    Phrase.YOU_REMOVED_WHY,
)


def tells_removal(dialect: Dialect, room: str, words: str) -> bool:
    """Say whether these are the words by which a member of `room` is told that somebody removed it.

    They only mean something if the end follows: a member can come to look like that.
    """
    for which in _REMOVALS:
        for text in PHRASES[which]:
            found = template(text.replace("{room}", _literal(room))).fullmatch(words)
            # Behind a sender's name it is a message.
            if found is not None and dialect.down.separator not in found.groupdict().get("by", ""):
                return True
    return False


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedMessage("not JSON") from exc
    if not isinstance(value, dict):
        raise MalformedMessage("not a JSON object")
    return value


def _string(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise MalformedMessage(f'"{key}" is not a string')
    return value
