"""broker/rooms/ids.py"""

from hypothesis import given
from hypothesis import strategies as st

from broker.rooms.ids import Ids, created_ms, first_epoch


@given(st.integers(0, 2**16), st.integers(1, 64), st.data())
def test_ids_grow_and_those_of_two_shards_differ(first: int, shards: int, data: st.DataObject) -> None:
    every: list[int] = []
    for shard in range(shards):
        ids = Ids(first, shard, shards)
        given_ids = [ids.new(data.draw(st.integers(0, 3))) for _ in range(3)]
        assert given_ids == sorted(set(given_ids))
        assert {each % shards for each in given_ids} == {shard} or shards == 1
        every += given_ids
    assert len(set(every)) == len(every)


@given(st.integers(0, 2**40), st.integers(0, 2**41), st.integers(0, 63))
def test_a_new_id_comes_after_all_that_were_seen_and_names_its_time(used: int, wall_ms: int, shard: int) -> None:
    ids = Ids(0, shard, 64)
    ids.seen(used)
    new = ids.new(wall_ms)
    assert new > used
    assert new % 64 == shard
    assert created_ms(new) >= wall_ms


def test_a_room_begins_with_the_time_of_its_making_as_its_epoch_and_never_with_none() -> None:
    made, again = Ids(0xBEEF).new(1_700_000_000_000), Ids(3).new(1_700_000_000_001)
    assert (first_epoch(made), first_epoch(again), first_epoch(0)) == (1_700_000_000_000, 1_700_000_000_001, 1)
