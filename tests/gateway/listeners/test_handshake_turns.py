"""gateway/listeners/handshake_turns.py"""

import contextlib
from collections.abc import Callable
from functools import partial

from gateway.listeners.handshake_turns import HandshakeTurns


class Loop:
    """Calls what it was given, one at a time."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        self.calls.pop(0)()


def test_one_handshake_a_turn_and_addresses_alternate() -> None:
    loop, done = Loop(), list[str]()
    turns = HandshakeTurns(loop.call_soon)
    for name in ("flood 1", "flood 2", "flood 3", "other 1", "flood 4"):
        turns.add(name.split()[0], partial(done.append, name))
    for count in range(1, 6):
        assert len(loop.calls) == 1
        loop.turn()
        assert len(done) == count
    assert done == ["flood 1", "other 1", "flood 2", "flood 3", "flood 4"]
    assert loop.calls == []
    turns.add("later", partial(done.append, "later"))
    loop.turn()
    assert done[-1] == "later"


def test_a_handshake_that_goes_on_in_its_turn_gets_another_one() -> None:
    loop, done = Loop(), list[str]()
    turns = HandshakeTurns(loop.call_soon)
    turns.add("a", lambda: turns.add("a", partial(done.append, "again")))
    loop.turn()
    assert done == []
    loop.turn()
    assert done == ["again"]


def test_one_that_fails_does_not_end_the_others() -> None:
    loop, done = Loop(), list[str]()
    turns = HandshakeTurns(loop.call_soon)

    def fail() -> None:
        raise ValueError

    turns.add("a", fail)
    turns.add("b", partial(done.append, "b"))
    with contextlib.suppress(ValueError):
        loop.turn()
    loop.turn()
    assert done == ["b"]
