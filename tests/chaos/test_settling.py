"""tests/chaos/settling.py"""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.chaos.history import History, Outage, Recording, Uplink
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


@pytest.mark.parametrize(("visited", "must_send"), [((2, 0), False), ((2, 1, 0), True)], ids=["one asks", "two ask"])
def test_a_member_for_which_a_gateway_asked_that_died_speaks_again(visited: tuple[int, ...], must_send: bool) -> None:
    """Its gateway was cut off, and all that ask get it in turn: the one that died is perhaps the last."""
    history = History(1, ("", "", ""))
    history.uplinks = [Uplink(10.0 + 0.1 * at, 1, gateway) for at, gateway in enumerate((*visited, 0))]
    history.outages = [Outage("stall", "link 2", 9.9, 12.0), Outage("kill", "gateway 1", 10.9, 11.5)]
    settling = Settling({}, cast(Any, SimpleNamespace(down=[])), Recording(history))
    client = cast(Any, SimpleNamespace(plan=SimpleNamespace(id=1)))
    assert settling._must_send(client, []) is must_send
