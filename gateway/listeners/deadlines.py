"""Keep the deadlines of many connections with one timer: all last equally long."""

import asyncio
from time import monotonic
from typing import Protocol


class Waiting(Protocol):
    """Something with a deadline."""

    def time_is_up(self) -> None:
        """Handle that the deadline has passed."""


class Deadlines:
    """Deadlines in the order in which they pass, which is the order in which they began."""

    def __init__(self, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._wait_s = wait_s
        self._until: dict[Waiting, float] = {}
        self._timer: asyncio.Handle | None = None

    @property
    def wait_s(self) -> float:
        """How long all last. May change: deadlines that have begun change with it."""
        return self._wait_s

    @wait_s.setter
    def wait_s(self, wait_s: float) -> None:
        more = wait_s - self._wait_s
        self._wait_s = wait_s
        for waiting in self._until:
            self._until[waiting] += more
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._look)

    def begin(self, waiting: Waiting) -> None:
        """Call `time_is_up` in `wait_s` from now, unless `end` comes before."""
        self._until.pop(waiting, None)
        self._until[waiting] = monotonic() + self.wait_s
        if self._timer is None:
            self._timer = self._loop.call_later(self.wait_s, self._look)

    def end(self, waiting: Waiting) -> None:
        """Drop a deadline."""
        self._until.pop(waiting, None)

    def longest(self, waited_s: float) -> Waiting | None:
        """Return the one that has waited longest, if it has waited for at least `waited_s`."""
        for waiting, until in self._until.items():
            return waiting if until - self.wait_s + waited_s <= monotonic() else None
        return None

    def close(self) -> None:
        """Drop all deadlines."""
        self._until.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        due = []
        for waiting, until in self._until.items():
            if until > now:
                self._timer = self._loop.call_later(until - now, self._look)
                break
            due.append(waiting)
        for waiting in due:
            # Another one's `time_is_up` may have ended it.
            if self._until.pop(waiting, None) is not None:
                waiting.time_is_up()
