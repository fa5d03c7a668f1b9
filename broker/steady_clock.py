"""Follow the system's clock, but no step of it that does not last.

A clock that stands 40 days ahead for some seconds, until it is corrected, must not delete what is a day old, end bans
or stamp messages. So a step is followed when it has lasted for `HOLDS_MS`; until then the time goes on as before. Times
are milliseconds: `wall_ms` since 1970, `passed_ms` since the system was started, also while it slept.
"""

STEP_MS = 1_000
"""A difference up to this is no step, but the adjustment of a clock that goes wrong a little."""
HOLDS_MS = 120_000
AWAY_MS = 3_600_000
"""If the store's newest entry is older than this when the broker begins, the clock may be wrong already."""


class SteadyClock:
    """The time by which the broker decides; pure, so both clocks are arguments."""

    def __init__(self, wall_ms: int, passed_ms: int, newest_ms: int = 0) -> None:
        """Begin with what the clocks show; `newest_ms` is when the store's newest entry was stamped, 0: it has none."""
        self.offset_ms = wall_ms - passed_ms
        """What the time since 1970 is more than `passed_ms`."""
        self.step_ms = 0
        """By how much the system's clock was set last."""
        self._since = 0
        self.is_doubted = False
        """The system's clock has made a step that is not followed yet."""
        is_away = bool(newest_ms) and wall_ms - newest_ms > AWAY_MS
        self._deletes_from = passed_ms + HOLDS_MS if is_away else passed_ms

    def read(self, wall_ms: int, passed_ms: int) -> int:
        """Return the time since 1970."""
        expected = passed_ms + self.offset_ms
        step = wall_ms - expected
        if -STEP_MS <= step <= STEP_MS:
            self.is_doubted = False
        elif not self.is_doubted or not -STEP_MS <= step - self.step_ms <= STEP_MS:
            self.is_doubted, self.step_ms, self._since = True, step, passed_ms
            return expected
        elif passed_ms - self._since < HOLDS_MS:
            return expected
        else:
            self.is_doubted = False
        self.offset_ms += step
        return wall_ms

    def deletes_by(self, wall_ms: int, passed_ms: int) -> int:
        """Return the time by which old entries may be deleted; 0: none, as the clock may be wrong since the start."""
        return min(self.read(wall_ms, passed_ms), wall_ms) if passed_ms >= self._deletes_from else 0
