"""Keep the deadlines of many connections with one timer: all last equally long."""

import asyncio
from time import monotonic
from typing import Protocol

STOOD_STILL_S = 1.0
"""A timer that is so late means that the process was stopped; no work of the gateway takes that long."""
READ_FIRST_S = 0.25
"""How long deadlines that have passed meanwhile then wait: what has come in this time is read first."""


class Waiting(Protocol):
    """Something with a deadline."""

    def time_is_up(self) -> None:
        """Handle that the deadline has passed."""


class Deadlines:
    """Deadlines in the order in which they pass, which is the order in which they began."""

    def __init__(self, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.wait_s = wait_s
        """How long all last."""
        self._until: dict[Waiting, float] = {}
        self._timer: asyncio.Handle | None = None
        self._look_at = 0.0
        """When the timer is due."""

    def begin(self, waiting: Waiting) -> None:
        """Call `time_is_up` in `wait_s` from now, unless `end` comes before."""
        self._until.pop(waiting, None)
        self._until[waiting] = monotonic() + self.wait_s
        if self._timer is None:
            self._begin_timer(self.wait_s)

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

    def _begin_timer(self, seconds: float) -> None:
        self._look_at = monotonic() + seconds
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        if now - self._look_at > STOOD_STILL_S:
            self._begin_timer(READ_FIRST_S)
            return
        due = []
        for waiting, until in self._until.items():
            if until > now:
                self._begin_timer(until - now)
                break
            due.append(waiting)
        for waiting in due:
            # Another one's `time_is_up` may have ended it.
            if self._until.pop(waiting, None) is not None:
                waiting.time_is_up()
