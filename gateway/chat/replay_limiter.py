"""Limit how fast missed entries are sent: a burst at once, then a rate, so that no replay floods a member."""

BURST_S = 0.5
"""A burst is what the rate allows in this time: two ticks, each of which continues the replays that had to wait."""
PORTION = 500
"""Entries to ask the log for in one question, if so many are missing and allowed."""


class ReplayLimiter:
    """The allowance of one replay, from its beginning until it has reached the room's position."""

    __slots__ = ("_at", "_goal", "_left", "_rate", "waits")

    def __init__(self, rate: float, goal: int, now: float) -> None:
        """Begin with a full burst; `rate` is entries a second, `goal` the offset to reach, as it is now."""
        self._rate = rate
        self._left = self._burst
        self._goal, self._at = goal, now
        self.waits = False
        """The last portion was 0: nothing more is allowed at this moment."""

    @property
    def _burst(self) -> float:
        return max(self._rate * BURST_S, 1.0)

    def portion(self, reached: int, goal: int, now: float) -> int:
        """Return how many entries beyond the offset `reached` may be asked for now, from 0 to `PORTION`.

        This may exceed what is missing, since more entries may come before the answer. For each entry by which the goal
        has advanced, two are allowed: with fewer, a replay in a busy room would never end.
        """
        earned = min(self._left + (now - self._at) * self._rate, self._burst)
        self._left = max(self._left, earned) + 2 * max(goal - self._goal, 0)
        self._goal, self._at = goal, now
        # A few entries are not worth a question, unless they are all that is missing or all that a burst holds.
        self.waits = self._left < min(max(goal - reached, 1), PORTION, self._burst)
        return 0 if self.waits else min(int(self._left), PORTION)

    def sent(self, count: int) -> None:
        """Count entries as sent."""
        self._left -= count
