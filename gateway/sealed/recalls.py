"""Decide which clients are told to resume, and when; PROTOCOL.md, "Recalled". No I/O.

The *retry* that tells a client may be lost, or come when the client has to ignore it. So it is repeated until the
client has resumed. First ones go before repeated ones, and all at a limited rate, since each leads to questions to the
broker.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tsudoi.protocol.sealed.packets import NO_RUN

if TYPE_CHECKING:
    from .link import SealedLink

WAITS_S = (0.0, 0.6, 1.2, 2.4)
"""Before each *retry* to one client. It ignores the first one within 0.5 s after a `resumed`, but not the second."""
AT_ONCE = 30
"""Clients that are told in one call: some 1,000 a second (`sender.REPEAT_S`). To serve one anew takes under 0.5 ms."""


Place = tuple[int, bytes]
"""A listener, and an address of a client there."""


class Recalls:
    """The links whose clients are to resume: each is here once at most, so there are no more than members."""

    def __init__(self) -> None:
        self._stages: tuple[dict[SealedLink, tuple[float, Sequence[Place]]], ...] = tuple({} for _ in WAITS_S)
        """By how often their clients were told; each link with the time from which on that is due again, in order, and
        where its client is told."""

    def __bool__(self) -> bool:
        return any(self._stages)

    def add(self, link: "SealedLink", places: Sequence[Place]) -> None:
        """Tell a client, at each of these places, from the next call of `due` on."""
        for stage in self._stages:
            stage.pop(link, None)
        self._stages[0][link] = 0.0, places

    def due(self, now: float) -> Iterator[tuple["SealedLink", Sequence[Place]]]:
        """Yield the links whose clients are to be told now, and where; forget those that have resumed or left."""
        left = AT_ONCE
        for at, stage in enumerate(self._stages):
            while stage and left:
                link = next(iter(stage))
                due_at, places = stage[link]
                if due_at > now:
                    break
                del stage[link]
                if link.run != NO_RUN or link.member.leaving or link.member.sealed is not link:
                    continue
                if at + 1 < len(WAITS_S):
                    self._stages[at + 1][link] = now + WAITS_S[at + 1], places
                left -= 1
                yield link, places
