"""Say in words which shards have not answered lately: the reason why a gateway is unhealthy."""

from collections.abc import Sequence

from .routes import Routes

NAMED = 8
"""Ranges of shards that a reason names; of more, it tells their number."""


def unhealthy_reason(routes: Routes, now: float) -> str:
    """Return why health is red, empty if the canaries of all shards have come back lately. Any thread may call it."""
    links = routes.links
    if len(links) == 1:
        return links[0].canary.unhealthy_reason(now)
    by_broker: dict[str | None, list[int]] = {}
    for shard, link in enumerate(links):
        if link.canary.unhealthy_reason(now):
            by_broker.setdefault(routes.owner(shard), []).append(shard)
    reasons = []
    for endpoint, shards in by_broker.items():
        if endpoint is None:
            reasons.append(f"no broker owns {name_shards(shards)}")
        else:
            why = min((links[shard].canary.unhealthy_reason(now) for shard in shards), key=len)
            reasons.append(f"{why} at {endpoint} for {name_shards(shards)}")
    return "; ".join(reasons)


def name_shards(shards: Sequence[int]) -> str:
    """Return numbers of shards in words, neighbours as a range; they grow."""
    ranges: list[list[int]] = []
    for shard in shards:
        if ranges and ranges[-1][-1] == shard - 1:
            ranges[-1][1:] = [shard]
        else:
            ranges.append([shard])
    if len(ranges) > NAMED:
        return f"{len(shards)} shards"
    return f"shard{'s' * (len(shards) > 1)} " + ", ".join("-".join(map(str, each)) for each in ranges)
