"""client/state/view.py: rows for any width."""

import re
from datetime import UTC, datetime

import pytest

from client.state import view
from client.state.columns import Line, span_width, width
from client.state.events import PanelToggled
from client.state.model import Mark, Note, Person, Room, Speech, SpeechKind, State
from client.state.reduce import reduce

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROOMS = (
    Room("den", "alice"),
    Room("庭", "alice", unread=3),
    Room("a room with a long name", "alice", unread=2, mentions=1),
)


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


@pytest.mark.parametrize("columns", [20, 30, 40, 80])
@pytest.mark.parametrize("shown", ["den", "庭", "a room with a long name"])
def test_the_bar_has_the_shown_room_and_what_is_new_in_the_others(columns: int, shown: str) -> None:
    bar = view.room_bar(State(rooms=ROOMS, shown=shown), columns)
    assert shown in text(bar)
    assert "@1" in text(bar)
    if columns >= 40 or shown != "a room with a long name":
        assert span_width(bar) <= columns


@pytest.mark.parametrize("columns", [20, 40, 56, 80, 200])
@pytest.mark.parametrize(
    "said",
    [
        "https://example.org/会議/2026/11/30/議事録?id=0123456789abcdef0123456789abcdef&page=12 を見て",
        "one two  three four " * 9 + "end",
        "日本語の文は空白なしで折り返す。" * 9,
        "全角　スペース　入り　の　文です" * 9,
        "first line\n  second line, indented" + " long" * 20 + "\n\nlast",
    ],
    ids=lambda said: said[:8],
)
def test_what_is_copied_is_not_wrapped(said: str, columns: int) -> None:
    lines = view.item_lines(Speech("bob", said, AT, mark=Mark.REFUSED, why="no " * 30 + "no"), columns, "en")
    whole = view.copied((line, 0, -1) for line in lines)
    assert re.sub(" +", " ", said) in re.sub(" +", " ", whole)
    assert not any(line[-1][0].startswith("\u3000") for line in lines)
    assert whole.endswith(f"[not said: {'no ' * 30}no]")
    below = view.copied((line, 0, -1) for line in lines[1:])
    assert "│" not in below
    assert whole.endswith(below)


def test_a_part_of_two_lines_is_copied() -> None:
    lines = view.item_lines(Speech("bob", "x" * 50, AT), 30, "en")
    assert view.copied([(lines[0], 15, -1), (lines[1], 0, 10)]) == "x" * (15 + 3)


def test_the_bar_has_all_rooms_for_which_there_are_columns() -> None:
    everything = view.room_bar(State(rooms=ROOMS, shown="den"), 200)
    assert text(everything).count(":") == len(ROOMS)
    assert view.room_bar(State(rooms=ROOMS, shown="den"), span_width(everything)) == everything
    assert text(view.room_bar(State(rooms=ROOMS, shown="den"), span_width(everything) - 1)).endswith(" >@1")


@pytest.mark.parametrize("columns", [10, 16, 24, 40, 56, 80, 200])
@pytest.mark.parametrize(
    "item",
    [
        Speech("アリス" * 9, "長い名前の人の" * 20, AT),
        Speech("bob", "x" * 300, AT, mark=Mark.REFUSED, why="too fast " * 9),
        Speech("bob", "to you", AT, kind=SpeechKind.WHISPERED, to="アリス" * 9),
        Speech("bob", "waves", AT, kind=SpeechKind.ACTED),
        Speech("", "a line without a name\nand a second", AT),
        Note("a notice\nof two lines " + "y" * 90, AT),
    ],
    ids=lambda item: item.text[:8],
)
def test_no_line_is_wider_than_the_timeline_and_no_character_is_lost(item: Speech | Note, columns: int) -> None:
    lines = view.item_lines(item, columns, "ja")
    for line in lines:
        assert span_width(line) <= columns, text(line)
    shown = "".join(part for line in lines for part, style in line if style in ("text", "refused", "quiet"))
    shown = shown.replace(" ", "").removeprefix("*").removeprefix("--").removeprefix("→")
    assert shown == item.text.replace(" ", "").replace("\n", "")


def test_a_further_line_is_no_other_members_line() -> None:
    for columns in (40, 80):
        lines = [text(line) for line in view.item_lines(Speech("mallory", "hi\nalice: now", AT), columns, "en")]
        assert lines[1].strip(" │") == "| alice: now"


