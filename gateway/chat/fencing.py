"""Deliver nothing while the broker may have given this gateway's members to another gateway.

The broker does so when nothing has come from a gateway for some time. Each canary that comes back renews the gateway's
lease (`link/canary.py`). Without a lease the gateway is fenced: it delivers nothing until it has asked the broker which
members it still owns (reconcile), and dropped the others. It also asks when it has lost news of its members.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Reconcile, Reconciled

from ..link.link import Link
from .leave import Leaving
from .outbound import Component
from .unknown_members import UnknownMembers

PAUSE_S = 2.0
"""Least time between two questions because of lost news: a gateway that is too slow loses some all the time."""
RECONCILES = 3
"""Most questions in a row, if members enter between a question and its answer."""


@dataclass(slots=True, eq=False)
class Fencing(Component):
    """Knows whether this gateway may deliver."""

    link: Link
    leaving: Leaving
    unknown_members: UnknownMembers
    on_reconciled: Callable[[float], None] = field(init=False)
    """Set by `Deliver`; called when delivery may continue."""
    _fenced: bool = True
    _asking: bool = False
    _has_lost_news: bool = False
    _asked_at: float = float("-inf")

    def is_fenced(self, now: float) -> bool:
        """Return whether another gateway may already own this gateway's members."""
        if not self._fenced and not self.link.canary.has_lease(now):
            self._fenced = True
            self.counters.fenced += 1
        return self._fenced

    def tick(self, now: float) -> bool:
        """Reconcile if that is needed and possible; return whether this gateway is fenced."""
        is_fenced = self.is_fenced(now)
        has_lost_news = self._has_lost_news and now - self._asked_at >= PAUSE_S
        wanted = self.link.canary.has_lease(now) if is_fenced else has_lost_news or self.link.requests.in_doubt
        if wanted and not self._asking:
            self._reconcile(now, RECONCILES - 1)
        return is_fenced

    def reconcile(self) -> None:
        """Ask soon which members this gateway owns: the news of some may be lost."""
        self._has_lost_news = True

    def _reconcile(self, now: float, repeats: int) -> None:
        """Ask the broker which members are this gateway's."""
        self._asking, was_fenced = True, self._fenced
        self.link.requests.in_doubt = self._has_lost_news = False
        self._asked_at = now

        def answered(answer: Answer | None, now: float) -> None:
            self._asking = False
            if not isinstance(answer, Reconciled) or not self.link.canary.has_lease(now):
                self.link.requests.in_doubt = True
                return
            if self._fenced and not was_fenced:
                return  # the answer may be older than the fencing; a tick asks again
            rooms = self.members.rooms
            if repeats and any(not asked.issuperset(room.members) for room in rooms.values()):
                # Members have entered meanwhile. Their grants may be old: another gateway may own them by now.
                self._reconcile(now, repeats - 1)
                return
            elsewhere = set(answer.elsewhere)
            for room in list(rooms.values()):
                for member_id in elsewhere.intersection(room.members):
                    self.leaving.drop(room.members[member_id])
            self.leaving.repeat_all()
            self.unknown_members.note(answer.unknown, now)
            self._fenced = False
            self.on_reconciled(now)

        asked = {member_id for room in self.members.rooms.values() for member_id in room.members}
        self.out.ask(Reconcile(list(asked)), now, answered)
