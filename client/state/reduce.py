"""Make the next state from an event; say what is to be done about it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import tsudoi
from tsudoi.protocol.client.words import Language

from .. import words
from . import roster, timeline
from .event_words import ending, greeting, notice
from .events import (
    AnswerDue,
    Ask,
    Asked,
    BannerSeen,
    CheckAnswerLater,
    Closed,
    Command,
    Ended,
    Entered,
    Event,
    FocusChanged,
    Heard,
    HideBannerLater,
    LineKept,
    LineLost,
    LineRefused,
    LookedAway,
    Notify,
    PanelToggled,
    Posted,
    ScrolledToTop,
    Shown,
    Told,
)
from .mentions import mentions
from .model import MAX_ITEMS, Awaited, End, Item, Mark, Note, Room, Speech, SpeechKind, State, Tone
from .timeline import Items
from .typed import OWN_COMMANDS

FIRST_HISTORY = 20
"""Lines from before that are shown in a room that was just entered."""
OLDER = 50
"""Lines that are loaded at once by scrolling: the most that a server gives (PROTOCOL.md, "Commands")."""
ASK_AGAIN = timedelta(seconds=2)
"""After which older lines may be asked for again: the answer may be lost."""
TRIES = 4
"""How often lines from before are asked for until all have come."""
_OWN = frozenset(f"/{command}" for command in OWN_COMMANDS)
_WAYS_ON = {End.OVER: words.REJOIN, End.CLOSED: words.REOPEN, End.BANNED: words.BANNED}
"""What the user can do after the end of a membership."""

Result = tuple[State, list[Command]]


def reduce(state: State, event: Event) -> Result:
    """Return the state after an event, and the commands to carry out."""
    match event:
        case Entered():
            return _entered(state, event)
        case Heard():
            return _heard(state, event)
        case Posted():
            mark = Mark.WAITING if event.has_receipt else Mark.SENT
            room = state.room(event.room)
            me = room.me if room else ""
            line = Speech(me, event.text, event.at, None, event.kind, event.to, mark, event.number)
            # Who answers has seen what is new.
            return _change(state, event.room, lambda room: replace(_read(_append(room, line)), first_unread=None))
        case LineKept(room, number, offset, at):
            return _change(state, room, lambda room: replace(room, items=timeline.keep(room.items, number, offset, at)))
        case LineRefused(room, number, why):
            return _change(state, room, lambda room: _mark(room, number, Mark.REFUSED, why))
        case LineLost(room, number):
            return _change(state, room, lambda room: _mark(room, number, Mark.UNKNOWN))
        case Told(text, at, room, tone):
            note = Note(text, at, tone=tone)
            return _change(state, room or state.shown, lambda room: _append(room, note))
        case Ended(name, why, at):
            return _change(state, name, lambda room: _end(room, why, at, state.language))
        case Closed(name):
            return _closed(state, name), []
        case Shown(name):
            return _change(replace(state, shown=name), name, _read)
        case LookedAway(name, draft):  # what is new there has been seen
            return _change(state, name, lambda room: replace(room, draft=draft, first_unread=None))
        case FocusChanged(has_focus):
            state = replace(state, has_focus=has_focus)
            return _change(state, state.shown, _read) if has_focus else (state, [])
        case BannerSeen(name):
            return _change(state, name, lambda room: room if room.is_banner_bad else replace(room, banner=""))
        case Asked():
            return _asked(state, event)
        case AnswerDue(name, line):
            return _answer_due(state, name, line)
        case ScrolledToTop(name, at):
            return _load_older(state, name, at)
        case PanelToggled(panel, is_visible):
            panels = replace(state.panels, **{panel: not is_visible})
            return replace(state, panels=panels), []


def _change(state: State, name: str, change: Callable[[Room], Room]) -> Result:
    """Change one room; nothing if it has been closed meanwhile."""
    rooms = tuple(change(room) if room.name == name else room for room in state.rooms)
    return replace(state, rooms=rooms), []


def _entered(state: State, event: Entered) -> Result:
    note = Note(greeting(event.room, event.me, event.wished, event.is_host, state.language), event.at)
    entering = words.ENTERING.text(state.language, room=event.room)
    state = replace(state, rooms=tuple(_without_note(room, entering) for room in state.rooms))
    old = state.room(event.room)
    room = Room(
        event.room,
        event.me,
        items=_items_before(old, event) if old else (),
        epoch=event.position and event.position[0],
        echoes=event.echoes,
        has_receipts=event.has_receipts,
        draft=old.draft if old else "",
    )
    room = _append(room, note)
    if event.is_host:
        room = roster.make_host(replace(room, count=1), event.me)
    rooms = tuple(room if each.name == event.room else each for each in state.rooms)
    state = replace(state, rooms=rooms if old else (*rooms, room), shown=event.room)
    if not event.answers_with_values:
        return state, []
    commands: list[Command] = [Ask(event.room, "/who 1")]
    if not event.is_host:
        before = "" if event.position is None else f" {event.position[1] + 1}"
        commands.append(Ask(event.room, f"/history {FIRST_HISTORY}{before}"))
    return state, commands


def _without_note(room: Room, text: str) -> Room:
    kept = tuple(item for item in room.items if not (isinstance(item, Note) and item.text == text))
    return room if len(kept) == len(room.items) else replace(room, items=kept)


def _items_before(old: Room, event: Entered) -> Items:
    """Return the items of a room that is entered again; without positions if it is another room of the same name.

    That one counts from 1 again: its lines would be taken for those that are here already.
    """
    if event.position is not None and old.epoch is not None:
        is_other = event.position[0] != old.epoch
    else:
        is_other = old.end is End.CLOSED or event.is_host
    return timeline.forget_positions(old.items) if is_other else old.items


def _closed(state: State, name: str) -> State:
    at = next((at for at, room in enumerate(state.rooms) if room.name == name), 0)
    rooms = tuple(room for room in state.rooms if room.name != name)
    shown = state.shown
    if shown == name:
        shown = rooms[min(at, len(rooms) - 1)].name if rooms else ""
    return _change(replace(state, rooms=rooms, shown=shown), shown, _read)[0]


def _read(room: Room) -> Room:
    return replace(room, unread=0, mentions=0)


def _mark(room: Room, number: int, mark: Mark, why: str = "") -> Room:
    return replace(room, items=timeline.mark(room.items, number, mark, why))


def _append(room: Room, item: Item) -> Room:
    return replace(room, items=timeline.add(room.items, item))


def _ends_with(room: Room, text: str) -> bool:
    """Return whether this is the last that was shown, but for loud notes: after a restore one says what is lost."""
    quiet = (item for item in reversed(room.items) if not (isinstance(item, Note) and item.tone is Tone.LOUD))
    return isinstance(last := next(quiet, None), Note) and last.text == text


def _end(room: Room, why: str, at: datetime, language: Language, end: End = End.OVER) -> Room:
    if room.ended:
        return room
    room = _append(room, Note(why, at, tone=Tone.LOUD))
    room = _append(room, Note(_WAYS_ON[end].text(language, room=room.name), at))
    room = replace(room, end=end, people=(), count=0)
    return replace(room, banner="", is_banner_bad=False, away_since=None)


def _load_older(state: State, name: str, at: datetime) -> Result:
    room = state.room(name)
    if room is None or room.ended or room.has_all or (before := timeline.oldest(room.items)) is None:
        return state, []
    if room.asked_older_at is not None and at < room.asked_older_at + ASK_AGAIN:
        return state, []
    if len(room.items) >= MAX_ITEMS:
        return _change(state, name, lambda room: replace(room, has_all=True, is_cut=True))
    state, _ = _change(state, name, lambda room: replace(room, asked_older_at=at))
    return state, [Ask(name, f"/history {OLDER} {before}")]


def _asked(state: State, asked: Asked) -> Result:
    def change(room: Room) -> Room:
        room = replace(room, silent=room.silent - {asked.what} if asked.by_user else room.silent | {asked.what})
        if asked.what != "history" or not asked.line:
            return room
        if not asked.by_user and room.awaited is not None and room.awaited.line == asked.line:  # asked again
            # The last lines may be others by now; those before a position stay what they are.
            is_same = len(asked.line.split()) > 2
            return room if is_same else replace(room, awaited=replace(room.awaited, offsets=frozenset()))
        return replace(room, awaited=Awaited(asked.line, asked.by_user))

    state, commands = _change(state, asked.room, change)
    if asked.what == "history" and asked.line:
        commands.append(CheckAnswerLater(asked.room, asked.line))
    return state, commands


def _answer_due(state: State, name: str, line: str) -> Result:
    """Ask for old lines again if a part of them has not come; say so if that was in vain."""
    room = state.room(name)
    if room is None or room.ended or room.awaited is None or room.awaited.line != line:
        return state, []
    if room.is_banner_bad:  # the question waits too
        return state, [CheckAnswerLater(name, line)]
    if room.awaited.tries < TRIES:
        awaited = replace(room.awaited, tries=room.awaited.tries + 1)
        return _change(state, name, lambda room: replace(room, awaited=awaited))[0], [Ask(name, line)]
    # The time is that of the last line: this is no event of the server's.
    at = room.items[-1].at
    note = Note(words.OLD_LINES_MISSING.text(state.language, line=line), at, tone=Tone.LOUD)
    return _change(state, name, lambda room: replace(_append(room, note), awaited=None))


# --- the SDK's events ---


def _heard(state: State, heard: Heard) -> Result:
    room = state.room(heard.room)
    if room is None:
        return state, []
    if isinstance(heard.event, tsudoi.ServerAway | tsudoi.ServerBack | tsudoi.Rejoined):
        changed, commands = _server(state, room, heard)
    else:
        room = _answers_again(room)
        changed, commands = _take(state, replace(room, me=heard.me), heard)
    rooms = tuple(changed if each.name == changed.name else each for each in state.rooms)
    state = replace(state, rooms=rooms)
    if isinstance(heard.event, tsudoi.Listed) and heard.event.what == "rooms":
        found = tuple(row.name for row in heard.event.rows if isinstance(row, tsudoi.RoomInfo))
        state = replace(state, known_rooms=tuple(dict.fromkeys((*state.known_rooms, *found))))
    return state, commands


def _answers_again(room: Room) -> Room:
    """Take the banner off when the server is heard; one with receipts says itself that it is back."""
    if room.away_since is None or not room.is_banner_bad or room.has_receipts:
        return room
    return replace(room, banner="", is_banner_bad=False, away_since=None)


def _take(state: State, room: Room, heard: Heard) -> tuple[Room, list[Command]]:
    event, at, language = heard.event, heard.at, state.language
    match event:
        case tsudoi.Message() | tsudoi.Emote() | tsudoi.Private():
            return _speech(state, room, event, at)
        case tsudoi.Listed():
            return _listed(room, event, at, language)
        case tsudoi.Earlier():
            return _add_past(room, event.rows, at), []
        case tsudoi.RoomClosed() | tsudoi.TimedOut() | tsudoi.Kicked():
            room = _end(room, ending(event, room.name, language), at, language, _kind_of_end(event))
            if state.shown != room.name:  # it is marked, as a line that mentions the user
                room = replace(room, unread=room.unread + 1, mentions=room.mentions + 1)
            return room, []
        case tsudoi.Gap(first, last):
            return _append(room, Note(words.GAP.text(language, count=last - first + 1), at, first, Tone.LOUD)), []
        case tsudoi.Reset():
            room = replace(room, items=timeline.forget_positions(room.items), epoch=None)
            return _append(room, Note(words.RESET.text(language), at, tone=Tone.LOUD)), []
        case tsudoi.Joined():
            room = roster.join(room, event.name)
        case tsudoi.Left(reason=reason) if reason != "rejoined":
            room = roster.leave(room, event.name)
        case tsudoi.Renamed():
            room = roster.rename(room, event.name, event.to)
        case tsudoi.HostChanged():
            room = roster.make_host(room, event.name)
        case tsudoi.TopicChanged():
            room = replace(room, topic=event.topic)
        case tsudoi.Answered(code="topic-is"):
            room = replace(room, topic=event.about)
        case tsudoi.Answered(code="no-history"):
            shows, is_older = "history" not in room.silent, room.asked_older_at is not None
            room = replace(room, silent=room.silent - {"history"}, asked_older_at=None, has_all=True, is_cut=is_older)
            room = replace(room, awaited=None)
            if not shows:
                return room, []
        case tsudoi.Answered(code="usage") if room.asked_older_at is not None:
            # A server of version 0.1.0: it gives the last lines alone.
            room = replace(room, silent=room.silent | {"history"}, awaited=None, asked_older_at=None, has_all=True)
            return room, [Ask(room.name, f"/history {OLDER}")]
        case tsudoi.Answered(code="usage" | "unknown-command" | "moved-away"):
            room = replace(room, awaited=None)
    tone = Tone.LOUD if isinstance(event, tsudoi.Announced) else Tone.QUIET
    text = notice(event, language)
    commands: list[Command] = [Ask(room.name, "/who 1")] if isinstance(event, tsudoi.PeopleChanged) else []
    if not text or roster.passes_unnoticed(room, event):
        return room, commands
    if isinstance(event, tsudoi.Notice) and _ends_with(room, text):
        return room, commands  # a session that resumes is told again that the server can not reach its room
    return _append(room, Note(text, at, getattr(event, "offset", None), tone)), commands


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
    room = _append(room, line)
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
        if not page and not shows and room.listing.rows >= len(event.rows):
            room = replace(room, silent=room.silent - {"who"} if _is_last(event) else room.silent)
    elif event.what == "history":
        awaited = room.awaited
        room = _take_part(_add_past(room, event.rows, at), event)
        room = replace(room, silent=room.silent - {"history"}, asked_older_at=None)
        if awaited is not None and awaited.by_user and room.awaited is None:
            room = _append(room, Note(words.OLD_LINES_SHOWN.text(language), at))
        return room, []
    if not shows:
        return room, commands
    for text in notice(event, language).split("\n"):
        if not (event.what == "help" and text.split(" ")[0] in _OWN):  # listed above, with the keys
            room = _append(room, Note(text, at, tone=Tone.TABLE))
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


def _is_last(event: tsudoi.Listed) -> bool:
    return event.page >= min(event.pages, roster.MAX_PAGES)


def _server(state: State, room: Room, heard: Heard) -> tuple[Room, list[Command]]:
    language = state.language
    if isinstance(heard.event, tsudoi.Rejoined):
        note = Note(notice(heard.event, language), heard.at, tone=Tone.LOUD)
        room = replace(_append(room, note), me=heard.me, epoch=None, banner="", is_banner_bad=False, away_since=None)
        return room, [Ask(room.name, "/who 1")]
    if isinstance(heard.event, tsudoi.ServerAway) and heard.event.distrusted:
        room = _append(room, Note(notice(heard.event, language), heard.at, tone=Tone.LOUD))
    if not isinstance(heard.event, tsudoi.ServerBack):
        since = room.away_since or heard.at
        text = (words.AWAY if room.has_receipts else words.AWAY_LOSSY).text(language, time=since.strftime("%H:%M"))
        return replace(room, banner=text, is_banner_bad=True, away_since=since), []
    missed = heard.event.missed
    said = {0: words.BACK, None: words.BACK_UNKNOWN}.get(missed, words.BACK_LOST)
    text = said.text(language, count=missed)
    room = _append(room, Note(text, heard.at, tone=Tone.QUIET if missed == 0 else Tone.LOUD))
    room = replace(room, banner=text, is_banner_bad=False, away_since=None)
    return room, [HideBannerLater(room.name)]
