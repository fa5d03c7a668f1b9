"""Route a turn's news to gateways: on their room's topic, or bundled on one gateway's own topic.

A frame costs more than the bytes in it. News of rooms that one gateway serves are bundled; so are news of rooms that a
few gateways share, if that makes fewer frames than one for each room.
"""

from collections import defaultdict

from tsudoi.protocol import backbone

from .rooms.room_and_member import Room

FEW_GATEWAYS = 4
"""News of a room at more gateways are always published on its topic."""
BUNDLE_SIZE = 2**20
"""Bytes of news in a bundle after which the next one is begun."""


RoomNews = tuple[Room, bytes]
"""(room, its new entries as a serialized `News`)"""
Bundled = list[tuple[int, bytes]]
"""(room id, its serialized `News`) of some rooms."""


def route(news: list[RoomNews], regrouped: set[int]) -> tuple[list[RoomNews], dict[str, Bundled]]:
    """Return the news to publish on rooms' topics, and those to bundle, by gateway instance.

    `regrouped` rooms have lost a gateway in this turn, which is still subscribed to their topics.
    """
    by_topic: list[RoomNews] = []
    own: defaultdict[str, Bundled] = defaultdict(list)
    shared: list[RoomNews] = []
    for room, body in news:
        count = len(room.gateways)
        if count == 1 and room.id not in regrouped:
            own[next(iter(room.gateways))].append((room.id, body))
        elif 1 < count <= FEW_GATEWAYS and room.id not in regrouped:
            shared.append((room, body))
        else:
            by_topic.append((room, body))
    if not shared or len(shared) <= len({gateway for room, _ in shared for gateway in room.gateways}):
        return by_topic + shared, own
    for room, body in shared:
        for gateway in room.gateways:
            own[gateway].append((room.id, body))
    return by_topic, own


def bundles(instance: str, accepted: int, canaries: list[int], news: Bundled) -> list[bytes]:
    """Return a turn's news for one gateway, in few frames; the last one has accepted and canaries."""
    found: list[bytes] = []
    start = size = 0
    for at, (_, body) in enumerate(news):
        size += len(body)
        if size > BUNDLE_SIZE and at > start:
            found.append(backbone.encode_bundle(instance, 0, [], news[start:at]))
            start, size = at, len(body)
    found.append(backbone.encode_bundle(instance, accepted, canaries, news[start:]))
    return found
