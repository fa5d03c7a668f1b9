"""Route a turn's news to gateways: on their room's topic, or bundled on one gateway's own topic.

A frame costs more than the bytes in it. News of rooms that one gateway serves are bundled; so are news of rooms that a
few gateways share, if that makes fewer frames than one for each room.
"""

import msgspec

from tsudoi.protocol import backbone

from .rooms.room_and_member import Room

FEW_GATEWAYS = 4
"""News of a room at more gateways are always published on its topic."""
BUNDLE_SIZE = 2**20
"""Bytes of news in a bundle after which the next one is begun."""


class RoomNews(msgspec.Struct, frozen=True):
    """The new entries of one room."""

    room: Room
    body: bytes
    """A serialized `News`."""


def route(news: list[RoomNews], regrouped: set[int]) -> tuple[list[RoomNews], dict[str, list[RoomNews]]]:
    """Return the news to publish on rooms' topics, and those to bundle, by gateway instance.

    `regrouped` rooms have lost a gateway in this turn, which is still subscribed to their topics.
    """
    by_topic: list[RoomNews] = []
    own: dict[str, list[RoomNews]] = {}
    shared: list[RoomNews] = []
    for each in news:
        gateways = each.room.gateways
        if len(gateways) == 1 and each.room.id not in regrouped:
            own.setdefault(next(iter(gateways)), []).append(each)
        elif 1 < len(gateways) <= FEW_GATEWAYS and each.room.id not in regrouped:
            shared.append(each)
        else:
            by_topic.append(each)
    if not shared or len(shared) <= len({gateway for each in shared for gateway in each.room.gateways}):
        return by_topic + shared, own
    for each in shared:
        for gateway in each.room.gateways:
            own.setdefault(gateway, []).append(each)
    return by_topic, own


def bundles(instance: str, accepted: int, canaries: list[int], news: list[RoomNews]) -> list[bytes]:
    """Return a turn's news for one gateway, in few frames; the last one has accepted and canaries."""
    found: list[bytes] = []
    bodies: list[tuple[int, bytes]] = []
    size = 0
    for each in news:
        size += len(each.body)
        if size > BUNDLE_SIZE and bodies:
            found.append(backbone.encode_bundle(instance, 0, [], bodies))
            bodies, size = [], len(each.body)
        bodies.append((each.room.id, each.body))
    found.append(backbone.encode_bundle(instance, accepted, canaries, bodies))
    return found
