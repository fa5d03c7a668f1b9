"""Know when this process stood still: stopped by a signal, or with its container or machine.

What members sent meanwhile waits in the sockets, or was dropped there. So this time counts as no one's silence.
"""

from collections import deque

STOOD_STILL_S = 1.0
"""Ticks come four times a second, and no work of the gateway takes that long."""
REMEMBERED = 100
"""Standstills that are remembered; of more, the oldest count as silence again."""


class Standstills:
    """The times in which nothing could be received. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._ticked_at: float | None = None
        self._known: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        """(when one ended, how long it was)"""

    def tick(self, now: float) -> float:
        """Note that the process runs; return for how long it has stood still until now, 0 if it has not.

        Call it several times a second.
        """
        length = 0.0 if self._ticked_at is None else now - self._ticked_at
        self._ticked_at = now
        if length <= STOOD_STILL_S:
            return 0.0
        self._known.append((now, length))
        return length

    def total_s(self, now: float) -> float:
        """Return how long it stood still in all, as far as that is remembered."""
        return sum(length for _, length in self._known) + self._unnoted_s(float("-inf"), now)

    def silent_s(self, since: float, now: float) -> float:
        """Return how long a member has been silent that was heard last at `since`."""
        silent_s = now - since - self._unnoted_s(since, now)
        for ended, length in reversed(self._known):
            if ended <= since:
                break
            silent_s -= length
        return silent_s

    def _unnoted_s(self, since: float, now: float) -> float:
        """Return how long it has stood still until now after `since`: it may read its sockets before it ticks."""
        if self._ticked_at is None or now - self._ticked_at <= STOOD_STILL_S:
            return 0.0
        return now - max(since, self._ticked_at)
