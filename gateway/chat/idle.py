"""Find members that were silent for too long: those that leave, and those of version 2 that are sent nothing more.

A member is looked at in the second in which its time could be up, and again later if it has sent something since. So it
costs one look a time-out, however many others there are. A changed time-out holds from the next look on.
"""

from collections import defaultdict
from collections.abc import Iterator

from tsudoi.protocol.client.dialects import TSUDOI_2

from ..settings import Settings
from .members import Member
from .standstills import Standstills

SILENT_S = 40.0
"""A member of version 2 that was not heard for so long, almost two pings, is served no more before it resumes."""
REMOVED_SLACK = 1_000
"""Removed members, beyond as many as are served, that the wheel may still hold before all of them are swept out."""


class IdleWheel:
    """Members by the second in which they could have been silent for too long."""

    def __init__(self, settings: Settings, standstills: Standstills) -> None:
        self._settings = settings
        self._standstills = standstills
        self._idle_s = settings.idle_timeout_s
        """With which members were placed."""
        self._due: defaultdict[int, list[Member]] = defaultdict(list)
        self._removed = 0
        """Removed members that are still in the wheel."""
        self._looked_at: int | None = None

    def add(self, member: Member) -> None:
        """Watch a member."""
        self._place(member, member.seen, 0.0, 0)

    def removed(self, served: int) -> None:
        """Note that a member has been removed (`leaving` is set), and sweep if most members in the wheel are such."""
        self._removed += 1
        if self._removed > served + REMOVED_SLACK:
            for second, members in self._due.items():
                self._due[second] = [member for member in members if not member.leaving]
            self._removed = 0

    def over(self, now: float) -> Iterator[Member]:
        """Yield the members whose time is over.

        One of version 2 that is served is to be detached: it stays a member until its idle time-out is over, too.
        """
        this_second = int(now)
        if self._idle_s != self._settings.idle_timeout_s:
            self._place_again()
        if self._looked_at is None:
            self._looked_at = min(min(self._due, default=this_second), this_second) - 1
        for second in range(self._looked_at + 1, this_second + 1):
            for member in self._due.pop(second, ()):
                if member.leaving:
                    self._removed = max(self._removed - 1, 0)
                    continue
                silent_s = self._silent_s(member, now)
                is_served = member.stream is not None
                if silent_s >= (SILENT_S if is_served else self._idle_s):
                    yield member
                if is_served or silent_s < self._idle_s:
                    self._place(member, now, silent_s, this_second + 1)
        self._looked_at = max(this_second, self._looked_at)

    def _silent_s(self, member: Member, now: float) -> float:
        # A WebSocket that lives is a sign of life: one that does not is closed in time.
        if member.stream is not None and member.sealed is None:
            return 0.0
        return self._standstills.silent_s(member.seen, now)

    def _place(self, member: Member, now: float, silent_s: float, earliest: int) -> None:
        left_s = self._idle_s - silent_s
        if member.dialect is TSUDOI_2:
            # It may begin to be served at any time from now on.
            left_s = min(left_s, SILENT_S - silent_s if silent_s < SILENT_S else SILENT_S)
        self._due[max(int(now + left_s) + 1, earliest)].append(member)

    def _place_again(self) -> None:
        """Place all members by the changed time-out; with a shorter one their seconds come sooner."""
        self._idle_s = self._settings.idle_timeout_s
        watched = [member for members in self._due.values() for member in members if not member.leaving]
        self._due.clear()
        self._removed = 0
        for member in watched:
            self._place(member, member.seen, 0.0, 0 if self._looked_at is None else self._looked_at + 1)
