"""Read the clocks for the broker's decisions, and log steps of the system's clock.

A step is looked for several times a second, not in each turn.
"""

import time

from tsudoi.ops import logs

from ..steady_clock import HOLDS_MS, SteadyClock
from ..turn import Moment

logger = logs.get("broker.server")


class Clock:
    """The monotonic clock, and the system's clock without steps that do not last."""

    def __init__(self, newest_ms: int) -> None:
        """Begin; `newest_ms` as for `SteadyClock`."""
        self._steady = SteadyClock(*_clocks_ms(), newest_ms)
        self._was_doubted = False
        """As last logged."""

    def read(self) -> Moment:
        passed_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        return Moment(time.monotonic(), self._steady.offset_ms + passed_ms)

    def deletes_before_ms(self, age_s: float) -> int:
        """Return the time before which log entries are older than `age_s`, and may be deleted; 0: none may."""
        return max(self._steady.deletes_by(*_clocks_ms()) - int(age_s * 1000), 0)

    def look(self) -> None:
        """Follow the system's clock; log a step of it, and what became of that. Call it several times a second."""
        self._steady.read(*_clocks_ms())
        if self._steady.is_doubted == self._was_doubted:
            return
        self._was_doubted = self._steady.is_doubted
        if self._was_doubted:
            by_s, for_s = round(self._steady.step_ms / 1000), HOLDS_MS // 1000
            logger.warning("the system's clock was set; this is followed if it lasts", by_s=by_s, for_s=for_s)
        else:
            logger.warning("the system's clock is followed again")


def _clocks_ms() -> tuple[int, int]:
    """Return the arguments of `SteadyClock`."""
    return int(time.time() * 1000), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
