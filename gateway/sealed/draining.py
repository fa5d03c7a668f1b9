"""Ask members of version 2 to go on at another gateway, before this one stops; PROTOCOL.md, "Life". No I/O, no clock.

A member is asked again while it stays in the same run, since the line may be lost. A member that has resumed here since
then has no other gateway, and is not asked again.
"""

from dataclasses import dataclass, field

from tsudoi.protocol.sealed.lines import DownLine, Moving, serialize
from tsudoi.protocol.sealed.packets import NO_RUN

from ..chat.members import Members
from .link import SealedLink

SHARE = 0.75
"""Of the time until this gateway stops, the part in which its members go: the rest is for those that try again."""
ASK_S = 0.5
"""Between two calls of `ask`."""


@dataclass(slots=True, eq=False)
class Draining:
    """The members that are to go."""

    members: Members
    _runs: dict[SealedLink, bytes] = field(default_factory=dict)
    """Those that were asked, and in which run first."""

    def ask(self, left_s: float, to: tuple[str, ...]) -> int:
        """Ask those that have not gone, to go within a part of the time left; return how many members are served."""
        line = serialize(DownLine(moving=Moving(round(SHARE * left_s, 3), list(to))))
        served = 0
        for member in self.members.by_session.values():
            if (link := member.sealed) is not None and link.run != NO_RUN:
                served += 1
                if self._runs.setdefault(link, link.run) == link.run:
                    link.send(line)
        return served
