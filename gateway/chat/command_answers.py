"""Long answers to commands as datagrams: help, pages of members, rooms and bans, history; PROTOCOL.md, "Commands"."""

from datetime import UTC, datetime
from typing import Any

from tsudoi.protocol.backbone import Banned, Browsed, Entry, Present
from tsudoi.protocol.client import long_answers, slash_commands
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.notices import action_line
from tsudoi.protocol.client.phrases import HELP, Phrase, idle_for, phrase
from tsudoi.protocol.client.slash_commands import HOST_COMMANDS
from tsudoi.protocol.codes import EntryKind

from .members import Member

LONG = slash_commands.Help | slash_commands.Who | slash_commands.Rooms | slash_commands.Bans | slash_commands.History
"""Questions with answers many times their own length."""
Row = tuple[dict[str, Any], str]
"""(values for NATIVE, the line for all other forms)"""


def is_withheld(member: Member, question: object) -> bool:
    """Return whether the answer is long and the member's address unverified: it could be sent to a stranger."""
    return isinstance(question, LONG) and member.sender_state().moved_host


def speaks_japanese(member: Member) -> bool:
    """Return whether a member's listener promised Japanese."""
    return bool(member.options & MemberOptions.JAPANESE)


def page_datagrams(member: Member, answer: Present | Browsed | Banned, page: int, pages: int) -> list[bytes]:
    """Return one page of members, rooms or bans."""
    japanese, rows = speaks_japanese(member), list[Row]()
    match answer:
        case Present():
            notice, key, head = "who", "members", Phrase.MEMBERS
            for name, is_host, idle_ms in answer.members:
                which, idle = Phrase.HOST_MEMBER if is_host else Phrase.MEMBER, idle_for(idle_ms, japanese)
                line = phrase(which, japanese, name=name, idle=idle)
                rows.append(({"name": name, "host": is_host, "idle": idle_ms // 1000}, line))
        case Browsed():
            notice, key, head = "rooms", "rooms", Phrase.ROOMS
            for name, count, locked in answer.rooms:
                line = phrase(Phrase.LOCKED_ROOM if locked else Phrase.ROOM, japanese, name=name, members=count)
                rows.append(({"name": name, "members": count, "locked": locked}, line))
        case _:
            notice, key, head = "bans", "bans", Phrase.BANS if answer.count else Phrase.NO_BANS
            rows = [_ban_row(*each, japanese) for each in answer.sanctions]
    room = member.room.name
    values = {"count": answer.count, "page": page, "pages": pages}
    words = phrase(head, japanese, room=room, **values)
    return long_answers.encode_list(member.dialect.down, room, notice, key, values, words, rows)


def _ban_row(name: str, ip: str, muted: bool, until_ms: int, japanese: bool) -> Row:
    who = f"{name} ({ip})" if name and ip else name or ip
    if until_ms:
        until = f"{utc(until_ms):%Y-%m-%d %H:%M} UTC"
        line = phrase(Phrase.MUTE_UNTIL if muted else Phrase.BAN_UNTIL, japanese, who=who, until=until)
    else:
        line = phrase(Phrase.MUTE if muted else Phrase.BAN, japanese, who=who)
    return {"name": name, "address": ip, "muted": muted, "until": until_ms}, line


def help_datagrams(member: Member) -> list[bytes]:
    """Return the list of commands, and the list of the host's commands."""
    japanese = speaks_japanese(member)
    datagrams = []
    for head, is_host_only in ((Phrase.HELP_ALL, False), (Phrase.HELP_HOST, True)):
        texts = [
            (usage, does[japanese]) for word, (usage, *does) in HELP.items() if (word in HOST_COMMANDS) is is_host_only
        ]
        rows: list[Row] = [({"usage": usage, "does": does}, f"{usage} — {does}") for usage, does in texts]
        style, room = member.dialect.down, member.room.name
        values = {"of": len(HELP)}
        datagrams += long_answers.encode_list(style, room, "help", "commands", values, phrase(head, japanese), rows)
    return datagrams


def history_datagrams(member: Member, messages: list[Entry], before: int) -> list[bytes]:
    """Return the list of these messages of the log; `before`: the position that the question named, or 0."""
    room, japanese = member.room.name, speaks_japanese(member)
    head = phrase(Phrase.HISTORY, japanese, count=len(messages), room=room)
    values = {"before": before} if before else {}
    rows = [_message_row(entry, japanese) for entry in messages]
    return long_answers.encode_list(member.dialect.down, room, "history", "messages", values, head, rows)


def _message_row(entry: Entry, japanese: bool) -> Row:
    time, text = f"{utc(entry.at_ms):%H:%M}", " ".join(entry.text.split("\n"))
    if entry.kind == EntryKind.ACTED:
        return message_fields(entry), f"{time} {action_line(entry.sender, text)}"
    return message_fields(entry), phrase(Phrase.HISTORY_LINE, japanese, time=time, name=entry.sender, text=text)


def message_fields(entry: Entry) -> dict[str, Any]:
    """Return a message of the log as the values of a notice `history`."""
    fields: dict[str, Any] = {"n": entry.offset, "from": entry.sender, "said": entry.text, "at": entry.at_ms}
    return fields | {"acted": True} if entry.kind == EntryKind.ACTED else fields


def utc(at_ms: int) -> datetime:
    """Return a Unix time in milliseconds as a date and time in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
