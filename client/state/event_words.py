"""The words for what happened in a room, in the user's language: made from an event's values, not from its text.

Where an event has only the server's text, that is shown.
"""

import re
from datetime import datetime

import tsudoi
from tsudoi.protocol.client.dialects import TSUDOI
from tsudoi.protocol.client.phrases import HELP, Phrase, idle_for, phrase
from tsudoi.protocol.client.words import Language, Words

from .. import words
from ..error_words import distrust_in_japanese
from .model import Room

_LEFT = {
    "idle": (Phrase.LEFT_IDLE, Phrase.LEFT_IDLE),
    "kicked": (Phrase.KICKED, Phrase.KICKED_WHY),
    "banned": (Phrase.BANNED, Phrase.BANNED_FOR),
    "operator": (Phrase.REMOVED, Phrase.REMOVED_WHY),
}
_HOST_LEFT = re.compile(re.escape(TSUDOI.closed[0]).replace(re.escape("{user}"), "(?P<name>.+)"))
_NUMBERED = re.compile(r"#\d+$")
_SAY_NO_MORE = ("", TSUDOI.timed_out, "exit!")
"""Closing words that tell nothing beyond the end."""
_ENDS = (
    Phrase.YOU_KICKED_WHY,
    Phrase.YOU_KICKED,
    Phrase.YOU_BANNED_FOR,
    Phrase.YOU_BANNED,
    Phrase.YOU_REMOVED_WHY,
    Phrase.YOU_REMOVED,
    Phrase.YOU_ARE_OUT,
    Phrase.YOU_WERE_SILENT,
    Phrase.ROOM_CLOSED,
    Phrase.HOST_HAS_LEFT,
    Phrase.HOST_HAS_CLOSED,
    Phrase.OPERATOR_HAS_CLOSED,
)
"""What the server says to the clients that it speaks to in phrases."""
_PHRASES = tuple(
    (which, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text))))
    for which in _ENDS
    for text in which.words
)


def notice(event: tsudoi.Event, language: Language) -> str:
    """Return the words for an event that is no member's line."""
    japanese = language == "ja"
    match event:
        case tsudoi.Joined():
            return phrase(Phrase.JOINED, japanese, name=event.name)
        case tsudoi.Left():
            by_operator = event.reason == "banned" and not event.by
            cause = "operator" if by_operator else event.reason
            plain, with_text = _LEFT.get(cause, (Phrase.LEFT, Phrase.LEFT))
            return phrase(with_text if event.why else plain, japanese, by=event.by, name=event.name, text=event.why)
        case tsudoi.PeopleChanged():
            which = Phrase.PEOPLE_BOTH if event.left else Phrase.PEOPLE_JOINED
            which = which if event.joined else Phrase.PEOPLE_LEFT
            return phrase(which, japanese, joined=event.joined, left=event.left)
        case tsudoi.Renamed():
            return phrase(Phrase.RENAMED, japanese, name=event.name, text=event.to)
        case tsudoi.TopicChanged():
            which = Phrase.TOPIC_SET if event.topic else Phrase.TOPIC_TAKEN_OFF
            return phrase(which, japanese, name=event.name, text=event.topic)
        case tsudoi.HostChanged():
            which = Phrase.HOST_HANDED if event.by else Phrase.HOST_INHERITED
            return phrase(which, japanese, name=event.name, by=event.by)
        case tsudoi.Muted():
            which = Phrase.MEMBER_MUTED_FOR if event.minutes else Phrase.MEMBER_MUTED
            return phrase(which, japanese, name=event.name, by=event.by, minutes=event.minutes)
        case tsudoi.Unmuted():
            return phrase(Phrase.MEMBER_UNMUTED, japanese, name=event.name, by=event.by)
        case tsudoi.LockChanged():
            return phrase(Phrase.LOCKED if event.locked else Phrase.UNLOCKED, japanese, name=event.name)
        case tsudoi.Announced():
            return phrase(Phrase.ANNOUNCED, japanese, text=event.said)
        case tsudoi.Answered():
            return _answer(event, japanese)
        case tsudoi.Listed():
            return listed(event, language)
        case tsudoi.Gap(first, last):
            return words.GAP.text(language, count=last - first + 1)
        case tsudoi.Reset():
            return words.RESET.text(language)
        case tsudoi.ServerAway(distrusted=why) if why:
            return words.AWAY_DISTRUSTED.text(language, why=distrust_in_japanese(why) if japanese else why)
        case tsudoi.Rejoined(name):
            return words.REJOINED.text(language, name=name)
        case tsudoi.FirstContact(server, sha256):
            return words.FIRST_CONTACT.text(language, server=server, sha256=sha256)
        case tsudoi.Rerouted(by_tcp):
            return (words.BY_TCP if by_tcp else words.BY_UDP).text(language)
        case tsudoi.ServerBack(missed):
            said = {0: words.BACK, None: words.BACK_UNKNOWN}.get(missed, words.BACK_LOST)
            return said.text(language, count=missed)
        case _:
            return str(getattr(event, "text", ""))


