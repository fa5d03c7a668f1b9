"""Decide when a client pings; PROTOCOL.md, "Life". No I/O.

It pings before a NAT drops its mapping, again while no answer comes, and once when its room has become quiet.
"""

from random import Random

PING_S = (20.0, 25.0)
AGAIN_S, LAST_AGAIN_S = 0.5, 4.0
"""Between pings without a PONG: the first three, and at most. A gateway that is behind must not get more and more."""
QUIET_S = (4.0, 5.0)
"""Silence after entries, after which a ping asks whether the room is quiet, or this client hears nothing any more."""
UNASKED_S = 10.0
"""Nothing is asked so within that time after the last packet: a room with a line each 5 s should cost few pings."""


class Pings:
    """The decisions of one session."""

    def __init__(self, dice: Random, now: float) -> None:
        """Begin; a first packet is just being sent."""
        self._dice = dice
        self._is_open = False
        """One has no answer yet."""
        self._last = self._first = 0
        """The numbers of the last ping, and of the first that is open."""
        self.at = now
        """When the next one is due."""
        self.quiet_at: float | None = None
        """When to ping unless entries have come lately; None: none have come since the last packet was sent."""
        self._pinged_at = self._entries_at = now
        self.took_s: float | None = None
        """How long the last PONG took; None: it answered a ping that others have followed."""
        self.note_sent(now)

    def note_sent(self, now: float) -> None:
        self._sent_at, self.quiet_at = now, None
        if not self._is_open:
            self.at = now + self._dice.uniform(*PING_S)

    def note_entries(self, now: float) -> None:
        """Note that entries have come: if no more do, ask whether there are none."""
        self._entries_at = now
        if self.quiet_at is None:
            self.quiet_at = self._quiet_after(now)

    def _quiet_after(self, now: float) -> float:
        return max(now + self._dice.uniform(*QUIET_S), self._sent_at + UNASKED_S)

    def ask_by(self, at: float) -> None:
        """Ping at a time, if not before."""
        if not self._is_open:
            self.at = min(self.at, at)

    def begin_run(self, now: float) -> None:
        """Let only pings count that are sent from now on, in another run; one that was open is repeated soon."""
        self.at, self._first = now + AGAIN_S, self._last + 1
        self.note_sent(now)

    def look(self, now: float) -> None:
        """Ping soon if the room has become quiet."""
        if self.quiet_at is not None and now >= self.quiet_at:
            is_quiet = now >= self._entries_at + QUIET_S[0]
            self.quiet_at = None if is_quiet else self._quiet_after(self._entries_at)
            if is_quiet:
                self.ask_by(now)

    def next(self, now: float) -> int:
        """Return the number of a ping that is sent now."""
        self._last += 1
        if not self._is_open:
            self._is_open, self._first = True, self._last
        self._pinged_at = now
        again = self._last - self._first
        self.at = now + min(AGAIN_S * 2 ** max(again - 1, 0), LAST_AGAIN_S)
        return self._last

    def take_pong(self, number: int, now: float) -> bool:
        """Take a PONG; return False if it answers an earlier question: what it tells may be old."""
        if not self._is_open or number < self._first:
            return False
        self.took_s = now - self._pinged_at if number == self._last else None
        self._is_open = False
        self.note_sent(now)
        return True
