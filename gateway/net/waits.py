"""Time-outs of many that all have the same patience: one timer, and no work for those who are done in time."""

import asyncio
from time import monotonic
from typing import Protocol


class Waiting(Protocol):
    """Whoever has a time-out."""

    def time_is_up(self) -> None:
        """It has waited for so long."""


class Waits:
    """Who waits. As all have the same time, who began first is first."""

    def __init__(self, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.wait_s = wait_s
        """May change: who waits already is told when its time and that of those before it are up."""
        self._until: dict[Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, who: Waiting) -> None:
        """Tell it when its time is up, counted from now, unless `end` comes before."""
        self._until.pop(who, None)
        self._until[who] = monotonic() + self.wait_s
        if self._timer is None:
            self._timer = self._loop.call_later(self.wait_s, self._look)

    def end(self, who: Waiting) -> None:
        """It waits no more."""
        self._until.pop(who, None)

    def longest(self, waited_s: float) -> Waiting | None:
        """Return who has waited for longest, if for `waited_s` at least."""
        for who, until in self._until.items():
            return who if until - self.wait_s + waited_s <= monotonic() else None
        return None

    def close(self) -> None:
        """Tell nobody any more."""
        self._until.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        due = []
        for who, until in self._until.items():
            if until > now:
                self._timer = self._loop.call_later(until - now, self._look)
                break
            due.append(who)
        for who in due:
            # Whoever came before may have ended it.
            if self._until.pop(who, None) is not None:
                who.time_is_up()
