"""client/state/search.py: which of a room's lines has a text, and which is next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from client.state.events import Ask, Asked, Closed, Command, Entered, Event, Received, Searched, Shown
from client.state.items import Items
from client.state.model import Item, Note, Room, Search, Speech, SpeechKind, State
from client.state.reduce import reduce
from client.state.search import search
from tsudoi import Answered, Listed, Message, Past

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
LINES = Items(
    [
        Speech("bob", "tea at five", AT, 1),
        Note("ハナコ has joined.", AT, 2),
        Speech("ハナコ", "お茶は五時から", AT, 3),
        Speech("bob", "ＴＥＡ or coffee?", AT, 4),
        Speech("alice", "psst", AT, 5, SpeechKind.WHISPERED, to="ハナコ"),
    ]
)


def found(text: str, *steps: int, items: Items = LINES) -> Search:
    now = search(items, None, text, 0)
    for step in steps:
        now = search(items, now, text, step)
    return now


@pytest.mark.parametrize(
    ("text", "offset", "count"),
    [
        ("tea", 4, 2),
        ("TEA AT", 1, 1),
        ("ｔｅａ", 4, 2),
        ("ﾊﾅｺ", 5, 3),
        ("ハナコ h", 2, 1),
        ("お茶", 3, 1),
        ("bob", 4, 2),
        ("cake", None, 0),
        ("", None, 0),
    ],
)
def test_the_newest_line_is_found_that_has_a_text_whatever_its_width_and_case(
    text: str, offset: int | None, count: int
) -> None:
    now = found(text)
    assert (now.found and now.found.offset, now.count, now.lines) == (offset, count, 5)
    assert now.place == min(count, 1)
    assert not now.wants_older


def test_steps_go_to_older_and_newer_lines_and_stay_at_the_ends() -> None:
    steps = [found("ハナコ", *[-1] * older, *[1] * newer) for older, newer in ((1, 0), (2, 0), (3, 0), (3, 1), (3, 9))]
    assert [now.found and now.found.offset for now in steps] == [3, 2, 2, 3, 5]
    assert [now.place for now in steps] == [2, 3, 3, 2, 1]
    assert [now.wants_older for now in steps] == [False, False, True, False, False]


def test_a_longer_text_is_looked_for_from_the_newest_line_on_again() -> None:
    older = found("tea", -1)
    assert older.found is LINES[0]
    assert search(LINES, older, "te", 0).found is LINES[3]
    assert search(LINES, older, "te", -1).found is LINES[0]  # both keys came at once


def test_after_a_line_that_is_another_value_by_now_the_newest_is_next() -> None:
    before = found("tea", -1)
    kept = Items([replace(LINES[0], at=AT + timedelta(seconds=1)), *LINES[1:]])
    assert [search(kept, before, "tea", step).found for step in (-1, 1)] == [kept[3]] * 2


def test_new_lines_do_not_change_what_is_found() -> None:
    before = found("bob")
    longer = LINES.append(Speech("bob", "new", AT, 6))
    now = search(longer, before, "bob", -1)
    assert (now.found, now.place, now.count) == (LINES[0], 3, 3)


# --- as the state has it ---


def after(state: State, *events: Event) -> tuple[State, list[Command]]:
    commands: list[Command] = []
    for event in events:
        state, more = reduce(state, event)
        commands += more
    return state, commands


def in_den(*items: Item) -> State:
    return State(rooms=(Room("den", "alice", Items(items)), Room("garden", "alice")), shown="den")


def heard(event: Listed | Answered | Message) -> Received:
    return Received("den", event, AT, "alice")


OLDER = Past("bob", "tea", 1, 1_795_780_000_000, False), Past("bob", "cake", 2, 1_795_780_000_001, False)


def test_the_oldest_line_asks_for_older_ones_and_what_comes_is_looked_through_once() -> None:
    state, commands = after(in_den(Speech("bob", "tea?", AT, 3)), Searched("", 0, AT), Searched("tea", 0, AT))
    assert commands == []
    state, commands = after(state, Searched("tea", -1, AT))
    assert commands == [Ask("den", "/history 50 3")]
    assert state.search is not None
    assert state.search.found is not None
    assert state.search.found.offset == 3
    state, commands = after(
        state,
        Asked("den", "history", by_user=False, line="/history 50 3"),
        heard(Message("bob", "more tea", 4)),
        heard(Listed("history", OLDER[1:], 2, 1, 1, "")),  # a part of the answer
    )
    assert state.search is not None
    assert state.search.place == 1
    state, commands = after(state, heard(Listed("history", OLDER[:1], 2, 1, 1, "")))
    assert state.search is not None
    assert state.search.found is not None
    assert (state.search.found.offset, state.search.place, state.search.count, state.search.lines) == (1, 3, 3, 4)
    assert not state.search.wants_older
    assert commands == []


def test_where_the_server_has_no_older_lines_none_are_asked_for() -> None:
    state, commands = after(in_den(Speech("bob", "tea", AT, 3)), Searched("cake", -1, AT))
    assert commands == [Ask("den", "/history 50 3")]
    state, commands = after(state, heard(Answered("no-history", "", None, "?")), Searched("cake", -1, AT))
    assert commands == []
    assert state.search == Search("cake", lines=1)


@pytest.mark.parametrize(
    "event", [Searched("tea", None, AT), Shown("garden"), Closed("den"), Entered("attic", "alice", AT)]
)
def test_a_search_ends_by_a_key_or_where_another_room_is_shown(event: Event) -> None:
    state, _ = after(in_den(Speech("bob", "tea", AT, 3)), Searched("tea", 0, AT), event)
    assert state.search is None
    assert after(state, Shown("den"))[0].search is None
