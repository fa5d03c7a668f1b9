"""broker/shards/spread.py"""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from broker.shards.spread import spread

brokers = st.lists(st.tuples(st.uuids().map(str), st.text()), max_size=12, unique_by=lambda each: each[0])


@given(st.integers(1, 256), brokers, st.randoms())
def test_each_shard_has_an_owner_and_no_broker_has_two_more_than_its_share(
    shards: int, brokers: list[tuple[str, str]], random: object
) -> None:
    owners = spread(shards, brokers)
    assert len(owners) == shards
    if not brokers:
        assert owners == [""] * shards
        return
    loads = Counter(owners)
    assert loads.keys() <= {id_ for id_, _ in brokers}
    assert max(loads.values()) <= -(-shards // len(brokers))
    random.shuffle(shuffled := list(brokers))  # type: ignore[attr-defined]
    assert spread(shards, shuffled) == owners


def test_few_shards_move_besides_those_of_a_broker_that_comes_or_goes() -> None:
    for count in range(2, 12):
        brokers = [(str(number), f"tcp://broker{number}:9003") for number in range(count)]
        before, after = spread(64, brokers), spread(64, brokers[:-1])
        own = sum(owner == str(count - 1) for owner in before)
        moved = sum(was != now for was, now in zip(before, after, strict=True))
        assert own <= moved <= own + 8, (count, own, moved)


def test_a_broker_that_comes_back_under_another_id_gets_the_same_shards() -> None:
    before = spread(64, [("a", "tcp://one:9003"), ("b", "tcp://two:9003")])
    after = spread(64, [("c", "tcp://one:9003"), ("b", "tcp://two:9003")])
    assert [owner.replace("a", "c") for owner in before] == after
