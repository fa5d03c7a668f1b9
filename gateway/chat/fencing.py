"""Deliver nothing while the broker may have given this gateway's members to another gateway.

Each canary that comes back renews the gateway's lease (`link/canary.py`). Without a lease the gateway is fenced: it
delivers nothing until it has asked the broker which members it still owns (reconcile), and has dropped the others. It
also reconciles when it has lost news of its members.

While this gateway was fenced, a member may have gone to another one and have come back before that one died. It still
belongs to the dead one, so this gateway asks for it (Resume).

Each shard has its own lease, so the end of one broker fences only the rooms of its shards.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Reconcile, Reconciled

from ..link.canary import LEASE_S
from ..link.link import Link
from ..link.reachability import name_shards
from .leave import Leaving
from .members import DISPLACED, Member
from .outbound import Component
from .unknown_members import UnknownMembers

PAUSE_S = 2.0
"""Least time between two questions because of lost news: a gateway that is too slow loses some all the time."""
STUCK_S = 5.0
"""A gateway that is fenced for this long is unhealthy, also if canaries come back: the broker's commits take so long
that leases end before a question is answered."""
RECONCILES = 3
"""Most questions in a row, if members enter between a question and its answer."""


@dataclass(slots=True)
class _Fence:
    """The state of one shard."""

    link: Link
    is_fenced: bool = True
    fenced_at: float = math.inf
    """When a tick first saw it fenced; infinite: it is not."""
    is_asking: bool = False
    has_lost_news: bool = False
    ended: int = 0
    """`Canary.ended` when the broker was last asked: a shard that has moved since is fenced, also if the move took less
    than the time between two ticks."""
    asked_at: float = float("-inf")
    sure_until: float = float("-inf")
    """Until then at least no other gateway owned this one's members: the last canary to come back was sent then."""


@dataclass(slots=True, eq=False)
class Fencing(Component):
    """Decides in which shards' rooms this gateway may deliver."""

    leaving: Leaving
    unknown_members: UnknownMembers
    on_reconciled: Callable[[int, float], None] = field(init=False)
    """Set by `Deliver`; called when delivery of a shard's rooms may continue."""
    ask_for: Callable[[Member, float], None] = field(init=False)
    """Set by `ChatCore`: `UnknownTokens.ask_for`."""
    _fences: list[_Fence] = field(init=False)
    """By shard."""

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin, fenced, with a shard for each link."""
        self._fences = [_Fence(link) for link in self.routes.links]

    def is_fenced(self, shard: int, now: float) -> bool:
        """Return whether another gateway may already own this gateway's members in the rooms of a shard."""
        fence = self._fences[shard]
        canary = fence.link.canary
        if not fence.is_fenced and (fence.ended != canary.ended or not canary.has_lease(now)):
            fence.is_fenced, fence.sure_until = True, now - LEASE_S
            self.counters.fenced += 1
        return fence.is_fenced

    def tick(self, now: float) -> set[int]:
        """Reconcile where that is needed and possible; return the shards that are fenced."""
        return {shard for shard in range(len(self._fences)) if self.look(shard, now)}

    def look(self, shard: int, now: float) -> bool:
        """Reconcile a shard if that is needed and possible; return whether it is fenced."""
        fence, is_fenced = self._fences[shard], self.is_fenced(shard, now)
        has_lost_news = fence.has_lost_news and now - fence.asked_at >= PAUSE_S
        if not is_fenced:
            fence.fenced_at = math.inf
        elif fence.fenced_at == math.inf:
            fence.fenced_at = now
        wanted = fence.link.canary.has_lease(now) if is_fenced else has_lost_news or fence.link.requests.in_doubt
        if wanted and not fence.is_asking:
            self._reconcile(shard, now, RECONCILES - 1)
        return is_fenced

    def unhealthy_reason(self, now: float) -> str:
        """Return why nothing is delivered for long; empty: no shard is fenced for long. Any thread may call it."""
        stuck = [shard for shard, fence in enumerate(self._fences) if now - fence.fenced_at >= STUCK_S]
        where = "" if len(self._fences) == 1 else f" in rooms of {name_shards(stuck)}"
        return f"the broker answers too slowly, and nothing is delivered{where}" if stuck else ""

    def reconcile(self, shard: int) -> None:
        """Ask soon which members of a shard this gateway owns: the news of some may be lost."""
        self._fences[shard].has_lost_news = True

    def _reconcile(self, shard: int, now: float, repeats: int) -> None:
        """Ask the broker which members of a shard are this gateway's."""
        fence = self._fences[shard]
        link = fence.link
        fence.is_asking, was_fenced = True, fence.is_fenced
        link.requests.in_doubt = fence.has_lost_news = False
        fence.ended = link.canary.ended
        fence.asked_at = now

        def answered(answer: Answer | None, now: float) -> None:
            fence.is_asking = False
            if not isinstance(answer, Reconciled) or not link.canary.has_lease(now):
                link.requests.in_doubt = True
                return
            if fence.is_fenced and not was_fenced:
                return  # the answer may be older than the fencing; a tick asks again
            rooms = self.members.by_shard[shard]
            if repeats and any(not asked.issuperset(room.members) for room in rooms.values()):
                # Members have entered meanwhile. Their grants may be old: another gateway may own them by now.
                self._reconcile(shard, now, repeats - 1)
                return
            elsewhere, orphaned = set(answer.elsewhere), set(answer.orphaned) if was_fenced else set()
            for room in list(rooms.values()):
                for member in [room.members[each] for each in elsewhere.intersection(room.members)]:
                    is_asked_for = member.id in orphaned and _is_here(member, fence.sure_until)
                    self.leaving.drop(member)
                    if is_asked_for:
                        self.ask_for(member, now)
            self.leaving.repeat_all(shard)
            self.unknown_members.note(shard, answer.unknown, now)
            fence.is_fenced = False
            self.on_reconciled(shard, now)

        asked = {member_id for room in self.members.by_shard[shard].values() for member_id in room.members}
        self.routes.ask(shard, Reconcile(list(asked)), now, answered)


def _is_here(member: Member, since: float) -> bool:
    """Return whether a member has sent a datagram to this gateway since a time, and has not left."""
    return member.seen >= since and member.source not in (None, DISPLACED) and not member.leaving
