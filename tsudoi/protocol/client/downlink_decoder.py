"""Decode datagrams from server to client, for a client of any dialect; PROTOCOL.md, "Datagrams".

`downlink_encoder.py` and `notices.py` encode them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tsudoi.protocol.client.closing_words import restore_closing_words, restore_name, room_in_closing
from tsudoi.protocol.client.dialect import Dialect, DownForm, Keys
from tsudoi.protocol.client.lines import unmark_further_lines
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.client.templates import template_pattern
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import SERVER_NAME
from tsudoi.protocol.untrusted import parse_json_untrusted


class NoticeKind(Enum):
    """Notices that end a membership, by their names in the dialect `tsudoi`; OTHER is any other notice."""

    CLOSED = "closed"
    TIMED_OUT = "timeout"
    KICKED = "kicked"
    OTHER = ""


@dataclass(slots=True)
class Said:
    """A message of a member."""

    sender: str
    """Empty if the datagram names no sender."""
    text: str
    offset: int | None = None
    """The message's offset in its room; None if the dialect does not send it."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """A notice of the server."""

    kind: NoticeKind
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All keys and values of the datagram, if it is a JSON object; `notice` is the notice's name."""


def parse_down_untrusted(dialect: Dialect, room: str, data: bytes) -> Said | Noticed:
    """Return the message or notice in a datagram to a member of `room`. Invalid UTF-8 becomes U+FFFD.

    In dialects whose notices look like messages, a text is a notice if it matches one of the dialect's templates. In
    RAW and U1, where a member could write such a text, it is a notice only without a sender's name in front.

    Raises:
        MalformedMessage: not a datagram of this dialect.
    """
    match dialect.down.form:
        case DownForm.NATIVE:
            return _native(_object(data))
        case DownForm.SEALED:
            return _message(data) if data.startswith(b"[") else _native(_object(data))
        case DownForm.RAW:
            return _raw(dialect, room, data)
        case DownForm.NAMED:
            raw_notice = _notice(dialect, room, data.decode(errors="replace")) if dialect.notices_raw else None
            return raw_notice or _named(dialect, room, data)
        case DownForm.U1:
            if dialect.notices_raw and (raw_notice := _notice(dialect, room, data.decode(errors="replace"))):
                return raw_notice
            if len(data) < 2 or 2 + data[0] + data[1] > len(data):
                raise MalformedMessage("sizes disagree")
            return _raw(dialect, room, data[2 + data[0] + data[1] :])
        case DownForm.OBJECT:
            if not data.startswith(dialect.down.head):
                raise MalformedMessage("does not begin as the dialect's datagrams")
            return _of_keys(dialect, room, _object(data[len(dialect.down.head) :]))
        case DownForm.WEB:
            raise MalformedMessage("a push is no datagram")


def _native(fields: dict[str, Any]) -> Said | Noticed:
    if "notice" in fields:
        word = _string(fields, "notice")
        kind = next((kind for kind in NoticeKind if kind.value == word), NoticeKind.OTHER)
        return Noticed(kind, _string(fields, "text"), fields)
    offset = fields.get("n")
    if not isinstance(offset, int):
        raise MalformedMessage('"n" is not a number')
    return Said(_string(fields, "from"), _string(fields, "text"), offset)


def _message(data: bytes) -> Said:
    match parse_json_untrusted(data):
        case [int(offset), str(sender), str(text), *_]:
            return Said(sender, text, offset)
    raise MalformedMessage("not a message")


def _of_keys(dialect: Dialect, room: str, fields: dict[str, Any]) -> Said | Noticed:
    style = dialect.down
    if style.closing and _has(fields, style.closing):
        text = _value(fields, style.closing, "{text}")
        return _notice(dialect, room, text) or Noticed(NoticeKind.KICKED, text)
    if style.notice and _has(fields, style.notice):
        return Noticed(NoticeKind.OTHER, _value(fields, style.notice, "{text}"))
    if not _has(fields, style.message):
        raise MalformedMessage("neither a message nor a notice")
    sender, text = (_value(fields, style.message, what) for what in ("{user}", "{text}"))
    return _from_server(dialect, room, sender, text)


def _has(fields: dict[str, Any], keys: Keys) -> bool:
    """Return whether an object has the values that do not change."""
    return all(fields.get(key) == value for key, value in keys if value not in ("{user}", "{text}"))


def _value(fields: dict[str, Any], keys: Keys, what: str) -> str:
    return _string(fields, next(key for key, value in keys if value == what))


def _raw(dialect: Dialect, room: str, data: bytes) -> Said | Noticed:
    if not data:
        raise MalformedMessage("empty")
    text = data.decode(errors="replace")
    separator = dialect.down.separator
    notice = _notice(dialect, room, text, without=separator)
    if notice is not None:
        return notice
    text = restore_closing_words(dialect.down, text)
    sender, found, said = text.partition(separator)
    return _said(sender, said) if found else Said("", text)


def _said(sender: str, text: str) -> Said | Noticed:
    """Return a message, or a notice if the sender is the server: no member can have its name."""
    return Noticed(NoticeKind.OTHER, text) if sender == SERVER_NAME else Said(sender, unmark_further_lines(text))


def _named(dialect: Dialect, room: str, data: bytes) -> Said | Noticed:
    if not data or 1 + data[0] > len(data):
        raise MalformedMessage("sizes disagree")
    sender = restore_name(dialect.down, data[1 : 1 + data[0]].decode(errors="replace"))
    return _from_server(dialect, room, sender, data[1 + data[0] :].decode(errors="replace"))


def _from_server(dialect: Dialect, room: str, sender: str, text: str) -> Said | Noticed:
    notice = _notice(dialect, room, text) if sender == SERVER_NAME else None
    return notice or _said(sender, text)


def _notice(dialect: Dialect, room: str, text: str, without: str = "") -> Noticed | None:
    for kind, known in (
        # tcrp-success has the same words for both: then CLOSED it is.
        (NoticeKind.CLOSED, dialect.closed),
        (NoticeKind.TIMED_OUT, (dialect.timed_out,)),
    ):
        for words in known:
            # The room is known; a placeholder can not contain the separator.
            room_name = _literal(room_in_closing(dialect.down, words, room))
            pattern = template_pattern(words.replace("{room}", room_name), (), without)
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
    Phrase.YOU_BANNED_FOR,
    Phrase.YOU_REMOVED,
    Phrase.YOU_REMOVED_WHY,
    Phrase.YOU_ARE_OUT,
)


def tells_removal(room: str, words: str) -> bool:
    """Return whether words of the server tell a member of `room` that it was removed."""
    return any(
        template_pattern(text.replace("{room}", _literal(room))).fullmatch(words)
        for which in _REMOVALS
        for text in which.words
    )


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _object(raw: bytes) -> dict[str, Any]:
    value = parse_json_untrusted(raw)
    if not isinstance(value, dict):
        raise MalformedMessage("not a JSON object")
    return value


def _string(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise MalformedMessage(f'"{key}" is not a string')
    return value
