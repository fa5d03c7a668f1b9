"""List the shards for operators."""

from tsudoi.protocol.backbone import admin_frames

from ..shards.cores import Cores
from ..store.sharing import View


def list_shards(cores: Cores, view: View | None, endpoint: str, admin: str) -> admin_frames.Shards:
    """Return the shards and their brokers, as this broker sees them.

    Args:
        cores: of the shards that it serves.
        view: its last look at the store; None: it shares none.
        endpoint: where gateways reach it.
        admin: where operators of other machines reach it; empty: nowhere.
    """
    sizes = {core.shard: (len(core.directory.rooms), core.directory.present) for core in cores}
    me = admin_frames.Broker(endpoint, admin, False)
    if view is None:
        return admin_frames.Shards([me], 1, [admin_frames.Shard(0, 0, 1, *sizes[0], True)])
    others = [broker for broker in view.brokers if broker.id != view.me]
    numbers = {broker.id: number for number, broker in enumerate(others, 2)} | {view.me: 1}
    me.leaving = any(broker.is_leaving for broker in view.brokers if broker.id == view.me)
    shards = []
    for shard, (term, owner) in enumerate(view.owners):
        rooms, members = sizes.get(shard, (0, 0))
        number = 1 if shard in sizes else numbers.get(owner, 0) if owner else 0
        shards.append(admin_frames.Shard(shard, term, number, rooms, members, shard in sizes))
    return admin_frames.Shards(
        [me, *(admin_frames.Broker(each.endpoint, each.admin, each.is_leaving) for each in others)], 1, shards
    )
