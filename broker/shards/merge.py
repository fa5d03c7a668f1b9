"""Merge the turns of several shards: all frames for one gateway travel in one message."""

from collections.abc import Iterable, Iterator

from tsudoi.protocol import backbone

from ..turn import Turn


def merged_news(turns: Iterable[tuple[int, Turn]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the (topic, body) to publish for (shard, its turn), in an order that keeps that of each shard.

    News of rooms are not changed. Bundles get their shard in front, and those for one gateway are packed together.
    """
    bundles: dict[bytes, list[bytes]] = {}
    later: list[tuple[bytes, bytes]] = []
    for shard, turn in turns:
        has_bundle = False
        for topic, body in turn.news:
            if backbone.topic_room(topic) is None:
                bundles.setdefault(topic, []).append(backbone.for_shard(shard, body))
                has_bundle = True
            elif has_bundle:
                # A position after its room's entries, which a bundle has.
                later.append((topic, body))
            else:
                yield topic, body
    for topic, bodies in bundles.items():
        for body in backbone.pack_frames(bodies):
            yield topic, body
    yield from later
