"""Find members that were not heard for a while: nothing is sent to them before they resume; PROTOCOL.md, "Life"."""

from collections import defaultdict
from collections.abc import Iterator

from tsudoi.protocol.sealed.packets import NO_RUN

from ..chat.standstills import Standstills
from .link import SealedLink

SILENT_S = 40.0
"""Almost two pings."""


class Silence:
    """The links that are served, by the second in which each could have been silent for `SILENT_S`."""

    def __init__(self, standstills: Standstills) -> None:
        self._standstills = standstills
        self._due: defaultdict[int, list[SealedLink]] = defaultdict(list)
        self._looked_at = -1

    def begin(self, link: SealedLink, now: float) -> None:
        """Watch a link while it is served."""
        if not link.is_watched:
            link.is_watched = True
            self._due[int(now + SILENT_S) + 1].append(link)

    def over(self, now: float) -> Iterator[SealedLink]:
        """Yield the links from whose clients nothing came for `SILENT_S` (40 s), and watch them no more."""
        this_second = int(now)
        if self._looked_at < 0:
            self._looked_at = min(self._due, default=this_second) - 1
        for second in range(self._looked_at + 1, this_second + 1):
            for link in self._due.pop(second, ()):
                if link.run == NO_RUN or link.member.sealed is not link:
                    link.is_watched = False
                    continue
                silent_s = self._standstills.silent_s(link.member.seen, now)
                if silent_s >= SILENT_S:
                    link.is_watched = False
                    yield link
                else:
                    self._due[max(int(now + SILENT_S - silent_s) + 1, this_second + 1)].append(link)
        self._looked_at = max(this_second, self._looked_at)
