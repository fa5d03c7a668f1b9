"""Decide which of many repeated incidents are logged, so that strangers can not flood the log."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.token_bucket import Bucket

_Key = TypeVar("_Key", bound=Hashable)


class LogThrottle(Generic[_Key]):
    """Allows one line per key and interval, and limits the rate of all lines together."""

    def __init__(self, size: int, again_s: float) -> None:
        """Remember at most `size` logged keys, and allow none of them again for `again_s` seconds."""
        self._size = size
        self._again_s = again_s
        self._logged: dict[_Key, float] = {}
        self._bucket: Bucket | None = None
        self._suppressed = 0

    def touch(self, key: _Key, now: float, rate: float, burst: float) -> bool:
        """Say whether to log `key` at `now` (monotonic seconds); `rate` and `burst` hold for all keys together."""
        logged = self._logged.get(key)
        if logged is not None and now - logged < self._again_s:
            return False
        self._bucket = self._bucket or Bucket(burst, now)
        if not self._bucket.touch(now, rate, burst):
            self._suppressed += 1
            return False
        self._logged.pop(key, None)
        self._logged[key] = now
        drop_oldest(self._logged, self._size)
        return True

    def take_suppressed(self) -> int:
        """Return how many new keys were not logged because of the rate, and reset the count."""
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
