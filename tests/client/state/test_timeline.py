"""client/state/timeline.py: lines stand in the server's order, own ones that wait at the end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from client.state.items import Items
from client.state.model import MAX_ITEMS, Item, Mark, Note, Speech
from client.state.timeline import add, add_past, forget_positions, keep, mark, oldest

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def said(offset: int | None, text: str = "", mark: Mark = Mark.NONE, number: int = 0) -> Speech:
    return Speech("bob", text or f"line {offset}", AT, offset, mark=mark, number=number)


def built(*lines: Item) -> Items:
    items = Items()
    for line in lines:
        items = add(items, line)
    return items


def texts(items: Items) -> list[str]:
    return [item.text for item in items]


def test_lines_stand_by_their_positions_whatever_the_order_in_which_they_come() -> None:
    for order in permutations([1, 2, 5, 9]):
        assert [item.offset for item in built(*(said(offset) for offset in order))] == [1, 2, 5, 9]


def test_a_line_that_comes_twice_stands_once() -> None:
    assert len(built(said(1), said(2), said(1), said(2))) == 2


def test_an_own_line_waits_at_the_end_and_goes_to_its_place() -> None:
    items = built(said(1), said(None, "mine", Mark.WAITING, 7), said(2), said(4))
    assert texts(items) == ["line 1", "line 2", "line 4", "mine"]
    kept = keep(items, 7, 3, AT)
    assert texts(kept) == ["line 1", "line 2", "mine", "line 4"]
    assert kept[2].offset == 3
    assert keep(kept, 99, 8, AT) == kept


def test_an_own_line_that_has_waited_has_the_time_of_the_lines_around_it() -> None:
    later = AT + timedelta(minutes=2)
    items = keep(built(said(None, "mine", Mark.WAITING, 7), replace(said(2), at=later)), 7, 3, later)
    assert [(item.text, item.at) for item in items] == [("line 2", later), ("mine", later)]


def test_own_lines_keep_their_order_while_they_wait() -> None:
    items = built(said(None, "a", Mark.WAITING, 1), said(None, "b", Mark.WAITING, 2), said(9))
    assert texts(items) == ["line 9", "a", "b"]
    assert texts(keep(items, 2, 10, AT)) == ["line 9", "b", "a"]
    assert [getattr(item, "mark", None) for item in mark(items, 1, Mark.REFUSED, "muted")] == [
        Mark.NONE,
        Mark.REFUSED,
        Mark.WAITING,
    ]


def test_a_line_without_receipt_stays_where_it_was_sent() -> None:
    items = built(said(1), said(None, "mine", Mark.SENT, 3), said(2))
    assert texts(items) == ["line 1", "mine", "line 2"]


def test_an_action_that_is_kept_takes_the_place_of_the_one_that_comes_back() -> None:
    waiting = built(said(1), said(None, "mine", Mark.WAITING, 3))
    back = said(2, "mine", Mark.KEPT)
    for items in (add(keep(waiting, 3, None, AT), back), keep(add(waiting, back), 3, None, AT)):
        assert [(item.text, item.offset) for item in items] == [("line 1", 1), ("mine", 2)]


def test_a_notice_without_position_keeps_its_place() -> None:
    items = built(said(1), Note("a word of the client", AT), said(2))
    assert texts(items) == ["line 1", "a word of the client", "line 2"]


def test_an_echo_takes_the_place_of_the_line_that_was_sent() -> None:
    items = built(said(1), said(None, "mine", Mark.SENT, 3), said(2))
    assert [(item.text, item.offset) for item in add(items, said(3, "mine", Mark.KEPT))] == [
        ("line 1", 1),
        ("line 2", 2),
        ("mine", 3),
    ]


def test_the_history_goes_before_and_finds_own_lines() -> None:
    items = built(Note("You are in den.", AT), said(10), said(None, "mine", Mark.SENT, 3))
    early = AT - timedelta(hours=1)
    past = [Speech("bob", "old", early, 8), said(10), Speech("alice", "mine", AT, 11, mark=Mark.KEPT)]
    merged = add_past(items, past)
    assert [(item.text, item.offset) for item in merged] == [
        ("old", 8),
        ("You are in den.", None),
        ("line 10", 10),
        ("mine", 11),
    ]
    assert add_past(merged, past) == merged
    assert oldest(merged) == 8


def test_positions_that_begin_anew_do_not_hide_new_lines() -> None:
    items = built(*(said(offset) for offset in range(1000, 1200)))
    assert texts(add(items, said(3, "after the loss")))[-1] == "after the loss"
    assert {item.offset for item in forget_positions(items)} == {None}


def test_the_oldest_lines_go_first() -> None:
    full = MAX_ITEMS * 11 // 10
    items = Items(said(offset) for offset in range(full))
    added = add(items, said(full))
    assert (len(added), added[0].offset) == (MAX_ITEMS, full + 1 - MAX_ITEMS)


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=40))
def test_positions_always_rise(lines: list[tuple[int, bool]]) -> None:
    items = Items()
    for offset, is_past in lines:
        items = add_past(items, [said(offset)]) if is_past else add(items, said(offset))
    offsets = [item.offset for item in items if item.offset is not None]
    assert offsets == sorted({offset for offset, _ in lines})
