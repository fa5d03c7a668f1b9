"""tests/chaos/settling.py"""

from types import SimpleNamespace
from typing import Any, cast

from tests.chaos.history import History, Recording
from tests.chaos.settling import Settling, at_rest


class Leaver:
    """A member that has lines to say before it leaves."""

    is_in = has_left = True
    plan = SimpleNamespace(id=1, room=0, host=False)

    def __init__(self) -> None:
        self.lines = [2, 1]

    @property
    def waiting(self) -> int:
        return self.lines.pop(0) if self.lines else 0


async def test_a_run_ends_when_members_that_leave_have_said_their_last_lines() -> None:
    leaver, servers = cast(Any, Leaver()), cast(Any, SimpleNamespace(down=[]))
    await Settling({1: leaver}, servers, Recording(History(1, ("",)))).settle(5.0)
    assert leaver.lines == []


async def test_a_member_is_waited_for_as_long_as_it_comes_on() -> None:
    looks = iter([*({1: count} for count in range(20, 0, -1)), {}])
    assert await at_rest(lambda: next(looks), 0.01) == []


async def test_a_member_that_does_not_come_on_is_named_although_another_one_does() -> None:
    counts = iter(range(10_000, 0, -1))
    assert await at_rest(lambda: {1: next(counts), 2: 3}, 0.1) == [2]
