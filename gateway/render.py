"""Entries of a room's log as the datagrams that tell of them; PROTOCOL.md, "Told" and "Phrases".

What is told depends on the receiver's style and options, and on whether it is concerned: who did something and to whom
it was done hear of it whatever their listener says about notices.
"""

from typing import Any, NamedTuple

from tsudoi.protocol import names
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client import downlink_encoder, notices
from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase, phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason

FOR_ALL = frozenset({EntryKind.SAID, EntryKind.ACTED, EntryKind.ANNOUNCED})
"""What everybody hears, whatever a listener says about notices."""
FOR_ONE = frozenset({EntryKind.WHISPERED, EntryKind.ANSWERED})
"""What nobody hears but who is concerned."""
COUNTED = frozenset({EntryKind.JOINED, EntryKind.LEFT})
"""What big rooms are told in numbers."""

_LEFT: dict[int, tuple[Phrase, Phrase]] = {
    LeaveReason.IDLE: (Phrase.LEFT_IDLE, Phrase.LEFT_IDLE),
    LeaveReason.KICKED: (Phrase.KICKED, Phrase.KICKED_WHY),
    LeaveReason.BANNED: (Phrase.BANNED, Phrase.BANNED),
    LeaveReason.OPERATOR: (Phrase.REMOVED, Phrase.REMOVED_WHY),
}
"""(without a reason given, with one)"""
_YOU: dict[int, tuple[Phrase, Phrase]] = {
    LeaveReason.KICKED: (Phrase.YOU_KICKED, Phrase.YOU_KICKED_WHY),
    LeaveReason.BANNED: (Phrase.YOU_BANNED, Phrase.YOU_BANNED),
    LeaveReason.OPERATOR: (Phrase.YOU_REMOVED, Phrase.YOU_REMOVED_WHY),
}


class _Event(NamedTuple):
    notice: str
    """As our own clients are told."""
    phrase: Phrase
    values: dict[str, Any]
    """Likewise, and for the phrase."""


def concerned(entry: Entry) -> tuple[int, ...]:
    """Return the ids of the members that hear of an entry in any case, but for what everybody hears."""
    if entry.kind in FOR_ALL:
        return ()
    return (entry.member, entry.peer) if entry.peer and entry.peer != entry.member else (entry.member,)


def hears(entry: Entry, member: int, options: int) -> bool:
    """Say whether a member with this id and options is told of an entry; what it says itself is another question."""
    if entry.kind in FOR_ALL or member in concerned(entry):
        return True
    return entry.kind not in FOR_ONE and bool(options & MemberOptions.NOTICES)


def payload(entry: Entry, room: str, style: DownStyle, options: int, member: int = 0) -> bytes | None:
    """Return the datagram that tells of an entry, None if there is nothing to tell.

    Args:
        entry: what happened.
        room: where.
        style: the receiver's.
        options: likewise.
        member: its id, 0 for all that are not concerned.
    """
    japanese = bool(options & MemberOptions.JAPANESE)
    kind, n = entry.kind, entry.offset
    if kind == EntryKind.SAID:
        return downlink_encoder.encode_message(style, room, n, entry.sender, entry.text)
    if kind == EntryKind.ACTED:
        return notices.encode_action(style, room, n, entry.sender, entry.text)
    if kind == EntryKind.WHISPERED:
        return _whispered(entry, room, style, japanese, member)
    if kind == EntryKind.ANSWERED:
        try:
            which = Phrase(entry.code)
        except ValueError:
            return None  # a newer broker's
        return answer(style, room, which, japanese, entry.text, n)
    event = _event(entry)
    if event is None:
        return None
    return notices.encode_notice(
        style, room, event.notice, {"n": n, **event.values}, phrase(event.phrase, japanese, **event.values)
    )


def answer(style: DownStyle, room: str, which: Phrase, japanese: bool, about: str = "", n: int = 0) -> bytes:
    """Return the datagram with an answer to the member who asked; `n` is its place in the room, 0 for none."""
    values: dict[str, Any] = {"n": n} if n else {}
    words = phrase(which, japanese, arg=about)
    return notices.encode_notice(style, room, "answer", values | {"code": which.code, "arg": about}, words)


def people(style: DownStyle, room: str, options: int, joined: int, left: int) -> bytes:
    """Return the datagram that tells a big room how many have come and gone."""
    which = Phrase.PEOPLE_BOTH if joined and left else Phrase.PEOPLE_JOINED if joined else Phrase.PEOPLE_LEFT
    values = {"joined": joined, "left": left}
    return notices.encode_notice(
        style, room, "people", values, phrase(which, bool(options & MemberOptions.JAPANESE), **values)
    )