def _answer(event: tsudoi.Answered, japanese: bool) -> str:
    try:
        return phrase(Phrase[event.code.upper().replace("-", "_")], japanese, arg=event.about)
    except KeyError:  # a newer server's answer, or one with more values than the event has
        return event.text


def listed(event: tsudoi.Listed, language: Language) -> str:
    """Return the rows of a list in the user's language; those of unknown lists as the server wrote them."""
    japanese = language == "ja"
    lines = []
    for row in event.rows:
        match row:
            case tsudoi.CommandHelp():
                lines.append(f"{row.usage}  {_does(row, japanese)}")
            case tsudoi.Person():
                which = Phrase.HOST_MEMBER if row.is_host else Phrase.MEMBER
                lines.append(phrase(which, japanese, name=row.name, idle=idle_for(row.idle_s * 1000, japanese)))
            case tsudoi.RoomInfo():
                which = Phrase.LOCKED_ROOM if row.locked else Phrase.ROOM
                lines.append(phrase(which, japanese, name=row.name, members=row.members))
            case tsudoi.Sanction():
                lines.append(_sanction(row, japanese))
            case _:
                return event.text
    has_head = event.text.count("\n") >= len(event.rows)  # in the first of a page's datagrams
    if lines and has_head and event.page < event.pages:
        page = {"page": event.page, "pages": event.pages, "next": event.page + 1}
        lines.insert(0, words.MORE_PAGES.text(language, what=event.what, **page))
    return "\n".join(lines) or event.text


def _does(row: tsudoi.CommandHelp, japanese: bool) -> str:
    known = HELP.get(row.usage.split(" ")[0].removeprefix("/"))
    return known[1 + japanese] if known else row.does


def _sanction(row: tsudoi.Sanction, japanese: bool) -> str:
    who = f"{row.name} ({row.address})" if row.name and row.address else row.name or row.address
    if not row.until_ms:
        return phrase(Phrase.MUTE if row.muted else Phrase.BAN, japanese, who=who)
    until = f"{datetime.fromtimestamp(row.until_ms / 1000).astimezone():%Y-%m-%d %H:%M %Z}"
    return phrase(Phrase.MUTE_UNTIL if row.muted else Phrase.BAN_UNTIL, japanese, who=who, until=until)


def greeting(room: str, me: str, wished: str, is_host: bool, language: Language) -> str:
    """Return the words for a room that was entered; they explain a number that the server has put behind the name."""
    said = (words.OPEN if is_host else words.INSIDE).text(language, room=room, name=me)
    if not wished or me == wished or not _NUMBERED.search(me):
        return said
    return said + words.NAME_TAKEN.text(language, wished=wished, name=me)


def leaving_question(room: Room, language: Language) -> str:
    """Return what to ask before the user leaves a room; nothing if it closes for no other member then."""
    if not room.is_host or room.others == 0:
        return ""
    asked = words.LEAVE_AS_HOST if room.others else words.LEAVE_AS_HOST_UNKNOWN
    return asked.text(language, room=room.name, others=room.others or 0)


def ending(event: tsudoi.RoomClosed | tsudoi.TimedOut | tsudoi.Kicked, room: str, language: Language) -> str:
    """Return the words for the end of a membership; a dialect's own closing words stand behind them in brackets."""
    text = event.text.replace("\n", " ").strip()
    match event:
        case tsudoi.Kicked(by=by, reason=reason, banned=banned) if by or reason:
            if banned:
                which = Phrase.YOU_BANNED_FOR if reason else Phrase.YOU_BANNED
            elif by:
                which = Phrase.YOU_KICKED_WHY if reason else Phrase.YOU_KICKED
            else:
                which = Phrase.YOU_REMOVED_WHY
            return phrase(which, language == "ja", by=by, room=room, text=reason)
        case tsudoi.RoomClosed() if found := _HOST_LEFT.fullmatch(text):
            return words.CLOSED_BY_HOST.text(language, name=found["name"])
        case tsudoi.TimedOut(is_forgotten=True) if language == "ja":
            return f"サーバーに会員情報が残っておらず、{room} に入室し直すこともできませんでした。"
        case tsudoi.TimedOut(is_forgotten=True):
            return f"{text[:1].upper()}{text[1:]}."
    for which, form in _PHRASES:
        if found := form.fullmatch(text):
            return phrase(which, language == "ja", **found.groupdict())
    own: Words = {tsudoi.RoomClosed: words.CLOSED, tsudoi.TimedOut: words.TIMED_OUT}.get(type(event), words.REMOVED)
    said = own.text(language)
    return said if text in _SAY_NO_MORE else f"{said} ({text})"
