"""Decide for how long items wait for company, so that one frame carries many; `now` is monotonic seconds.

The first item after a pause is sent at once. Further ones wait until some time after the last frames: each frame costs
a wake-up in every process on the way, and a commit. That time follows the rate of items, not their number in a frame,
which would grow with it: below the rate the wait stays short, since there is processor time for more frames; above it
frames are saved (benchmarks/RESULTS.md, rows "200 rooms × 5").
"""

GATHER_S = 0.001
"""The least time between two frames. uvloop's timers are not finer."""
GATHER_BUSY_S = 0.004
"""The same above the rate."""
BUSY_RATE, BUSY_RATE_INSIDE = 1_500, 5_000
"""Items a second above which it is; the latter if the broker is in this process: a frame then costs half as much."""
WINDOW_S = 0.05
"""The rate is taken over this time, or over the pause if nothing came for longer."""


class Gathering:
    """The rate of all items that a gateway sends, and the wait that follows from it."""

    def __init__(self, busy_rate: float = BUSY_RATE) -> None:
        self.wait_s = GATHER_S
        """How long after the last frames the next ones should be sent."""
        self._busy_rate = busy_rate
        self._count = 0
        self._since = 0.0

    def note(self, items: int, now: float) -> None:
        """Count items that are sent."""
        self._count += items
        passed_s = now - self._since
        if passed_s >= WINDOW_S:
            self.wait_s = GATHER_BUSY_S if self._count > self._busy_rate * passed_s else GATHER_S
            self._count, self._since = 0, now
