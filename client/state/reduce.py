"""Make the next state from an event, and say what is to be done about it; `sdk_events.py` takes the SDK's events."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from tsudoi.protocol.client.slash_commands import HISTORY_SIZE

from .. import words
from . import roster, timeline
from .event_words import greeting
from .events import (
    AnswerDue,
    Ask,
    Asked,
    BannerSeen,
    Closed,
    Command,
    Ended,
    Entered,
    Event,
    FocusChanged,
    LookedAway,
    Notified,
    PanelToggled,
    Posted,
    Received,
    ScrolledToTop,
    Searched,
    SendLater,
    Settled,
    Shown,
    Taken,
)
from .items import Items
from .model import MAX_ITEMS, Awaited, End, Mark, Note, Room, Speech, State, Tone
from .sdk_events import append, end_membership, take_sdk_event
from .search import search

FIRST_HISTORY = 20
"""Lines from before that are shown in a room that was just entered."""
ASK_AGAIN = timedelta(seconds=2)
"""After which older lines may be asked for again: the answer may be lost."""
TRIES = 4
"""How often lines from before are asked for until all have come."""

Result = tuple[State, list[Command]]


def reduce(state: State, event: Event) -> Result:
    """Return the state after an event, and the commands to carry out."""
    shown = state.shown
    state, commands = _reduce(state, event)
    return _go_on_searching(state, shown) if state.search is not None else state, commands


def _reduce(state: State, event: Event) -> Result:
    match event:
        case Entered():
            return _entered(state, event)
        case Received():
            return take_sdk_event(state, event)
        case Posted():
            mark = Mark.WAITING if event.has_receipt else Mark.SENT
            room = state.room(event.room)
            me = room.me if room else ""
            line = Speech(me, event.text, event.at, None, event.kind, event.to, mark, event.number)
            # Who answers has seen what is new.
            return _change(state, event.room, lambda room: replace(_read(append(room, line)), first_unread=None))
        case Settled(room, number, Mark.KEPT, at, offset):
            return _change(state, room, lambda room: replace(room, items=timeline.keep(room.items, number, offset, at)))
        case Settled(room, number, mark, why=why):
            return _change(state, room, lambda room: replace(room, items=timeline.mark(room.items, number, mark, why)))
        case Notified(text, at, room, tone):
            note = Note(text, at, tone=tone)
            return _change(state, room or state.shown, lambda room: append(room, note))
        case Ended(name, why, at):
            return _change(state, name, lambda room: end_membership(room, why, at, state.language))
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
        case Taken(name, line):
            room = state.room(name)
            is_due = room is not None and (_awaits_people if line.startswith("/who") else _awaits_lines)(room, line)
            return state, [SendLater(AnswerDue(name, line))] if is_due else []
        case AnswerDue(name, line):
            return _answer_due(state, name, line)
        case ScrolledToTop(name, at):
            return _load_older(state, name, at)
        case Searched(text, step, at):
            return _searched(state, text, step, at)
        case PanelToggled(panel, is_visible):
            panels = replace(state.panels, **{panel: not is_visible}, latest=panel)
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
        items=_items_before(old, event) if old else Items(),
        epoch=event.position and event.position[0],
        may_ask=event.answers_with_values and event.has_commands,
        has_receipts=event.has_receipts,
        draft=old.draft if old else "",
    )
    room = append(room, note)
    if not event.has_commands:
        room = append(room, Note(words.NO_COMMANDS.text(state.language), event.at))
    if event.is_host:
        room = roster.make_host(replace(room, count=1), event.me)
    rooms = tuple(room if each.name == event.room else each for each in state.rooms)
    state = replace(state, rooms=rooms if old else (*rooms, room), shown=event.room)
    if not room.may_ask:
        return state, []
    commands: list[Command] = [Ask(event.room, "/who 1")]
    if not event.is_host:
        before = "" if event.position is None else f" {event.position[1] + 1}"
        commands.append(Ask(event.room, f"/history {FIRST_HISTORY}{before}"))
    return state, commands


def _without_note(room: Room, text: str) -> Room:
    kept = Items(item for item in room.items if not (isinstance(item, Note) and item.text == text))
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


def _load_older(state: State, name: str, at: datetime) -> Result:
    room = state.room(name)
    if room is None or (before := timeline.may_load_before(room)) is None:
        return state, []
    # Lines before those that are there would be asked for while a part of these is missing, and leave a hole.
    if room.awaited is not None or (room.asked_older_at is not None and at < room.asked_older_at + ASK_AGAIN):
        return state, []
    if len(room.items) >= MAX_ITEMS:
        return _change(state, name, lambda room: replace(room, has_all=True, is_cut=True))
    state, _ = _change(state, name, lambda room: replace(room, asked_older_at=at))
    return state, [Ask(name, f"/history {HISTORY_SIZE} {before}")]


def _searched(state: State, text: str, step: int | None, at: datetime) -> Result:
    if step is None:
        return replace(state, search=None), []
    before = state.search
    if state.current is None or (before is not None and before.text == text and step == 0):
        return state, []
    state = replace(state, search=(now := search(state.current.items, before, text, step)))
    return _load_older(state, state.shown, at) if now.wants_older else (state, [])


def _go_on_searching(state: State, shown: str) -> State:
    """Look again when the older lines have come that were asked for; end where another room is shown."""
    room, before = state.current, state.search
    if room is None or state.shown != shown:
        return replace(state, search=None)
    if before is None or not before.wants_older or room.awaited is not None or room.asked_older_at is not None:
        return state
    return replace(state, search=replace(search(room.items, before, before.text, -1), wants_older=False))


def _asked(state: State, asked: Asked) -> Result:
    room = state.room(asked.room)
    if room is None or not room.may_ask:  # the user reads the answer as it comes
        return state, []

    def change(room: Room) -> Room:
        room = replace(room, silent=room.silent - {asked.what} if asked.by_user else room.silent | {asked.what})
        if asked.what == "who":
            return roster.ask(room, _page(asked.line))
        if asked.what != "history" or not asked.line:
            return room
        if not asked.by_user and room.awaited is not None and room.awaited.line == asked.line:  # asked again
            # The last lines may be others by now; those before a position stay what they are.
            is_same = len(asked.line.split()) > 2
            return room if is_same else replace(room, awaited=replace(room.awaited, offsets=frozenset()))
        return replace(room, awaited=Awaited(asked.line, asked.by_user))

    return _change(state, asked.room, change)


def _page(line: str) -> int:
    """Return the page that `/who` asks for."""
    _, _, page = line.partition(" ")
    return int(page) if page.isascii() and page.isdecimal() else 1


def _awaits_lines(room: Room, line: str) -> bool:
    return room.awaited is not None and room.awaited.line == line


def _awaits_people(room: Room, line: str) -> bool:
    """Return whether a page of `/who` is to be asked for again; not for long if the server seems not to know `/who`."""
    listing = room.listing
    most = 4 * TRIES if listing.count else TRIES
    is_own = "who" in room.silent
    return is_own and listing.page == _page(line) and not listing.is_whole and listing.tries < most


def _answer_due(state: State, name: str, line: str) -> Result:
    """Ask for people or old lines again if a part of them has not come; say so if that was in vain for old lines."""
    room = state.room(name)
    if room is None or room.ended:
        return state, []
    asks_who = line.startswith("/who")
    if not (_awaits_people if asks_who else _awaits_lines)(room, line):
        return state, []
    if room.is_banner_bad:  # the next question would wait too
        return state, [SendLater(AnswerDue(name, line))]
    if asks_who:
        return state, [Ask(name, line)]
    assert room.awaited is not None
    if room.awaited.tries < TRIES:
        awaited = replace(room.awaited, tries=room.awaited.tries + 1)
        return _change(state, name, lambda room: replace(room, awaited=awaited))[0], [Ask(name, line)]
    # The time is that of the last line: this is no event of the server's.
    at = room.items[-1].at
    note = Note(words.OLD_LINES_MISSING.text(state.language, line=line), at, tone=Tone.LOUD)
    return _change(state, name, lambda room: replace(append(room, note), awaited=None))
