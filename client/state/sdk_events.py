"""Make the next state from an event of the SDK: what has happened in a room, or on the way to the server."""

from dataclasses import replace
from datetime import datetime

import tsudoi
from tsudoi.protocol.client.slash_commands import HISTORY_SIZE
from tsudoi.protocol.client.words import Language

from .. import words
from . import roster, timeline
from .event_words import ending, notice
from .events import Ask, BannerSeen, Command, Notify, Received, SendLater
from .mentions import mentions
from .model import End, Item, Mark, Note, Room, Speech, SpeechKind, State, Tone
from .typed import OWN_COMMANDS

_OWN = frozenset(f"/{command}" for command in OWN_COMMANDS)
_WAYS_ON = {End.OVER: words.REJOIN, End.CLOSED: words.REOPEN, End.BANNED: words.BANNED}
"""What the user can do after the end of a membership."""


def append(room: Room, item: Item) -> Room:
    """Show a line at the room's end."""
    return replace(room, items=timeline.add(room.items, item))


def end_membership(room: Room, why: str, at: datetime, language: Language, how: End = End.OVER) -> Room:
    """Note why the membership has ended and what the user can do now; the room's lines stay."""
    if room.ended:
        return room
    room = append(room, Note(why, at, tone=Tone.LOUD))
    room = append(room, Note(_WAYS_ON[how].text(language, room=room.name), at))
    room = replace(room, end=how, people=(), count=0)
    return replace(room, banner="", is_banner_bad=False, away_since=None)


def take_sdk_event(state: State, received: Received) -> tuple[State, list[Command]]:
    """Return the state after an event of the SDK, and the commands to carry out."""
    room = state.room(received.room)
    if room is None:
        return state, []
    if isinstance(received.event, tsudoi.ServerAway | tsudoi.ServerBack | tsudoi.Rejoined):
        changed, commands = _take_server(state, room, received)
    else:
        room = _answers_again(room)
        changed, commands = _take(state, replace(room, me=received.me), received)
    rooms = tuple(changed if each.name == changed.name else each for each in state.rooms)
    state = replace(state, rooms=rooms)
    if isinstance(received.event, tsudoi.Listed) and received.event.what == "rooms":
        found = tuple(row.name for row in received.event.rows if isinstance(row, tsudoi.RoomInfo))
        state = replace(state, known_rooms=tuple(dict.fromkeys((*state.known_rooms, *found))))
    return state, commands


def _answers_again(room: Room) -> Room:
    """Take the banner off when the server is heard; one with receipts says itself that it is back."""
    if room.away_since is None or not room.is_banner_bad or room.has_receipts:
        return room
    return replace(room, banner="", is_banner_bad=False, away_since=None)


def _take(state: State, room: Room, received: Received) -> tuple[Room, list[Command]]:
    event, at, language = received.event, received.at, state.language
    room = roster.take(room, event)
    match event:
        case tsudoi.Message() | tsudoi.Emote() | tsudoi.Private():
            return _speech(state, room, event, at)
        case tsudoi.Listed():
            return _listed(room, event, at, language)
        case tsudoi.Earlier():
            return _add_past(room, event.rows, at), []
        case tsudoi.RoomClosed() | tsudoi.TimedOut() | tsudoi.Kicked():
            room = end_membership(room, ending(event, room.name, language), at, language, _kind_of_end(event))
            if state.shown != room.name:  # it is marked, as a line that mentions the user
                room = replace(room, unread=room.unread + 1, mentions=room.mentions + 1)
            return room, []
        case tsudoi.Gap(first, last):
            return append(room, Note(words.GAP.text(language, count=last - first + 1), at, first, Tone.LOUD)), []
        case tsudoi.Reset():
            room = replace(room, items=timeline.forget_positions(room.items), epoch=None)
            return append(room, Note(words.RESET.text(language), at, tone=Tone.LOUD)), []
        case tsudoi.TopicChanged():
            room = replace(room, topic=event.topic)
        case tsudoi.Answered(code="topic-is"):
            room = replace(room, topic=event.about)
        case tsudoi.Answered(code="no-history"):
            shows = room.awaited is not None and room.awaited.by_user
            is_cut = room.is_cut or room.asked_older_at is not None
            room = replace(room, silent=room.silent - {"history"}, asked_older_at=None, has_all=True)
            room = replace(room, awaited=None, is_cut=is_cut)
            if not shows:
                return room, []
        case tsudoi.Answered(code="usage") if room.asked_older_at is not None:
            # A server of version 0.1.0: it gives the last lines alone.
            room = replace(room, silent=room.silent | {"history"}, awaited=None, asked_older_at=None, has_all=True)
            return room, [Ask(room.name, f"/history {HISTORY_SIZE}")]
        case tsudoi.Answered(code="usage" | "unknown-command" | "moved-away"):
            room = replace(room, awaited=None)
    tone = Tone.LOUD if isinstance(event, tsudoi.Announced) else Tone.QUIET
    text = notice(event, language)
    commands = _ask_for_people(room) if isinstance(event, tsudoi.PeopleChanged) else []
    if not text or roster.passes_unnoticed(room, event):
        return room, commands
    if isinstance(event, tsudoi.Notice) and _ends_with(room, text):
        return room, commands  # a session that resumes is told again that the server can not reach its room
    return append(room, Note(text, at, getattr(event, "offset", None), tone)), commands


