"""Deliver nothing while the broker may have given this gateway's members to another gateway.

The broker does so when it has not heard a gateway for some time. The gateway therefore holds a lease, renewed by each
canary that comes back (`link/canary.py`). When the lease has run out, the gateway is fenced: it delivers nothing before
it has asked the broker which of its members are still its own (reconcile), and dropped the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.protocol.backbone import Answer, Reconcile, Reconciled

from ..counters import Counters
from ..link.link import Link
from .leave import Leaving
from .members import Members
from .outbound import Outbound

RECONCILES = 3
"""How often the question is repeated at most because members have come in between it and its answer."""


@dataclass(slots=True, eq=False)
class Fencing:
    """Knows whether this gateway may deliver; `now` is monotonic seconds."""

    link: Link
    members: Members
    out: Outbound
    counters: Counters
    leaving: Leaving
    on_reconciled: Callable[[float], None]
    """Called when delivery may go on."""
    _fenced: bool = True
    _asking: bool = False

    def is_fenced(self, now: float) -> bool:
        """Say whether this gateway's members may be another's by now."""
        if not self._fenced and not self.link.canary.has_lease(now):
            self._fenced = True
            self.counters.fenced += 1
        return self._fenced

    def tick(self, now: float) -> bool:
        """Reconcile if that is needed and possible; return whether this gateway is fenced."""
        is_fenced = self.is_fenced(now)
        # In doubt, the directory may count on this gateway for a member that it does not know of.
        wanted = self.link.canary.has_lease(now) if is_fenced else self.link.requests.in_doubt
        if wanted and not self._asking:
            self._reconcile(now, RECONCILES - 1)
        return is_fenced

    def _reconcile(self, now: float, repeats: int) -> None:
        """Ask the broker which members are this gateway's; a fenced gateway delivers nothing before the answer."""
        self._asking, was_fenced = True, self._fenced
        self.link.requests.in_doubt = False

        def answered(answer: Answer | None, now: float) -> None:
            self._asking = False
            if not isinstance(answer, Reconciled) or not self.link.canary.has_lease(now):
                self.link.requests.in_doubt = True
                return
            if self._fenced and not was_fenced:
                return  # the answer may be older than what fenced us; a tick asks again
            rooms = self.members.rooms
            if repeats and any(not asked.issuperset(room.members) for room in rooms.values()):
                # Granted meanwhile, but perhaps long ago on a connection that stood still, and to another since then.
                self._reconcile(now, repeats - 1)
                return
            elsewhere = set(answer.elsewhere)
            for room in list(rooms.values()):
                for member_id in elsewhere.intersection(room.members):
                    self.leaving.drop(room.members[member_id])
            self._fenced = False
            self.on_reconciled(now)

        asked = {member_id for room in self.members.rooms.values() for member_id in room.members}
        self.out.ask(Reconcile(list(asked)), now, answered)
