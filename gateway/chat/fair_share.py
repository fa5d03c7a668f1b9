"""Share a rate between the members that use it: a member that sends too much loses messages, others do not.

While the rate suffices this is a token bucket. Beyond it each sender still has its share: the rate divided by the
number of members refused lately. Shares are borrowed from the bucket, so all members together keep to the rate.
"""

from tsudoi.ops.token_bucket import Bucket

WINDOW_S = 1
"""Shares are counted anew after this time."""


class FairShare(Bucket):
    """The bucket of an address or a room. Times are monotonic seconds."""

    __slots__ = ("_shares", "_shares_before", "_window")

    def __init__(self, burst: float, now: float) -> None:
        super().__init__(burst, now)
        self._shares: dict[int, int] = {}
        """Member id → messages allowed as its share in this window."""
        self._shares_before = 0
        """Members with a share in the last window."""
        self._window = 0

    def take_shares(self, member: int, now: float, rate: float, burst: float, count: int) -> int:
        """Return how many of `count` messages that `take` has refused are within their member's share; count them."""
        allowed = 0
        while allowed < count and self._take_share(member, now, rate):
            self.borrow(burst)
            allowed += 1
        return allowed

    def _take_share(self, member: int, now: float, rate: float) -> bool:
        """Return whether a message is within its member's share, and count it if it is."""
        window = int(now) // WINDOW_S
        if window != self._window:
            self._shares_before = len(self._shares) if window == self._window + 1 else 0
            self._window, self._shares = window, {}
        taken = self._shares.get(member, 0)
        sharing = max(self._shares_before, len(self._shares) + (not taken))
        if taken >= max(rate * WINDOW_S / sharing, 1.0):
            return False
        self._shares[member] = taken + 1
        return True
