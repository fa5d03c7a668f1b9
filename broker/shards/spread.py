"""Spread shards over brokers by rendezvous hashing with bounded loads.

Each pair of a shard and a broker has a weight, a hash of both. The pairs are taken by falling weight, and a shard goes
to the first broker that has room: all brokers get the same number, but for one. When a broker comes or goes, few other
shards move than its own.
Source: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998); V. Mirrokni and others,
"Consistent Hashing with Bounded Loads" (2016).
"""

import hashlib
from collections.abc import Sequence


def spread(shards: int, brokers: Sequence[tuple[str, str]]) -> list[str]:
    """Return the id of the broker that shall own each shard, in order; empty if there is no broker.

    `brokers` are (id, endpoint), in any order; those with equal endpoints differ by their ids.
    """
    if not brokers:
        return [""] * shards
    capacity = -(-shards // len(brokers))
    pairs = sorted((_weight(shard, endpoint), id_, shard) for shard in range(shards) for id_, endpoint in brokers)
    owners = [""] * shards
    loads = dict.fromkeys((id_ for id_, _ in brokers), 0)
    for _, id_, shard in reversed(pairs):
        if not owners[shard] and loads[id_] < capacity:
            owners[shard] = id_
            loads[id_] += 1
    return owners


def _weight(shard: int, endpoint: str) -> bytes:
    return hashlib.blake2b(f"{shard} {endpoint}".encode(), digest_size=8).digest()
