"""Bound the log lines that clients can cause again and again."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from .bounded import put_newest
from .token_bucket import Bucket

_Key = TypeVar("_Key", bound=Hashable)


class LogThrottle(Generic[_Key]):
    """Allow each event to be logged once in a while, and all events together at a bounded rate."""

    def __init__(self, size: int, again_s: float) -> None:
        """Remember the last `size` events that were logged; the same event is not logged again for `again_s`."""
        self._size = size
        self._again_s = again_s
        self._logged: dict[_Key, float] = {}
        self._bucket: Bucket | None = None
        self._suppressed = 0

    def touch(self, key: _Key, now: float, rate: float, burst: float) -> bool:
        """Return whether to log the event `key` at `now` (monotonic seconds); `rate` and `burst` as in `Bucket`."""
        logged = self._logged.get(key)
        if logged is not None and now - logged < self._again_s:
            return False
        self._bucket = self._bucket or Bucket(burst, now)
        if not self._bucket.touch(now, rate, burst):
            self._suppressed += 1
            return False
        put_newest(self._logged, key, now, self._size)
        return True

    def take_suppressed(self) -> int:
        """Return how many events the common rate kept out of the log since the last call."""
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
