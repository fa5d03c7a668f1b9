"""Find members that have sent nothing for longer than the idle time-out.

A member is looked at in the second in which its time could be up, and again later if it has sent something since. So it
costs one look a time-out, however many others there are. A changed time-out holds from the next look on.
"""

from collections import defaultdict
from collections.abc import Iterator

from ..settings import Settings
from .members import Member
from .standstills import Standstills

REMOVED_SLACK = 1_000
"""Removed members, beyond as many as are served, that the wheel may still hold before all of them are swept out."""


class IdleWheel:
    """Members by the second in which their idle time-out could be over."""

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
        self._due[int(member.seen + self._idle_s) + 1].append(member)

    def removed(self, served: int) -> None:
        """Note that a member has been removed (`leaving` is set), and sweep if most members in the wheel are such."""
        self._removed += 1
        if self._removed > served + REMOVED_SLACK:
            for second, members in self._due.items():
                self._due[second] = [member for member in members if not member.leaving]
            self._removed = 0

    def expired(self, now: float) -> Iterator[Member]:
        """Yield the members whose idle time-out is over."""
        this_second = int(now)
        if self._idle_s != self._settings.idle_timeout_s:
            self._place_again()
        if self._looked_at is None:
            self._looked_at = min(min(self._due, default=this_second), this_second) - 1
        for second in range(self._looked_at + 1, this_second + 1):
            for member in self._due.pop(second, ()):
                if member.leaving:
                    self._removed = max(self._removed - 1, 0)
                elif (silent_s := self._silent_s(member, now)) >= self._idle_s and member.stream is None:
                    yield member
                else:
                    self._due[max(int(now + self._idle_s - silent_s) + 1, this_second + 1)].append(member)
        self._looked_at = max(this_second, self._looked_at)

    def _silent_s(self, member: Member, now: float) -> float:
        # A WebSocket that lives is a sign of life: one that does not is closed in time. A link of version 2 is served
        # for `SILENT_S` after its last packet, so it says nothing about when the member was heard.
        if member.stream is not None and member.sealed is None:
            return 0.0
        return self._standstills.silent_s(member.seen, now)

    def _place_again(self) -> None:
        """Place all members by the changed time-out; with a shorter one their seconds come sooner."""
        self._idle_s = self._settings.idle_timeout_s
        watched = [member for members in self._due.values() for member in members if not member.leaving]
        self._due.clear()
        self._removed = 0
        next_look = 0 if self._looked_at is None else self._looked_at + 1
        for member in watched:
            self._due[max(int(member.seen + self._idle_s) + 1, next_look)].append(member)
