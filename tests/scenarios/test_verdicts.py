"""Judging what was heard."""

from scenarios.steps import Ending, Line
from scenarios.verdicts import (
    Failed,
    Fulfilled,
    Pending,
    Verdict,
    be_told,
    hear,
    hear_ending,
    hear_nothing,
    hear_the_same,
    shorten,
)
from tsudoi.events import Event, Joined, Kicked, Message, Notice, Private, RoomClosed, TimedOut

A1, A2, B1 = Message("alice", "line 1"), Message("alice", "line 2"), Message("bob", "line 1")
CLOSED = RoomClosed("exit!")


def heard(*events: Event, lines: list[Line] | None = None, any_order: bool = False, echo: str | None = None) -> Verdict:
    return hear(lines or [Line("alice", "line 1"), Line(None, "line 2")], any_order, echo, events)


def test_lines_come_in_their_order_and_nothing_between() -> None:
    assert heard() == Pending()
    assert heard(A1) == Pending()
    assert heard(A1, A2) == Fulfilled(2)
    assert heard(A1, A2, B1) == Fulfilled(2)
    assert heard(A2) == Failed("alice: line 2")
    assert heard(A1, B1, A2) == Failed("bob: line 1 | alice: line 2")
    assert heard(B1) == Failed("bob: line 1")
    assert heard(A1, CLOSED) == Failed("[the room is closed (exit!)]")


def test_in_any_order() -> None:
    assert heard(A2, A1, any_order=True) == Fulfilled(2)
    assert heard(A2, any_order=True) == Pending()
    assert heard(A2, A2, any_order=True) == Failed("alice: line 2")


def test_an_echo_may_be_passed_over() -> None:
    assert heard(B1, A1, B1, A2, echo="bob") == Fulfilled(4)
    assert heard(A1, A2, echo="alice") == Fulfilled(2)


def test_nothing() -> None:
    assert hear_nothing(None, []) == Pending()
    assert hear_nothing("alice", [A1]) == Pending()
    assert hear_nothing(None, [A1]) == Failed("alice: line 1")
    assert hear_nothing("alice", [A1, CLOSED]) == Failed("[the room is closed (exit!)]")


def test_endings() -> None:
    assert hear_ending(Ending.CLOSED, None, []) == Pending()
    assert hear_ending(Ending.CLOSED, "alice", [A1, CLOSED]) == Fulfilled(2)
    assert hear_ending(Ending.CLOSED, None, [A1, CLOSED]) == Failed("alice: line 1 | [the room is closed (exit!)]")
    assert hear_ending(Ending.TIMED_OUT, None, [TimedOut("Timeout!")]) == Fulfilled(1)
    assert isinstance(hear_ending(Ending.TIMED_OUT, None, [CLOSED]), Failed)


def test_one_order_for_all() -> None:
    assert hear_the_same(3, [[A1, B1, A2], [A1, B1, A2]]) == Fulfilled(3)
    assert hear_the_same(3, [[A1, B1, A2], [A1, B1]]) == Pending()
    assert hear_the_same(2, [[A1, B1, A2], [A1, B1]]) == Fulfilled(2)
    assert hear_the_same(3, [[A1, B1], [B1, A1]]) == Failed("at place 1: alice: line 1 / bob: line 1")
    assert hear_the_same(2, [[A2, A1], [A2, A1]]) == Failed("alice: line 1 after line 2")
    assert hear_the_same(2, [[A1, A1], [A1, A1]]) == Failed("alice: line 1 after line 1")
    assert isinstance(hear_the_same(2, [[A1, CLOSED], [A1]]), Failed)


def test_much_is_shortened() -> None:
    assert shorten([]) == "nothing"
    assert shorten(["a", "b"]) == "a | b"
    assert shorten(list("abcdefg")) == "a | b | c | d | … 3 more"


def test_what_is_told_may_have_other_things_between() -> None:
    told: list[Event] = [Joined("bob", 1, "bob has joined."), Private("bob", "alice", "psst", 2), Notice("Topic: tea")]
    assert be_told(["bob has", "tea"], told) == Fulfilled(3)
    assert be_told(["bob → alice: psst"], told) == Fulfilled(2)
    assert be_told(["tea", "bob has"], told) == Pending()
    assert be_told(["coffee"], told) == Pending()


def test_a_removal_is_an_ending_of_its_own() -> None:
    assert hear_ending(Ending.REMOVED, None, [Kicked("out")]) == Fulfilled(1)
    assert isinstance(hear_ending(Ending.REMOVED, None, [RoomClosed("over")]), Failed)
