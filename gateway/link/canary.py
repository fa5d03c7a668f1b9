"""Canaries: probes that go gateway → broker → gateway. They prove health and renew the gateway's lease on its members.

The broker publishes them in order among the news, so a missing canary shows that news may be missing.
"""

from collections import deque

from tsudoi.ops.histogram import Histogram

CANARY_S = 0.25
"""The time between two canaries."""
HEALTHY_S = 2.0
"""Health is red when none has come back for this time."""
LEASE_S = 1.7
"""The lease lasts this long from the sending of a canary that came back. The broker gives a gateway's members to
another only after 2 s without a frame from it."""
CANARIES = 100
"""Canaries whose times are remembered: 25 s of them."""


class Canary:
    """Numbers canaries and keeps the lease; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._last = 0
        self._sent: deque[tuple[int, float]] = deque(maxlen=CANARIES)
        """(number, when it was sent) of those that may still come back."""
        self._back = 0
        """Number of the last one that came back."""
        self.back_at = float("-inf")
        self._lease_until = float("-inf")
        self.round_trip_s = Histogram()
        self.ended = 0
        """How many times the lease was ended at once; a new one may have begun before anything looked."""
        self.lost = 0
        """Canaries that never came back though later ones did."""

    def send(self, now: float) -> int:
        """Return the number of the next canary, which is sent now."""
        self._last += 1
        self._sent.append((self._last, now))
        return self._last

    def take_back(self, number: int, now: float) -> bool:
        """Handle a canary that has come back; return False if earlier ones have not: news may be lost."""
        if number > self._last:
            return True
        while self._sent and self._sent[0][0] < number:
            self._sent.popleft()
        if not self._sent or self._sent[0][0] != number:
            return True
        _, sent_at = self._sent.popleft()
        lost = number - self._back - 1
        self._back, self.back_at = number, now
        self.lost += lost
        self.round_trip_s.note(now - sent_at)
        self._lease_until = max(self._lease_until, sent_at + LEASE_S)
        return not lost

    def end_lease(self) -> None:
        """End the lease: a broker that does not know this gateway may have given its members to others."""
        self.ended += 1
        self._lease_until = float("-inf")
        self._sent.clear()

    def has_lease(self, now: float) -> bool:
        """Return whether no other gateway can own this gateway's members."""
        return now < self._lease_until

    def unhealthy_reason(self, now: float) -> str:
        """Return why health is red; empty: it is green."""
        if now - self.back_at < HEALTHY_S:
            return ""
        if self.back_at == float("-inf"):
            return "the broker has not been reached yet"
        return f"nothing came back from the broker for {now - self.back_at:.1f} s"
