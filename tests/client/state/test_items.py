"""client/state/items.py: a value to which items are appended without copying it."""

import gc
import tracemalloc
from datetime import UTC, datetime

import pytest

import tsudoi
from client.state import timeline
from client.state.events import Entered, Received
from client.state.items import Items
from client.state.model import MAX_ITEMS, Note, Speech, State
from client.state.reduce import reduce

AT = datetime(2026, 11, 28, 20, 15, tzinfo=UTC)
ONE, TWO, THREE = (Note(text, AT) for text in ("one", "two", "three"))


def test_what_was_there_does_not_change() -> None:
    one = Items([ONE])
    both = one.append(TWO)
    other = one.append(THREE)
    assert [list(items) for items in (one, both, other)] == [[ONE], [ONE, TWO], [ONE, THREE]]
    assert list(both.append(THREE)) == [ONE, TWO, THREE]
    assert both == Items([ONE, TWO])
    assert both != other
    assert hash(both) == hash(Items([ONE, TWO]))


def test_it_is_read_as_a_tuple_is() -> None:
    items = Items([ONE]).append(TWO)
    items.append(THREE)
    assert (len(items), items[0], items[-1], list(reversed(items))) == (2, ONE, TWO, [TWO, ONE])
    assert [items[-1:], items[:-1], items[5:], items[-5:]] == [[TWO], [ONE], [], [ONE, TWO]]


def flooded(state: State, first: int, count: int) -> State:
    for number in range(first, first + count):
        state, _ = reduce(state, Received("den", tsudoi.Message("flood", f"line {number}", number), AT, "alice"))
    return state


def test_a_message_copies_none_of_those_that_are_held() -> None:
    state, _ = reduce(State("en"), Entered("den", "alice", AT, has_receipts=True, position=(1, 0)))
    state = flooded(state, 1, MAX_ITEMS)
    state = flooded(state, MAX_ITEMS + 1, 1)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        state = flooded(state, MAX_ITEMS + 2, 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Twenty lines take some KiB. One pointer for each that is held would take 94 KiB.
    assert peak - before < 4 * MAX_ITEMS


def test_no_more_lines_than_a_room_has_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_ITEMS", 500)
    state, _ = reduce(State("en"), Entered("den", "alice", AT, has_receipts=True, position=(1, 0)))
    for first in range(1, 5_000, 1_000):
        state = flooded(state, first, 1_000)
        texts = {item.text for item in state.rooms[0].items}
        assert len(texts) <= 500 + 500 // 10
        gc.collect()
        assert {each.text for each in gc.get_objects() if isinstance(each, Speech) and each.sender == "flood"} <= texts
