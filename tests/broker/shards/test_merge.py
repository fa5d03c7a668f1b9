"""broker/shards/merge.py"""

from broker.shards.merge import merged_news
from broker.store.interface import Batch
from broker.turn import Turn
from tsudoi.protocol import backbone

GATEWAY, OTHER = backbone.own_topic("/1"), backbone.own_topic("/2")


def a_turn(*news: tuple[bytes, bytes]) -> Turn:
    return Turn(Batch(), list(news), [], [], [])


def room(number: int) -> bytes:
    return backbone.room_topic(number)


def test_news_of_rooms_are_not_touched_and_bundles_of_one_gateway_are_packed() -> None:
    one = a_turn((room(1), b"news"), (GATEWAY, b"bundle of 3"))
    other = a_turn((room(2), b"more"), (OTHER, b"for another"), (GATEWAY, b"bundle of 9"))
    told = list(merged_news([(3, one), (9, other)]))
    assert told[:2] == [(room(1), b"news"), (room(2), b"more")]
    bodies = dict(told[2:])
    assert bodies[OTHER] == backbone.for_shard(9, b"for another")
    assert backbone.unpack_frames_untrusted(bodies[GATEWAY]) == [
        backbone.for_shard(3, b"bundle of 3"),
        backbone.for_shard(9, b"bundle of 9"),
    ]


def test_a_position_comes_after_the_bundle_that_may_have_its_rooms_entries() -> None:
    turn = a_turn((GATEWAY, b"bundle"), (GATEWAY, b"its end"), (room(1), b"position"))
    told = list(merged_news([(3, turn), (4, a_turn((room(2), b"position")))]))
    assert [topic for topic, _ in told] == [room(2), GATEWAY, room(1)]
    assert backbone.unpack_frames_untrusted(told[1][1]) == [
        backbone.for_shard(3, b"bundle"),
        backbone.for_shard(3, b"its end"),
    ]


def test_more_than_a_frame_holds_comes_in_several() -> None:
    large = bytes(backbone.PACKED_SIZE)
    told = list(merged_news([(3, a_turn((GATEWAY, large))), (4, a_turn((GATEWAY, large)))]))
    assert [body[:2] for _, body in told] == [b"S\x03", b"S\x04"]
