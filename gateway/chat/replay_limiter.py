"""Limit how fast messages that came late are sent, so that neither a replay nor a burst after a pause floods a member.

A client's socket holds some 270 small datagrams by default (212,992 bytes, udp(7)), and a busy machine may not run the
client for a tenth of a second. So 100 entries may go at once, then a rate, in portions of a 50th of a second.
"""

BURST_S = 0.5
"""At low rates, a burst is what the rate allows in this time."""
AT_ONCE = 100
"""Entries in a burst, at most: of the size of an Ethernet frame, so many fit into a default receive buffer."""
PACE_S = 0.02
"""Time after which replays that had to wait are continued."""
TALK_S = 1.0
"""How fast a room talks is measured over this time. What comes at once after a pause is no speed."""
LATE_S = 0.1
"""A call that comes later than this after the one before allows no more for it."""
PORTION = 500
"""Entries to ask the log for in one question, if so many are missing and allowed."""


class ReplayLimiter:
    """The allowance of a member that catches up, or of a room: of its gaps and its bursts."""

    __slots__ = ("_at", "_goal", "_last", "_left", "_measured_at", "_rate", "_talk", "waits")

    def __init__(self, rate: float, goal: int, now: float) -> None:
        """Begin with a full burst; `rate` is entries a second, `goal` the room's last offset, as it is now."""
        self._rate, self._talk = rate, 0.0
        self._left = self._burst
        self._goal = self._last = goal
        self._measured_at = self._at = now
        self.waits = False
        """The last portion was 0: nothing more is allowed at this moment."""

    @property
    def _burst(self) -> float:
        return max(min(self._rate * BURST_S, AT_ONCE), max(self._rate, 2 * self._talk) * PACE_S, 1.0)

    def _earn(self, goal: int, now: float) -> None:
        """Add what may be sent since the last call: by the rate, or twice of what was said if that is more.

        With less, a replay in a busy room would never end.
        """
        if (measured_s := now - self._measured_at) >= TALK_S:
            # Without what has come now: after a pause that is much at once.
            self._talk = max(self._last - self._goal, 0) / measured_s
            self._goal, self._measured_at = self._last, now
        self._last = goal
        passed_s, self._at = now - self._at, now
        earned = min(self._left + passed_s * max(self._rate, 2 * self._talk), self._burst)
        self._left = max(self._left, earned, 2 * self._talk * min(passed_s, LATE_S))

    def portion(self, reached: int, goal: int, now: float) -> int:
        """Return how many entries beyond the offset `reached` may be asked for now, from 0 to `PORTION`.

        This may exceed what is missing, since more entries may come before the answer.
        """
        self._earn(goal, now)
        # A few entries are not worth a question, unless they are all that is missing or half of what a burst holds.
        self.waits = self._left < max(min(goal - reached, PORTION, self._burst / 2), 1)
        return 0 if self.waits else min(int(self._left), PORTION)

    def live(self, count: int, goal: int, now: float) -> int:
        """Return how many of so many new entries may be sent at once, and count them as sent."""
        self._earn(goal, now)
        allowed = min(count, max(int(self._left), 0))
        self._left -= allowed
        return allowed

    def sent(self, count: int) -> None:
        """Count entries of a portion as sent."""
        self._left -= count
