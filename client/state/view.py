"""The rows that the screen shows of a state: spans of text with the names of styles (`tui/colours.py`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from unicodedata import category

from tsudoi.protocol.client.words import Language, Words

from .. import palette, words
from .columns import SPACES, Line, Span, cut, fit, plain, span_width, width, wrap, wrapped
from .model import MAX_ITEMS, Item, Mark, Note, Room, Search, Speech, SpeechKind, State, Tone
from .timeline import may_load_before

_COMPACT = 56
"""Columns of the timeline below which names have no column of their own."""
_MIN_TIME = 24
"""Columns from which on times are shown."""
_NAME_COLUMNS = 12
_TIME_COLUMNS = 6
_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lo", "Nd", "Nl", "No"})
"""Unicode's categories of letters and digits, without modifiers: `ーー` looks like `--`."""
_FURTHER = "| "
"""Before the further lines of a message, so that they are not taken for lines of other members."""

_MORE_COLUMNS = 9
"""For the signs of rooms that have no place in the bar: `<@99` and ` >@99`."""

MIN_BOTH = 108
"""Columns of the screen from which on rooms and people both stand beside the timeline."""
MIN_PEOPLE = 64
ROOM_COLUMNS = 20
PEOPLE_COLUMNS = 18


MIN_KEYS = 8
"""Rows of the screen from which on the keys are shown."""
MIN_TITLE = 5


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands around the timeline."""

    rooms: bool
    people: bool
    title: bool
    keys: bool
    composer: int
    """The most rows that the composer may have; the banner, too."""


def layout(state: State, columns: int, rows: int) -> Layout:
    """Return the panels that the user wants, or else those for which there is room; the last rows are the timeline's
    and the composer's."""
    wanted = state.panels
    rooms = columns >= MIN_BOTH if wanted.rooms is None else wanted.rooms
    people = columns >= MIN_PEOPLE if wanted.people is None else wanted.people
    if rooms and people and columns - ROOM_COLUMNS - PEOPLE_COLUMNS < _MIN_TIME:
        rooms, people = wanted.latest == "rooms", wanted.latest != "rooms"
    return Layout(rooms, people, rows >= MIN_TITLE, rows >= MIN_KEYS, min(max(rows // 3, 1), 6))


def colour(name: str) -> str:
    """Return the style of a name."""
    return f"name{palette.place_of(name)}"


# --- the timeline ---


def timeline(
    room: Room, columns: int, language: Language, lines_of: Callable[[Item], tuple[Line, ...]], start: int = 0
) -> Iterator[tuple[Item | None, tuple[Line, ...]]]:
    """Give each item with its lines; None for lines that stand before the next item: a day, where new ones begin.

    `lines_of` is `item_lines` for these columns, or remembers what that returned. `start`: the first item to give.
    """
    day = room.items[start - 1].at.date() if start else None
    if room.is_cut and room.items and not start:
        end = words.CUT if len(room.items) >= MAX_ITEMS else words.BEGINNING
        yield None, _note_lines(end.text(language), "", "quiet", columns)
    for item in room.items[start:]:
        if item.at.date() != day:
            day = item.at.date()
            yield None, (_rule(day_words(day, language), "day", columns),)
        if item is room.first_unread:
            yield None, (_rule(words.NEW.text(language), "new", columns),)
        yield item, lines_of(item)


def item_lines(item: Item, columns: int, language: Language) -> tuple[Line, ...]:
    """Return the lines of an item, wrapped to this width."""
    time = item.at.strftime("%H:%M ") if columns >= _MIN_TIME else ""
    if isinstance(item, Note):
        style = {Tone.LOUD: "loud", Tone.TABLE: "table"}.get(item.tone, "quiet")
        return _note_lines(item.text, time, style, columns)
    head, bar = _speech_head(item, columns)
    style = "mention" if item.is_mention else "text"
    if item.mark in (Mark.WAITING, Mark.REFUSED, Mark.UNKNOWN):
        style = "waiting" if item.mark is Mark.WAITING else "refused"
    mark = _mark(item, language)
    return _hanging(((time, "time"), *head), bar, item.text, style, columns, mark)


def _mark(item: Speech, language: Language) -> str:
    match item.mark:
        case Mark.WAITING:
            return f"  [{words.MARK_WAITING.text(language)}]"
        case Mark.REFUSED:
            return f"  [{words.MARK_REFUSED.text(language, why=item.why)}]"
        case Mark.SENT:
            return " ~"
        case Mark.UNKNOWN:
            return f"  [{words.MARK_UNKNOWN.text(language)}]"
    return ""


def _speech_head(item: Speech, columns: int) -> tuple[Line, bool]:
    """Return what stands between time and text, and whether it is a column of its own."""
    limit = _NAME_COLUMNS if columns >= _COMPACT else max((columns - _TIME_COLUMNS - 10) // 2, min(columns // 3, 6))
    name, named = _shortened(item.sender, limit), colour(item.sender)
    to: Line = (("→" if columns < _COMPACT else "→ ", "quiet"), (_shortened(item.to, limit), colour(item.to)))
    if columns < _COMPACT:
        if item.kind is SpeechKind.ACTED:
            return (("* ", "quiet"), (f"{name} ", named)), False
        if item.kind is SpeechKind.WHISPERED:
            return ((name, named), *to, (": ", "bar")), False
        return ((name, named), (": " if name else "", "bar")), False
    bar: Span = (" │ ", "bar")
    if item.kind is SpeechKind.ACTED:
        return ((fit("*", _NAME_COLUMNS, right=True), "quiet"), bar, (f"{name} ", named)), True
    who: Span = (fit(name, _NAME_COLUMNS, right=True), named)
    if item.kind is SpeechKind.WHISPERED:
        return (who, bar, *to, (": ", "bar")), True
    return (who, bar), True


def _shortened(name: str, columns: int) -> str:
    """Return a name for the timeline; one without a letter in brackets: `--` stands before notices."""
    name = plain(name)
    if name and not any(category(char) in _LETTERS for char in name):
        name = f"<{name}>"
    return name if width(name) <= columns else fit(name, columns).rstrip(" ")


def _note_lines(text: str, time: str, style: str, columns: int) -> tuple[Line, ...]:
    if columns < _COMPACT:
        return _hanging(((time, "time"), ("- ", "bar")), False, text, style, columns)
    start: Span = (fit(time, _TIME_COLUMNS), "time")
    return _hanging(
        (start, (fit("--", _NAME_COLUMNS, right=True), "quiet"), (" │ ", "bar")), True, text, style, columns
    )


def _hanging(head: Line, bar: bool, text: str, style: str, columns: int, mark: str = "") -> tuple[Line, ...]:
    """Return a text behind its head, its further lines under the text (or a little to the right of the time)."""
    blank = _TIME_COLUMNS + _NAME_COLUMNS if bar else min(_TIME_COLUMNS + 2, columns // 4)
    edge: Line = ((" │ ", "hang"),) if bar else ()
    room = max(columns - blank - span_width(edge), 2)
    lines: list[Line] = []
    for number, paragraph in enumerate(plain(text).split("\n")):
        if number == 0:
            # The head may be longer than what hangs: the first line has less room.
            first = _first_line(paragraph, max(columns - span_width(head), 0))
            lines.append((*head, (first, style)))
            start = ((" " * blank, _how_goes_on(paragraph, len(first))), *edge)
            rest = paragraph[len(first) :].lstrip(SPACES)
            if rest:
                lines.extend(_wrapped(rest, room, start, style))
        else:
            start = ((" " * blank, "newline"), *edge, (_FURTHER, "hang"))
            lines.extend(_wrapped(paragraph, max(room - len(_FURTHER), 2), start, style))
    if mark:
        if span_width(lines[-1]) + width(plain(mark)) <= columns:
            lines[-1] = (*lines[-1], (plain(mark), "mark"))
        else:
            lines.extend(_wrapped(plain(mark).strip(), room, ((" " * blank, "spaced"), *edge), "mark"))
    return tuple(lines)


def _wrapped(text: str, columns: int, start: Line, style: str) -> Iterator[Line]:
    """Give the lines of a text; `start` stands before each of them, and its first span tells how it goes on."""
    blank, *edge = start
    at = 0
    for part in wrap(text, columns):
        yield (blank, *edge, (part, style))
        at += len(part)
        blank = (blank[0], _how_goes_on(text, at))
        at += len(text[at:]) - len(text[at:].lstrip(SPACES))


def _how_goes_on(text: str, at: int) -> str:
    """Return the style of what hangs below a line that ends here: it tells which space was left out."""
    return {" ": "spaced", "\u3000": "wide-spaced"}.get(text[at : at + 1], "joined")


_JOINTS = {"joined": "", "spaced": " ", "wide-spaced": "\u3000", "newline": "\n"}


def copied(marked: Iterable[tuple[Line, int, int]]) -> str:
    """Return what is marked of some lines as it was before it was wrapped: a long address is whole again.

    Each line comes with the first and the last place of what is marked; -1: up to the end.
    """
    text = ""
    for number, (line, start, end) in enumerate(marked):
        shown = "".join(part for part, _ in line)
        hang = sum(len(part) for part, style in line if style in _JOINTS or style == "hang")
        joint = _JOINTS.get(line[0][1], "\n") if line and number else ""
        text += joint + shown[max(start, hang) : len(shown) if end == -1 else max(end, hang)].rstrip()
    return text


def _first_line(text: str, space: int) -> str:
    """Return what stands beside the head."""
    if width(text) <= space:
        return text
    return "" if space < 8 else next(wrapped(text, space))


def _rule(text: str, style: str, columns: int) -> Line:
    left = max((columns - width(text) - 2) // 2, 1)
    right = max(columns - width(text) - 2 - left, 1)
    return ((f"{'─' * left} ", "rule"), (text, style), (f" {'─' * right}", "rule"))


def day_words(day: date, language: Language) -> str:
    """Return a date as a person writes it."""
    return words.DAY.text(
        language,
        weekday=words.WEEKDAYS.text(language).split()[day.weekday()],
        month=words.MONTHS.text(language).split()[day.month - 1],
        day=day.day,
        year=day.year,
    )


# --- around it ---


def banner(room: Room, columns: int, rows: int) -> list[Line]:
    """Return the banner's lines, at most as many as `rows`."""
    style = "bad" if room.is_banner_bad else "good"
    lines = wrap(plain(room.banner), max(columns - 2, 4))
    if len(lines) > rows:
        lines = [*lines[: rows - 1], cut(lines[rows - 1], max(columns - 3, 1)) + "…"]
    return [((fit(f" {line}", columns), style),) for line in lines]


def title(room: Room | None, columns: int, language: Language) -> Line:
    """Return the topmost line: the room, its topic, the user's name."""
    if room is None:
        return ((fit(words.APP.text(language), columns), "title"),)
    me = f" {plain(room.me)} "
    head = f" {plain(room.name)} "
    if width(head) + width(me) > columns:
        return ((fit(head, columns), "title"),)
    space = columns - width(head) - width(me)
    topic = room.topic.replace("\n", " ")
    return ((head, "title"), (fit(f"│ {topic}" if topic else "", space), "topic"), (me, "me"))


def room_rows(state: State, columns: int) -> list[Line]:
    return [_room_line(state, number, room, columns) for number, room in enumerate(state.rooms, 1)]


def _room_line(state: State, number: int, room: Room, columns: int) -> Line:
    counts = _counts(room)
    style = "shown" if room.name == state.shown else "ended" if room.ended else "room"
    space = columns - width(f"{number} ") - span_width(counts)
    return ((f"{number} ", "quiet"), (fit(room.name, max(space, 2)), style), *counts)


def _counts(room: Room) -> Line:
    """Return the marks behind a room's name: `@2` for mentions, `+5` for unread lines, `!` for a server that is away,
    `x` for a room that the user is not in any more."""
    counts: list[Span] = []
    if room.mentions:
        counts.append((f" @{room.mentions}", "mentions"))
    if room.unread > room.mentions:
        counts.append((f" +{min(room.unread, 999)}", "unread"))
    if room.is_banner_bad:
        counts.append((" !", "loud"))
    if room.ended:
        counts.append((" x", "quiet"))
    return tuple(counts)


def room_bar(state: State, columns: int) -> Line:
    """Return the rooms in one line, for narrow screens; the shown one is always among them."""
    return tuple(chain(*(cell for _, cell in _bar_cells(state, columns))))


def room_in_bar(state: State, columns: int, column: int) -> str | None:
    """Return the room that stands at a column of the bar; None if none does."""
    end = 0
    for name, cell in _bar_cells(state, columns):
        end += span_width(cell)
        if column < end:
            return name
    return None


def _bar_cells(state: State, columns: int) -> list[tuple[str, Line]]:
    """Return the rooms that have a place in the bar, each with its part of it; signs stand for the others."""
    cells: list[tuple[str, Line]] = [
        (
            room.name,
            (
                (f" {number}:", "quiet"),
                (plain(room.name), "shown" if room.name == state.shown else "room"),
                *_counts(room),
            ),
        )
        for number, room in enumerate(state.rooms, 1)
    ]

    def size(first: int, last: int) -> int:
        return sum(span_width(cell) for _, cell in cells[first : last + 1])

    if size(0, len(cells)) <= columns:
        return cells
    first = last = next((at for at, room in enumerate(state.rooms) if room.name == state.shown), 0)
    room_for = columns - _MORE_COLUMNS
    while first > 0 and size(first - 1, last) <= room_for:
        first -= 1
    while last + 1 < len(cells) and size(first, last + 1) <= room_for:
        last += 1
    left, right = state.rooms[:first], state.rooms[last + 1 :]
    return [
        *((room.name, _more("<", left)) for room in left[-1:]),
        *cells[first : last + 1],
        *((room.name, _more(" >", right)) for room in right[:1]),
    ]


def _more(mark: str, rooms: Sequence[Room]) -> Line:
    """Return the sign for rooms that have no place in the bar, with their mentions, or else their unread lines."""
    mentions, unread = sum(room.mentions for room in rooms), sum(room.unread for room in rooms)
    if mentions:
        return ((mark, "quiet"), (f"@{min(mentions, 99)}", "mentions"))
    return ((mark, "quiet"), (f"+{min(unread, 99)}", "unread")) if unread else ((mark, "quiet"),)


def people_rows(room: Room | None, columns: int, rows: int, language: Language) -> list[Line]:
    """Return the roster: a head with the number of members, the host first, and how many more there are."""
    if room is None or not room.people:
        return [((fit(words.PEOPLE_UNKNOWN.text(language), columns), "head"),)]
    count = max(room.count, len(room.people))
    lines: list[Line] = [((fit(words.PEOPLE.text(language, count=count), columns), "head"),)]
    space = max(rows - 1, 1)
    shown = room.people if count <= space else room.people[: space - 1]
    lines += [
        (("*" if person.is_host else " ", "host"), (fit(person.name, columns - 1), colour(person.name)))
        for person in shown
    ]
    if count > len(shown):
        lines.append(((fit(" " + words.MORE_PEOPLE.text(language, count=count - len(shown)), columns), "quiet"),))
    return lines


def search_row(search: Search, columns: int, language: Language) -> Line:
    """Return the line that tells what a search has found, and in how many lines."""
    what = words.SEARCH
    if search.text:
        what = words.FOUND if search.found else words.NOT_FOUND
    text = what.text(language, place=search.place, count=search.count, lines=search.lines)
    return ((fit(f" {text}", columns), "shown"),)


def search_keys(room: Room, search: Search, columns: int, language: Language) -> Line:
    """Return the line with the keys of a search."""
    is_oldest = search.text and search.place == search.count and may_load_before(room) is not None
    older = words.KEY_LOAD_OLDER if is_oldest else words.KEY_OLDER
    return _keys((), [("Enter", older), ("Down", words.KEY_NEWER), ("Esc", words.KEY_END)], columns, language)


def keys(columns: int, language: Language, rooms: int, above: int = 0, below: int = 0) -> Line:
    """Return the line with the keys; in a narrow screen the first ones.

    Before them stands how many rows of what the user types are `above` and `below` those that the composer shows.
    """
    known = [
        ("F1", words.KEY_HELP),
        ("Tab", words.KEY_COMPLETE),
        *([("^N", words.KEY_NEXT_ROOM), ("Alt-A", words.KEY_UNREAD)] if rooms > 1 else []),
        ("PgUp", words.KEY_OLDER),
        ("F3", words.KEY_PEOPLE),
        ("F2", words.KEY_ROOMS),
        ("^R", words.KEY_FIND),
        ("^C", words.KEY_CLEAR),
    ]
    hidden = ((words.ROWS_ABOVE, above), (words.ROWS_BELOW, below))
    before = tuple((f" {what.text(language, count=count)} ", "hint") for what, count in hidden if count)
    return _keys(before, known, columns, language)


def _keys(before: Line, known: list[tuple[str, Words]], columns: int, language: Language) -> Line:
    line: list[Span] = [*before]
    for key, does in known:
        cell: Line = ((f" {key} ", "key"), (f"{does.text(language)} ", "quiet"))
        if span_width((*line, *cell)) > columns:
            break
        line.extend(cell)
    return tuple(line)
