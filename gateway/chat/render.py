"""Encode entries of a room's log as datagrams, in the form of the receiver's dialect and the language of its options.

PROTOCOL.md, "Told" and "Phrases", lists them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from tsudoi.protocol import names
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client import downlink_encoder, notices
from tsudoi.protocol.client.closing_words import closing_text
from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase, phrase, unpack_arguments
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.sealed.lines import SaidArray, member_number, serialize_said, with_cause
from tsudoi.protocol.web import replies

_SAID, _WEB, _SEALED = int(EntryKind.SAID), DownForm.WEB, DownForm.SEALED
"""Plain names: to look up an enum's member takes 0.1 µs, and they are compared for each message."""
_LEFT: dict[int, tuple[Phrase, Phrase]] = {
    LeaveReason.IDLE: (Phrase.LEFT_IDLE, Phrase.LEFT_IDLE),
    LeaveReason.KICKED: (Phrase.KICKED, Phrase.KICKED_WHY),
    LeaveReason.BANNED: (Phrase.BANNED, Phrase.BANNED_FOR),
    LeaveReason.OPERATOR: (Phrase.REMOVED, Phrase.REMOVED_WHY),
    LeaveReason.REJOINED: (Phrase.LEFT, Phrase.LEFT),
}
"""(without a text, with one). For other reasons: the member left by itself. The text of a host's ban is its minutes."""
_REASONS = {int(reason): LeaveReason(reason).name.lower() for reason in _LEFT}
_YOU: dict[int, tuple[Phrase, Phrase]] = {
    LeaveReason.KICKED: (Phrase.YOU_KICKED, Phrase.YOU_KICKED_WHY),
    LeaveReason.BANNED: (Phrase.YOU_BANNED, Phrase.YOU_BANNED_FOR),
    LeaveReason.OPERATOR: (Phrase.YOU_REMOVED, Phrase.YOU_REMOVED_WHY),
}
_CLOSED = {
    int(LeaveReason.HOST_LEFT): Phrase.HOST_HAS_LEFT,
    int(LeaveReason.HOST_IDLE): Phrase.HOST_HAS_LEFT,
    int(LeaveReason.HOST_CLOSED): Phrase.HOST_HAS_CLOSED,
    int(LeaveReason.OPERATOR): Phrase.OPERATOR_HAS_CLOSED,
}

_DONE_TO = {int(kind) for kind in (EntryKind.LEFT, EntryKind.HOST, EntryKind.MUTED, EntryKind.UNMUTED)}
"""Entries that are about the member to which another one, `peer`, has done something."""

_PRESENCE = {int(EntryKind.JOINED): "join", int(EntryKind.LEFT): "leave"}


_Event = tuple[str, Phrase, dict[str, Any]]
"""(the notice for NATIVE, the phrase for other forms, the values of both)"""


def payload(entry: Entry, room: str, style: DownStyle, options: int, member: int = 0) -> bytes | None:
    """Return the datagram for an entry; None for a newer broker's entry that this version does not know.

    `style` and `options` are the receiver's; `member` is its id, 0 for any member that the entry does not concern.
    """
    kind, n = entry.kind, entry.offset
    if kind == _SAID:
        return messages((entry,), room, style)[0]
    if style.form is _WEB:
        return web_publication(entry, room, options, member)
    if style.form is _SEALED:
        encoded = payload(entry, room, downlink_encoder.NATIVE, options, member)
        giver = entry.peer if kind in _DONE_TO else entry.member
        return with_cause(encoded, giver, entry.number) if encoded and entry.number and giver else encoded
    japanese = bool(options & MemberOptions.JAPANESE)
    if kind == EntryKind.ACTED:
        return notices.encode_action(style, room, n, entry.sender, entry.text)
    if kind == EntryKind.WHISPERED:
        return _whispered(entry, room, style, japanese, member)
    if kind == EntryKind.ANSWERED:
        try:
            which = Phrase(entry.code)
        except ValueError:
            return None
        return answer(style, room, which, japanese, entry.text, n)
    if kind == EntryKind.LEFT and entry.code == LeaveReason.REJOINED and style.form is not DownForm.NATIVE:
        return None  # the member's new name says it: alice#2 is alice
    event = _event(entry)
    if event is None:
        return None
    notice, which, values = event
    return notices.encode_notice(style, room, notice, {"n": n, **values}, phrase(which, japanese, **values))


