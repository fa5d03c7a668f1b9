"""Find members that were not heard for a while: nothing is sent to them before they resume; PROTOCOL.md, "Life"."""

from collections import defaultdict
from collections.abc import Iterator

from ..chat.standstills import Standstills
from .link import SealedLink

SILENT_S = 40.0
"""Almost two pings."""


class Silence:
    """Links by the second in which they could have been silent for too long."""

    def __init__(self, standstills: Standstills) -> None:
        self._standstills = standstills
        self._due: defaultdict[int, list[tuple[SealedLink, bytes]]] = defaultdict(list)
        """(the link, its run then)"""
        self._looked_at = -1

    def begin(self, link: SealedLink, now: float) -> None:
        """Watch a link in its present run."""
        self._due[int(now + SILENT_S) + 1].append((link, link.run))

    def over(self, now: float) -> Iterator[SealedLink]:
        """Yield the links that were silent for too long."""
        this_second = int(now)
        if self._looked_at < 0:
            self._looked_at = min(self._due, default=this_second) - 1
        for second in range(self._looked_at + 1, this_second + 1):
            for link, run in self._due.pop(second, ()):
                if link.run != run or link.member.sealed is not link:
                    continue
                silent_s = self._standstills.silent_s(link.member.seen, now)
                if silent_s >= SILENT_S:
                    yield link
                else:
                    self._due[max(int(now + SILENT_S - silent_s) + 1, this_second + 1)].append((link, run))
        self._looked_at = max(this_second, self._looked_at)