def farewell(entry: Entry, room: str, dialect: Dialect, options: int) -> list[bytes]:
    """Return what a member is told that is in its room no more, in its dialect's words; nothing if it went itself."""
    if entry.code == LeaveReason.IDLE:
        text = dialect.timed_out.format(user=entry.sender, room=room)
        return [downlink_encoder.encode_closing(dialect, room, "timeout", text)]
    if entry.code not in _YOU:
        return []
    which = _YOU[_cause(entry)][bool(entry.text)]
    reason = phrase(which, bool(options & MemberOptions.JAPANESE), by=entry.peer_name, room=room, text=entry.text)
    if dialect.down.form is DownForm.NATIVE:
        values = {
            "by": entry.peer_name,
            "reason": entry.text,
            "banned": entry.code == LeaveReason.BANNED,
        }
        return [notices.encode_notice(dialect.down, room, "kicked", values, reason)]
    texts = [template.format(user=entry.sender, room=room, reason=reason) for template in dialect.removed]
    farewells = [downlink_encoder.encode_closing(dialect, room, "kicked", text) for text in texts]
    if not any("{reason}" in template for template in dialect.removed):
        farewells.insert(0, downlink_encoder.encode_message(dialect.down, room, 0, names.SERVER_NAME, reason))
    return farewells


def _whispered(entry: Entry, room: str, style: DownStyle, japanese: bool, member: int) -> bytes:
    values = {"name": entry.sender, "to": entry.peer_name, "said": entry.text}
    if member == entry.peer:
        words = phrase(Phrase.WHISPERED, japanese, text=entry.text)
        if style.form is not DownForm.NATIVE:
            return downlink_encoder.encode_message(style, room, entry.offset, entry.sender, words)
        words = f"{entry.sender}: {words}"
    else:
        words = phrase(Phrase.WHISPER_SENT, japanese, name=entry.peer_name, text=entry.text)
    return notices.encode_notice(style, room, "whispered", {"n": entry.offset, **values}, words)


def _cause(entry: Entry) -> int:
    """Return what words to use for a leaving: a ban by nobody in the room is the operator's."""
    banned_by_nobody = entry.code == LeaveReason.BANNED and not entry.peer_name
    return LeaveReason.OPERATOR if banned_by_nobody else entry.code


def _event(entry: Entry) -> _Event | None:
    """Return what happened in the room."""
    name, by, text = entry.sender, entry.peer_name, entry.text
    match entry.kind:
        case EntryKind.JOINED:
            return _Event("joined", Phrase.JOINED, {"name": name})
        case EntryKind.LEFT:
            without, with_reason = _LEFT.get(_cause(entry), (Phrase.LEFT, Phrase.LEFT))
            values = {"name": name, "reason": _REASONS.get(entry.code, "left"), "by": by, "why": text, "text": text}
            return _Event("left", with_reason if text else without, values)
        case EntryKind.RENAMED:
            return _Event("renamed", Phrase.RENAMED, {"name": name, "to": text, "text": text})
        case EntryKind.TOPIC:
            which = Phrase.TOPIC_SET if text else Phrase.TOPIC_TAKEN_OFF
            return _Event("topic", which, {"name": name, "topic": text, "text": text})
        case EntryKind.HOST:
            return _Event("host", Phrase.HOST_HANDED if by else Phrase.HOST_INHERITED, {"name": name, "by": by})
        case EntryKind.MUTED:
            which = Phrase.MEMBER_MUTED_FOR if entry.code else Phrase.MEMBER_MUTED
            return _Event("muted", which, {"name": name, "by": by, "minutes": entry.code})
        case EntryKind.UNMUTED:
            return _Event("unmuted", Phrase.MEMBER_UNMUTED, {"name": name, "by": by})
        case EntryKind.LOCKED:
            which = Phrase.LOCKED if entry.code else Phrase.UNLOCKED
            return _Event("locked" if entry.code else "unlocked", which, {"name": name})
        case EntryKind.ANNOUNCED:
            return _Event("announced", Phrase.ANNOUNCED, {"said": text, "text": text})
    return None


_REASONS: dict[int, str] = {
    LeaveReason.IDLE: "idle",
    LeaveReason.KICKED: "kicked",
    LeaveReason.BANNED: "banned",
    LeaveReason.OPERATOR: "operator",
}