def messages(entries: Sequence[Entry], room: str, style: DownStyle) -> list[bytes]:
    """Return the datagrams, lines or pushes for entries of the kind SAID: faster than `payload`."""
    if style.form is _SEALED:
        return _sealed_messages(entries)
    if style.form is _WEB:
        return [web_publication(entry, room, 0) or b"" for entry in entries]
    return [downlink_encoder.encode_message(style, room, entry.offset, entry.sender, entry.text) for entry in entries]


def _sealed_messages(entries: Sequence[Entry]) -> list[bytes]:
    """Return consecutive messages as lines of version 2, in short those that follow on the same sender's.

    They are not cut: a body may have more bytes than a datagram.
    """
    arrays: list[SaidArray] = []
    member, sender, number = -1, "", 0
    for entry in entries:
        if entry.member == member and entry.code == number and entry.sender == sender:
            arrays.append((entry.text,))
        else:
            member, sender, number = entry.member, entry.sender, entry.code
            if number:
                arrays.append((entry.offset, sender, entry.text, member_number(member), number))
            else:
                arrays.append((entry.offset, sender, entry.text))
        number = number and number + 1
    return serialize_said(arrays)


def web_publication(entry: Entry, room: str, options: int, member: int = 0) -> bytes | None:
    """Return the push of an entry, to a joined or left one also that of the presence; None as `payload`."""
    found = publication(entry, room, options, member)
    if found is None:
        return None
    pushed = replies.push(room, "pub", found)
    if (presence := _PRESENCE.get(entry.kind)) is not None:
        pushed += b"\n" + replies.presence(room, presence, entry.sender)
    return pushed


def publication(entry: Entry, room: str, options: int, member: int) -> replies.Publication | None:
    """Return an entry as a member by WebSocket gets it; None as `payload`."""
    if entry.kind == EntryKind.SAID:
        said: dict[str, Any] = {"n": entry.offset, "from": entry.sender, "text": entry.text}
        if entry.code:
            said["number"] = entry.code
        data: bytes | None = msgspec.json.encode(said)
    else:
        data = payload(entry, room, downlink_encoder.NATIVE, options, member)
    return None if data is None else replies.Publication(msgspec.Raw(data), entry.offset, entry.at_ms)


def answer(style: DownStyle, room: str, which: Phrase, japanese: bool, about: str = "", n: int = 0) -> bytes:
    """Return the datagram with an answer to a command; `n` is its offset in the room, 0 for none."""
    values: dict[str, Any] = {"n": n} if n else {}
    # A name in quotes may have line feeds, and a line of its own would look like another answer.
    arguments = unpack_arguments(about.replace("\n", " "))
    # An entry from before an upgrade may have fewer arguments than its phrase has now.
    defaults: dict[str, str | int] = {"address": "-", "others": 0}
    words = phrase(which, japanese, **(defaults | arguments))
    return notices.encode_notice(style, room, "answer", values | {"code": which.code} | arguments, words)


def people(style: DownStyle, room: str, options: int, joined: int, left: int) -> bytes:
    """Return the datagram with the numbers of members that have joined and left a big room."""
    which = Phrase.PEOPLE_BOTH if joined and left else Phrase.PEOPLE_JOINED if joined else Phrase.PEOPLE_LEFT
    values, japanese = {"joined": joined, "left": left}, bool(options & MemberOptions.JAPANESE)
    return notices.encode_notice(style, room, "people", values, phrase(which, japanese, **values))


