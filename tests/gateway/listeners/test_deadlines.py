"""gateway/listeners/deadlines.py"""

import asyncio
from time import monotonic

import pytest

from gateway.listeners.deadlines import STOOD_STILL_S, Deadlines


class Waiting:
    """Notes when it was told."""

    def __init__(self, told: asyncio.Queue["Waiting"]) -> None:
        self.began = monotonic()
        self.waited = 0.0
        self._told = told

    def time_is_up(self) -> None:
        self.waited = monotonic() - self.began
        self._told.put_nowait(self)


async def test_each_is_told_when_its_own_time_is_up() -> None:
    deadlines, told = Deadlines(0.05), asyncio.Queue[Waiting]()
    first, second, third = Waiting(told), Waiting(told), Waiting(told)
    deadlines.begin(first)
    deadlines.begin(second)
    while monotonic() < first.began + 0.02:  # without the event loop, in which a busy machine may be late for both
        pass
    deadlines.begin(third)
    deadlines.begin(first)
    assert [await told.get() for _ in range(3)] == [second, third, first]
    assert min(second.waited, third.waited) >= 0.05
    assert first.waited >= 0.07


async def test_who_has_ended_is_not_told_and_the_others_are() -> None:
    deadlines, told = Deadlines(0.01), asyncio.Queue[Waiting]()
    first, second = Waiting(told), Waiting(told)
    deadlines.begin(first)
    deadlines.begin(second)
    deadlines.end(first)
    assert await told.get() is second
    # The timer has gone with the last; it comes again with the next.
    deadlines.begin(first)
    assert await told.get() is first
    deadlines.begin(first)
    deadlines.close()
    await asyncio.sleep(0.03)
    assert told.empty()


async def test_what_came_while_the_process_stood_still_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines, told = Deadlines(0.01), asyncio.Queue[Waiting]()
    read, silent = Waiting(told), Waiting(told)
    deadlines.begin(read)
    deadlines.begin(silent)
    # The clock is ahead when the timer comes.
    monkeypatch.setattr("gateway.listeners.deadlines.monotonic", lambda: monotonic() + STOOD_STILL_S + 1.0)
    asyncio.get_running_loop().call_later(0.02, deadlines.end, read)
    assert await told.get() is silent
