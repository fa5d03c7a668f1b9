"""Limit rates with token buckets: `touch(now)` counts an event and says whether it is allowed."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from tsudoi.ops.bounded import drop_oldest

_Key = TypeVar("_Key", bound=Hashable)


class Bucket:
    """Allows `burst` events at once and `rate` per second in the long run."""

    __slots__ = ("_at", "_left")

    def __init__(self, burst: float, now: float) -> None:
        self._left = burst
        self._at = now

    def touch(self, now: float, rate: float, burst: float, cost: float = 1.0) -> bool:
        """Return whether an event is allowed at `now` (monotonic seconds); if it is, subtract its `cost`."""
        left = self._left + (now - self._at) * rate
        if left > burst:
            left = burst
        self._at = now
        if left < cost:
            self._left = left
            return False
        self._left = left - cost
        return True

    def take(self, now: float, rate: float, burst: float, count: int) -> int:
        """Return how many of `count` events are allowed at `now`, and subtract these."""
        left = self._left + (now - self._at) * rate
        if left > burst:
            left = burst
        self._at = now
        if left < count:
            count = max(int(left), 0)
        self._left = left - count
        return count

    def borrow(self, burst: float) -> None:
        """Subtract one event's cost although it is not there; at most `burst` is owed."""
        self._left = max(self._left - 1.0, -burst)

    def refund(self, burst: float) -> bool:
        """Add one event's cost again; return whether the bucket is full now."""
        self._left = min(burst, self._left + 1.0)
        return self._left >= burst

    def is_full(self, now: float, rate: float, burst: float) -> bool:
        """Return whether it is as a new one at `now`."""
        return self._left + (now - self._at) * rate >= burst


class Buckets(Generic[_Key]):
    """One bucket per key. When there are more than `size`, the one that was not touched for longest is dropped."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._of: dict[_Key, Bucket] = {}

    def __len__(self) -> int:
        return len(self._of)

    def touch(self, key: _Key, now: float, rate: float, burst: float) -> bool:
        """Return whether an event of `key` is allowed at `now`, and count it if it is; see `Bucket.touch`."""
        bucket = self._of.pop(key, None) or Bucket(burst, now)
        self._of[key] = bucket
        drop_oldest(self._of, self._size)
        return bucket.touch(now, rate, burst)

    def forget_full(self, now: float, rate: float, burst: float) -> None:
        """Forget the buckets that are full again at `now`: they are as new ones."""
        self._of = {key: bucket for key, bucket in self._of.items() if not bucket.is_full(now, rate, burst)}

    def refund(self, key: _Key, burst: float) -> None:
        """Add one event's cost to the bucket of `key` again; forget the bucket if it is full."""
        if (bucket := self._of.get(key)) and bucket.refund(burst):
            del self._of[key]
