"""How fast somebody may do something: token buckets, asked with `touch(now)`."""

from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class Bucket:
    """Lets `burst` events through at once and `rate` a second in the long run."""

    __slots__ = ("_at", "_left")

    def __init__(self, burst: float, now: float) -> None:
        self._left = burst
        self._at = now

    def touch(self, now: float, rate: float, burst: float, cost: float = 1.0) -> bool:
        """Say whether one more event is allowed at `now` (monotonic seconds), and count it if it is.

        One that weighs more than others has a `cost` in these.
        """
        left = min(burst, self._left + (now - self._at) * rate)
        self._at = now
        if left < cost:
            self._left = left
            return False
        self._left = left - cost
        return True

    def give_back(self, burst: float) -> bool:
        """One event that was counted has turned out to cost nothing; say whether all of `burst` is left now."""
        self._left = min(burst, self._left + 1.0)
        return self._left >= burst


class Buckets(Generic[_Key]):
    """A bucket for each of many, of which strangers may make up new ones: the one longest not touched is dropped."""

    def __init__(self, size: int) -> None:
        """Know at most `size` of them."""
        self._size = size
        self._of: dict[_Key, Bucket] = {}

    def __len__(self) -> int:
        return len(self._of)

    def touch(self, key: _Key, now: float, rate: float, burst: float) -> bool:
        """Say whether one more event of `key` is allowed at `now`, and count it if it is; see `Bucket`."""
        bucket = self._of.pop(key, None) or Bucket(burst, now)
        self._of[key] = bucket
        if len(self._of) > self._size:
            del self._of[next(iter(self._of))]
        return bucket.touch(now, rate, burst)

    def give_back(self, key: _Key, burst: float) -> None:
        """One event of `key` that was counted has turned out to cost nothing; one that owes nothing is forgotten."""
        if (bucket := self._of.get(key)) and bucket.give_back(burst):
            del self._of[key]


def bound(table: dict[_Key, float], size: int) -> None:
    """Let a table have no more than so many rows: those that came first go."""
    while len(table) > size:
        del table[next(iter(table))]
