"""broker/store/postgres_logs.py: what is remembered of a shard's logs, without a server."""

from broker.store.interface import Batch, Chunk, Snapshot
from broker.store.postgres_logs import ShardLogs, to_fold
from broker.store.unfolded_turns import FOLD_AT


def a_turn(first: int, last: int, at_ms: int = 0) -> Batch:
    return Batch(chunks=[Chunk(1, first, last, at_ms, b"")], accepted={"a/1": last}, delivered={(1, "a/1"): first})


def with_chunks(count: int) -> ShardLogs:
    return ShardLogs(Snapshot(), [Batch(chunks=[Chunk(1, n, n, 0, b"") for n in range(1, count + 1)])])


def test_turns_that_are_not_folded_belong_to_what_is_loaded() -> None:
    snapshot = Snapshot(ends={1: (3, 7), 2: (1, 1)}, accepted={"a/1": 7, "b/1": 2}, newest_ms=50)
    logs = ShardLogs(snapshot, [a_turn(8, 9, 60), a_turn(10, 10, 40)])
    assert snapshot.ends == {1: (3, 10), 2: (1, 1)}
    assert snapshot.accepted == {"a/1": 10, "b/1": 2}
    assert snapshot.delivered == {(1, "a/1"): 10}
    assert snapshot.newest_ms == 60
    assert logs.find_conflict([Chunk(1, 10, 11, 0, b"")]) is not None
    assert logs.find_conflict([Chunk(1, 11, 11, 0, b""), Chunk(3, 1, 1, 0, b"")]) is None


def test_a_room_whose_log_is_in_turns_alone_begins_with_them() -> None:
    snapshot = Snapshot()
    ShardLogs(snapshot, [a_turn(1, 2), a_turn(3, 3)])
    assert snapshot.ends == {1: (1, 3)}


def test_rooms_are_trimmed_once_they_grew_or_if_less_is_kept() -> None:
    logs = ShardLogs(Snapshot(ends={1: (1, 9), 2: (1, 1)}), [])
    assert logs.to_trim(5, 9) == [1, 2]
    logs.trimmed([1, 2], 0, [])
    assert logs.to_trim(5, 9) == []
    logs.committed(a_turn(10, 10), has_folded=False)
    assert logs.to_trim(5, 9) == []
    logs.committed(a_turn(11, 11), has_folded=True)
    assert logs.to_trim(5, 9) == [1]
    logs.trimmed([1], 0, [])
    assert logs.to_trim(4, 9) == [1, 2]


def test_rooms_that_wait_longest_are_trimmed_first() -> None:
    logs = ShardLogs(Snapshot(ends=dict.fromkeys((1, 2, 3), (1, 9))), [])
    assert logs.to_trim(5, 2) == [1, 2]
    logs.trimmed([1, 2], 0, [2])
    assert logs.to_trim(5, 2) == [3, 2]
    logs.committed(Batch(purged={3}), has_folded=False)
    assert logs.to_trim(5, 2) == [2]


def test_the_fullest_shards_are_folded_when_all_together_have_many_turns() -> None:
    most = FOLD_AT[0]
    few = {shard: with_chunks(most // 10) for shard in range(5)}
    assert to_fold(few, []) == []
    assert to_fold(few, [3]) == [3]
    assert to_fold({**few, 9: with_chunks(most // 2)}, []) == [9]
    assert len(to_fold({shard: with_chunks(most // 8) for shard in range(8)}, [])) == 4
    assert to_fold({0: with_chunks(most)}, []) == [0]
