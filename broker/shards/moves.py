"""Decide which shards a broker takes and gives, from one look at the store."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Cluster

from ..store.sharing import View
from .spread import spread

MOVING = 4
"""Shards that are free at a time because brokers hand them over: each stands still until the next broker has it."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What a broker is to do, by shard."""

    take: list[int] = field(default_factory=list)
    """They are free, and shall be this broker's."""
    give: list[int] = field(default_factory=list)
    """This broker serves them, and another shall."""
    free: list[int] = field(default_factory=list)
    """The store has them as this broker's, but it does not serve them: it has dropped its picture of them. Free, they
    can be taken in a new term."""
    lost: list[int] = field(default_factory=list)
    """This broker serves them, but the store has them as another's, or free: all shards must be dropped."""


def decide(view: View, served: Mapping[int, int], moving: Collection[int]) -> Moves:
    """Return which shards this broker is to take and to give, and which it has lost.

    Args:
        view: what the store had, perhaps a moment ago.
        served: shard → its term, of the shards that the broker serves.
        moving: those that it is taking or giving now; they are left alone.
    """
    staying = [broker for broker in view.brokers if not broker.is_leaving]
    staying = [broker for broker in staying if not broker.is_unreached] or staying
    wanted = spread(len(view.owners), [(broker.id, broker.endpoint) for broker in staying])
    moves = Moves()
    to_give: list[int] = []
    under_way = len(set(moving))
    for shard, (term, owner) in enumerate(view.owners):
        if shard in moving:
            continue
        if shard in served:
            if owner == view.me and wanted[shard] not in (view.me, ""):
                to_give.append(shard)
            elif owner != view.me and term >= served[shard]:
                moves.lost.append(shard)
        elif owner == view.me:
            moves.free.append(shard)
        elif not owner and wanted[shard] == view.me:
            moves.take.append(shard)
        elif not owner and wanted[shard]:
            under_way += 1
    moves.give.extend(to_give[: max(MOVING - under_way, 0)])
    return moves


def cluster(
    view: View, endpoint: str, served: Mapping[int, int], loading: Collection[int], ended: Mapping[int, int]
) -> Cluster:
    """Return the Cluster frame of the broker that gateways reach at `endpoint`.

    Within a term a shard's owner changes once, to none. So a shard that is still loaded is listed in the term before,
    without owner.

    Args:
        view: what the store had; it may be older than what this broker knows of itself.
        endpoint: this broker's.
        served: shard → its term, of those that it serves.
        loading: those that it has taken and does not serve yet.
        ended: shard → its last term, of those that it served.
    """
    others = [broker for broker in view.brokers if broker.id != view.me]
    numbers = {broker.id: number for number, broker in enumerate(others, 2)}
    owners = []
    for shard, (term, owner) in enumerate(view.owners):
        if shard in served:
            owners.append((served[shard], 1))
        elif ended.get(shard, 0) >= term:
            owners.append((ended.get(shard, 0), 0))
        elif owner == view.me and shard in loading:
            owners.append((term - 1, 0))
        else:
            owners.append((term, numbers.get(owner, 0)))
    return Cluster([endpoint, *(broker.endpoint for broker in others)], 1, owners)