def farewell(entry: Entry, room: str, dialect: Dialect, options: int) -> list[bytes]:
    """Return the datagrams that tell a member why it was removed from its room; none if it left by itself."""
    if entry.code == LeaveReason.IDLE:
        text = closing_text(dialect, dialect.timed_out, room, entry.sender)
        return [downlink_encoder.encode_closing(dialect, room, "timeout", text)]
    if entry.code not in _YOU:
        return []
    reason = why_removed(entry, room, options)
    if dialect.down.form is DownForm.NATIVE:
        values = {"by": entry.peer_name, "reason": entry.text, "banned": entry.code == LeaveReason.BANNED}
        return [notices.encode_notice(dialect.down, room, "kicked", values, reason)]
    return _removed(dialect, room, entry.sender, reason)


def why_removed(entry: Entry, room: str, options: int) -> str:
    """Return the words that tell a member why it was removed; empty if it left by itself."""
    japanese = bool(options & MemberOptions.JAPANESE)
    if entry.code == LeaveReason.IDLE:
        return phrase(Phrase.YOU_WERE_SILENT, japanese, room=room)
    if entry.code not in _YOU:
        return ""
    which = _YOU[_cause(entry)][bool(entry.text)]
    return phrase(which, japanese, by=entry.peer_name, room=room, text=entry.text)


def why_closed(entry: Entry | None, options: int) -> str:
    """Return the words that tell a member without a dialect's closing words why its room is closed."""
    which = _CLOSED.get(entry.code, Phrase.ROOM_CLOSED) if entry else Phrase.ROOM_CLOSED
    return phrase(which, bool(options & MemberOptions.JAPANESE), name=entry.sender if entry else "")


def lost_membership(room: str, dialect: Dialect, options: int) -> list[bytes]:
    """Return the datagrams that tell a member that it is no member any more, for reasons that are lost."""
    reason = phrase(Phrase.YOU_ARE_OUT, bool(options & MemberOptions.JAPANESE), room=room)
    if dialect.down.form is DownForm.NATIVE:
        return [downlink_encoder.encode_closing(dialect, room, "timeout", reason)]
    return _removed(dialect, room, "", reason)


def _removed(dialect: Dialect, room: str, user: str, reason: str) -> list[bytes]:
    texts = [closing_text(dialect, template, room, user, reason) for template in dialect.removed]
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
    """Return the reason for leaving whose words are used: a ban without a member's name is the operator's."""
    by_operator = entry.code == LeaveReason.BANNED and not entry.peer_name
    return LeaveReason.OPERATOR if by_operator else entry.code


def _event(entry: Entry) -> _Event | None:
    """Return a room event in words and values; None: a kind that this version does not know."""
    name, by, text = entry.sender, entry.peer_name, entry.text
    match entry.kind:
        case EntryKind.JOINED:
            return "joined", Phrase.JOINED, {"name": name}
        case EntryKind.LEFT:
            without, with_reason = _LEFT.get(_cause(entry), (Phrase.LEFT, Phrase.LEFT))
            values = {"name": name, "reason": _REASONS.get(entry.code, "left"), "by": by, "why": text, "text": text}
            return "left", with_reason if text else without, values
        case EntryKind.RENAMED:
            return "renamed", Phrase.RENAMED, {"name": name, "to": text, "text": text}
        case EntryKind.TOPIC:
            which = Phrase.TOPIC_SET if text else Phrase.TOPIC_TAKEN_OFF
            return "topic", which, {"name": name, "topic": text, "text": text}
        case EntryKind.HOST:
            return "host", Phrase.HOST_HANDED if by else Phrase.HOST_INHERITED, {"name": name, "by": by}
        case EntryKind.MUTED:
            which = Phrase.MEMBER_MUTED_FOR if entry.code else Phrase.MEMBER_MUTED
            return "muted", which, {"name": name, "by": by, "minutes": entry.code}
        case EntryKind.UNMUTED:
            return "unmuted", Phrase.MEMBER_UNMUTED, {"name": name, "by": by}
        case EntryKind.LOCKED:
            which = Phrase.LOCKED if entry.code else Phrase.UNLOCKED
            return "locked" if entry.code else "unlocked", which, {"name": name}
        case EntryKind.ANNOUNCED:
            return "announced", Phrase.ANNOUNCED, {"said": text, "text": text}
    return None
