"""tests/chaos/settling.py"""

from types import SimpleNamespace
from typing import Any, cast

from tests.chaos.history import History, Recording
from tests.chaos.settling import Settling


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
