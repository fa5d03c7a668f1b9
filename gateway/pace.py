"""How fast somebody is told what it has missed: a burst at once, then a rate, so that no replay floods anyone."""

BURST_S = 0.5
"""What a rate brings in this time may be told at once: two looks of the tick that goes on with what had to wait."""
PORTION = 500
"""Entries to ask the log for at once, if so many are missing and allowed; less would ask too often."""


class Pace:
    """One replay's allowance, from its beginning until whoever hears it has come to where the others are."""

    __slots__ = ("_at", "_goal", "_left", "_rate", "waits")

    def __init__(self, rate: float, goal: int, now: float) -> None:
        """Begin.

        Args:
            rate: entries a second.
            goal: the offset to come to, as it is now; it goes on.
            now: monotonic seconds.
        """
        self._rate = rate
        self._left = self._burst
        self._goal = goal
        self._at = now
        self.waits = False
        """The last portion was none."""

    @property
    def _burst(self) -> float:
        return max(self._rate * BURST_S, 1.0)

    def portion(self, heard: int, goal: int, now: float) -> int:
        """Return how many entries may be told now, from 0 to `PORTION`.

        That can be more than are missing: some may come until they are told. Whoever is behind may always hear twice as
        much as is said meanwhile: it would never get there otherwise.

        Args:
            heard: the offset that was come to.
            goal: the offset to come to.
            now: monotonic seconds.
        """
        earned = min(self._left + (now - self._at) * self._rate, self._burst)
        self._left = max(self._left, earned) + 2 * max(goal - self._goal, 0)
        self._goal, self._at = goal, now
        # Crumbs are not worth a question: all that is missing, or what a burst holds.
        self.waits = self._left < min(max(goal - heard, 1), PORTION, self._burst)
        return 0 if self.waits else min(int(self._left), PORTION)

    def told(self, count: int) -> None:
        """Count entries as told."""
        self._left -= count
