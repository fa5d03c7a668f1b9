"""Decide for how long items wait for company, so that one frame carries many; `now` is monotonic seconds.

The first item after a pause is sent at once. Further ones wait until some time after the last frames: each frame costs
a wake-up in every process on the way, and a commit. That time follows the rate of items, not their number in a frame,
which would grow with it: below the rate the wait stays short, since there is processor time for more frames; above it
frames are saved (benchmarks/RESULTS.md, rows "200 rooms × 5").

Messages of rooms under load wait longest: what one turn has of a room goes to each member in one send
(`listeners/segments.py`), and there are fewer turns (rows "one room of 10", "one room of 100"). A game of ten players
who each send 20 messages a second is no such room: 25 ms would be half of its time between two pictures. The average
over all rooms decides, so messages of others wait as long beside a room that has nearly all.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from tsudoi.protocol.backbone import Item

from ..counters import Counters

GATHER_S = 0.0008
"""The least time between two frames; where timers end it (`process/service.py`), about a millisecond."""
GATHER_BUSY_S = 0.004
"""The same above the rate."""
GATHER_TOGETHER_S = 0.025
"""The same if many messages of each room come together."""
BUSY_RATE, BUSY_RATE_INSIDE = 1_500, 5_000
"""Lines a second above which it is; the latter if the broker is in this process: a frame then costs half as much."""
TOGETHER_RATE = 150
"""Messages a second, averaged over the rooms that have any, above which many of a room come together."""
LOAD = 10_000
"""Deliveries a second of this gateway, averaged over these rooms, below which nothing waits for that. A member that
catches up does not make others wait."""
ENOUGH = 150
"""Items that need not wait for more: what they would save is little by then."""
WINDOW_S = 0.05
"""The rate is taken over this time, or over the pause if nothing came for longer."""

_room_of, _more_of = attrgetter("room"), attrgetter("more")


def further_lines(items: Iterable[Item]) -> int:
    """Return how many lines items have beyond one each."""
    return sum(map(len, map(_more_of, items)))


class Gathering:
    """The rate of all items that a gateway sends, and the wait that follows from it."""

    def __init__(self, counters: Counters, busy_rate: float = BUSY_RATE) -> None:
        """Begin at rest; `counters` are the gateway's and count its deliveries."""
        self.wait_s = GATHER_S
        """How long after the last frames the next ones should be sent."""
        self._counters = counters
        self._busy_rate = busy_rate
        self._count = 0
        self._rooms: set[int] = set()
        self._since = 0.0
        self._delivered = 0

    def note(self, items: Sequence[Item], now: float) -> None:
        """Count the lines of items that are sent."""
        self._count += len(items) + further_lines(items)
        self._rooms.update(map(_room_of, items))
        passed_s = now - self._since
        if passed_s >= WINDOW_S:
            self.wait_s = self._wait_s(passed_s)
            self._count, self._since, self._delivered = 0, now, self._fanned_out
            self._rooms.clear()

    @property
    def _fanned_out(self) -> int:
        return self._counters.deliveries - self._counters.to_one

    def _wait_s(self, passed_s: float) -> float:
        deliveries = self._fanned_out - self._delivered
        in_rooms = passed_s * len(self._rooms)
        if self._count > TOGETHER_RATE * in_rooms and deliveries > LOAD * in_rooms:
            return max(GATHER_BUSY_S, min(GATHER_TOGETHER_S, ENOUGH * passed_s / self._count))
        return GATHER_BUSY_S if self._count > self._busy_rate * passed_s else GATHER_S
