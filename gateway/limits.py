"""How fast a member may talk: a token bucket, asked with `touch(now)`."""


class Bucket:
    """Lets `burst` events through at once and `rate` a second in the long run."""

    __slots__ = ("_at", "_left")

    def __init__(self, burst: float, now: float) -> None:
        self._left = burst
        self._at = now

    def touch(self, now: float, rate: float, burst: float) -> bool:
        """Say whether one more event is allowed at `now` (monotonic seconds), and count it if it is."""
        left = min(burst, self._left + (now - self._at) * rate)
        self._at = now
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True