def test_a_big_room_tells_how_many_more_there_are() -> None:
    people = tuple(Person(f"m{number:02}") for number in range(30))
    rows = [text(row).strip() for row in view.people_rows(Room("den", "m00", people=people, count=200), 18, 10, "en")]
    assert (rows[0], rows[-1], len(rows)) == ("200 here", "and 192 more", 10)


def test_the_keys_of_a_narrow_screen_are_the_first_ones() -> None:
    assert text(view.keys(40, "en", 1)).split()[:2] == ["F1", "help"]
    assert all(
        span_width(view.keys(columns, language, 3)) <= columns
        for columns in range(10, 120)
        for language in ("en", "ja")
    )


@pytest.mark.parametrize("columns", [20, 30, 40, 80])
@pytest.mark.parametrize("shown", ["den", "庭", "a room with a long name"])
def test_each_column_of_the_bar_is_a_rooms(columns: int, shown: str) -> None:
    state = State(rooms=ROOMS, shown=shown)
    bar = text(view.room_bar(state, columns))
    for room in ROOMS:
        if (at := bar.find(room.name)) >= 0:
            assert view.room_in_bar(state, columns, width(bar[:at])) == room.name
    assert view.room_in_bar(state, columns, width(bar)) is None
    number = [room.name for room in ROOMS].index(shown)
    if bar.startswith("<"):
        assert view.room_in_bar(state, columns, 0) == ROOMS[number - 1].name


def test_the_title_fits_any_width() -> None:
    room = Room("部屋" * 20, "アリス" * 8, topic="お茶は五時から\nです" * 9)
    assert all(span_width(view.title(room, columns, "ja")) == columns for columns in range(10, 200, 7))


def test_a_low_screen_has_the_timeline_and_the_composer() -> None:
    low, usual = view.layout(State(), 40, 3), view.layout(State(), 80, 24)
    assert (low.title, low.keys, low.composer) == (False, False, 1)
    assert (usual.title, usual.keys, usual.composer) == (True, True, 6)


def test_where_there_is_no_room_for_both_panels_the_one_asked_for_last_is_shown() -> None:
    def shown(*toggled: str, columns: int = 40) -> tuple[bool, bool]:
        state = State()
        for panel in toggled:
            is_visible = getattr(view.layout(state, columns, 20), panel)
            state, _ = reduce(state, PanelToggled(panel, is_visible))
        laid_out = view.layout(state, columns, 20)
        return laid_out.rooms, laid_out.people

    assert shown("people", "rooms") == (True, False)
    assert shown("rooms", "people") == (False, True)
    assert shown("people", "rooms", "rooms") == (False, True)
    assert shown("people", "rooms", "people") == (False, True)
    assert shown("rooms", columns=80) == (True, True)


@pytest.mark.parametrize("name", ["--", "ーー", "—"])
def test_what_a_member_with_a_misleading_name_says_does_not_look_like_a_notice(name: str) -> None:
    said = [text(line) for line in view.item_lines(Speech(name, "bob has left.", AT), 80, "en")]
    assert said == [f"12:00 {f'<{name}>':>{12 - (name == 'ーー') * 2}} │ bob has left."]


def test_a_name_that_is_cut_stands_at_the_bar() -> None:
    line = text(view.item_lines(Speech("非常に長い名前の人", "hi", AT), 80, "ja")[0])
    assert line == "12:00  非常に長い… │ hi"


def test_beside_a_panel_in_a_narrow_screen_names_can_still_be_told_apart() -> None:
    heads = [text(view.item_lines(Speech(name, "hi", AT), 22, "ja")[0]) for name in ("さくら", "さゆり")]
    assert heads == ["さくら: hi", "さゆり: hi"]


def test_a_banner_has_no_more_rows_than_it_may() -> None:
    room = Room("den", "alice", banner="サーバーにつながりません。" * 5, is_banner_bad=True)
    for rows in (1, 2, 6):
        lines = [text(line) for line in view.banner(room, 20, rows)]
        assert len(lines) == rows
        assert lines[-1].rstrip().endswith("…")
        assert all(span_width(line) == 20 for line in view.banner(room, 20, rows))
