"""broker/topics.py"""

from broker.topics import TopicCounts
from tsudoi.ops.keyfiles import Owner, Role

EAST, WEST = Owner(Role.GATEWAY, "east"), Owner(Role.GATEWAY, "west")


def test_who_hears_more_than_may_be_is_named() -> None:
    topics = TopicCounts(18)
    topics.add(b"r12345678", EAST)
    topics.add(b"r12345679", EAST)
    topics.add(b"r1234567a", WEST)
    assert topics.too_many() == []
    topics.add(b"r", EAST)
    assert topics.too_many() == [EAST]


def test_what_nobody_hears_any_more_does_not_count() -> None:
    topics = TopicCounts(9)
    topics.add(b"r12345678", EAST)
    topics.discard(b"r12345678")
    topics.discard(b"r12345678")
    topics.add(b"r12345679", EAST)
    assert topics.too_many() == []
    topics.add(b"r1234567a", EAST)
    topics.clear()
    assert topics.too_many() == []
    assert b"r1234567a" not in topics


def test_a_topic_of_nobody_known_is_nobodys() -> None:
    topics = TopicCounts(0)
    topics.add(b"r12345678", None)
    assert topics.too_many() == []