def _ask_for_people(room: Room) -> list[Command]:
    return [Ask(room.name, "/who 1")] if room.may_ask else []


def _kind_of_end(event: tsudoi.RoomClosed | tsudoi.TimedOut | tsudoi.Kicked) -> End:
    match event:
        case tsudoi.RoomClosed():
            return End.CLOSED
        case tsudoi.Kicked(banned=True):
            return End.BANNED
    return End.OVER


def _speech(
    state: State, room: Room, event: tsudoi.Message | tsudoi.Emote | tsudoi.Private, at: datetime
) -> tuple[Room, list[Command]]:
    is_own = event.sender == room.me
    kind, to = SpeechKind.SAID, ""
    if isinstance(event, tsudoi.Emote):
        kind = SpeechKind.ACTED
    elif isinstance(event, tsudoi.Private):
        kind, to = SpeechKind.WHISPERED, event.to
    is_mention = not is_own and (kind is SpeechKind.WHISPERED or mentions(event.text, room.me))
    mark = Mark.KEPT if is_own else Mark.NONE
    line = Speech(event.sender, event.text, at, event.offset, kind, to, mark, is_mention=is_mention)
    before = room.items
    room = append(room, line)
    if is_own or room.items is before:
        return room, []
    is_seen = state.shown == room.name and state.has_focus is not False
    if not is_seen:
        room = replace(
            room,
            unread=room.unread + 1,
            mentions=room.mentions + is_mention,
            first_unread=room.first_unread if room.unread else line,
        )
    if not is_mention or (is_seen and state.has_focus):
        return room, []
    title = words.TALKS_TO_YOU.text(state.language, name=event.sender, room=room.name)
    return room, [Notify(title, event.text, state.has_focus is False)]


def _listed(room: Room, event: tsudoi.Listed, at: datetime, language: Language) -> tuple[Room, list[Command]]:
    shows = event.what not in room.silent
    commands: list[Command] = []
    if event.what == "who":
        room, page = roster.take_page(room, event)
        if page and not shows:
            commands.append(Ask(room.name, f"/who {page}"))
        if room.listing.is_whole and not page:
            room = replace(room, silent=room.silent - {"who"})
    elif event.what == "history":
        awaited = room.awaited
        room = _take_part(_add_past(room, event.rows, at), event)
        room = replace(room, silent=room.silent - {"history"}, asked_older_at=None)
        if awaited is not None and awaited.by_user and room.awaited is None:
            room = append(room, Note(words.OLD_LINES_SHOWN.text(language), at))
        return room, []
    if not shows:
        return room, commands
    for text in notice(event, language).split("\n"):
        if not (event.what == "help" and text.split(" ")[0] in _OWN):  # listed above, with the keys
            room = append(room, Note(text, at, tone=Tone.TABLE))
    return room, commands


def _take_part(room: Room, event: tsudoi.Listed) -> Room:
    """Note which of the awaited lines have come; a server that does not say how many there are is taken at once."""
    if room.awaited is None:
        return room
    offsets = room.awaited.offsets | {row.offset for row in event.rows if isinstance(row, tsudoi.Past)}
    is_whole = len(offsets) >= event.count
    return replace(room, awaited=None if is_whole else replace(room.awaited, offsets=offsets))


def _add_past(room: Room, rows: tuple[tsudoi.events.Row, ...], at: datetime) -> Room:
    past = [
        Speech(
            row.sender,
            row.text,
            datetime.fromtimestamp(row.at_ms / 1000, at.tzinfo),
            row.offset,
            SpeechKind.ACTED if row.acted else SpeechKind.SAID,
            mark=Mark.KEPT if row.sender == room.me else Mark.NONE,
            is_mention=row.sender != room.me and mentions(row.text, room.me),
        )
        for row in rows
        if isinstance(row, tsudoi.Past)
    ]
    return replace(room, items=timeline.add_past(room.items, past))


def _take_server(state: State, room: Room, received: Received) -> tuple[Room, list[Command]]:
    language = state.language
    if isinstance(received.event, tsudoi.Rejoined):
        note = Note(notice(received.event, language), received.at, tone=Tone.LOUD)
        room = replace(append(room, note), me=received.me, epoch=None, banner="", is_banner_bad=False, away_since=None)
        return room, _ask_for_people(room)
    if isinstance(received.event, tsudoi.ServerAway) and received.event.distrusted:
        room = append(room, Note(notice(received.event, language), received.at, tone=Tone.LOUD))
    if not isinstance(received.event, tsudoi.ServerBack):
        since = room.away_since or received.at
        text = (words.AWAY if room.has_receipts else words.AWAY_LOSSY).text(language, time=since.strftime("%H:%M"))
        return replace(room, banner=text, is_banner_bad=True, away_since=since), []
    text = notice(received.event, language)
    if received.event.missed != 0:  # the banner goes, and what is lost stays lost
        room = append(room, Note(text, received.at, tone=Tone.LOUD))
    room = replace(room, banner=text, is_banner_bad=False, away_since=None)
    return room, [SendLater(BannerSeen(room.name))]


def _ends_with(room: Room, text: str) -> bool:
    """Return whether this is the last that was shown, but for loud notes: after a restore one says what is lost."""
    quiet = (item for item in reversed(room.items) if not (isinstance(item, Note) and item.tone is Tone.LOUD))
    return isinstance(last := next(quiet, None), Note) and last.text == text
