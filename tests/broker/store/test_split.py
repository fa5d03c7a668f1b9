"""broker/store/split.py: which rows belong to which shard."""

import pytest

from broker.store.interface import FOREVER, Chunk, MemberRow, PostRow, Restriction, RoomRow, Snapshot
from broker.store.split import shards_of_rooms, split_logs, split_rooms, split_rows
from tsudoi.protocol.backbone import SHARDS, shard_of
from tsudoi.protocol.names import RoomName

NAMES = ("den", "lobby", "部屋1", "kitchen")
ROOMS = [RoomRow(number, name, 3, 0, "hash", 1_000) for number, name in enumerate(NAMES, 1)]
OF = {room.id: shard_of(RoomName(room.name), SHARDS) for room in ROOMS}


def a_member(member_id: int, room: int) -> MemberRow:
    return MemberRow(member_id, room, "ann", bytes(16), "classic", "::1", b"", "a/1", 100_000, True, 1)


def a_post(room: int) -> PostRow:
    return PostRow(b"key %d" % room, room, 3, 1, b"text", 0)


def test_the_rooms_of_these_tests_are_in_different_shards() -> None:
    assert shards_of_rooms(ROOMS, SHARDS) == OF
    assert len(set(OF.values())) == len(ROOMS)


def test_each_row_goes_to_the_shard_of_its_room() -> None:
    members = [a_member(10 + room.id, room.id) for room in ROOMS]
    bans = [Restriction(room.id, 1, "bob", "", FOREVER) for room in ROOMS]
    posts = [a_post(room.id) for room in ROOMS]
    delivered = {(room.id, "a/1"): room.id for room in ROOMS}
    (turn,) = split_rows(Snapshot(ROOMS, members, {}, {}, delivered, bans, posts), SHARDS, 100)
    batches = {batch.shard: batch for batch in turn}
    assert batches.keys() == set(OF.values())
    for room, member, ban, post in zip(ROOMS, members, bans, posts, strict=True):
        batch = batches[OF[room.id]]
        assert batch.rooms == {}
        assert batch.members == {member.id: member}
        assert batch.restrictions == {ban.key: ban}
        assert batch.posts == {post.key: post}
        assert batch.delivered == {(room.id, "a/1"): room.id}


def test_the_rooms_come_last_and_together() -> None:
    batches = split_rooms(Snapshot(ROOMS), SHARDS)
    assert {room: batch.shard for batch in batches for room in batch.rooms} == OF


def test_rows_are_split_into_turns_of_a_size() -> None:
    members = [a_member(10 + room.id, room.id) for room in ROOMS]
    turns = list(split_rows(Snapshot(ROOMS, members), SHARDS, 3))
    assert [sum(len(batch.members) for batch in turn) for turn in turns] == [3, 1]
    assert [id_ for turn in turns for batch in turn for id_ in batch.members] == [member.id for member in members]


def test_a_ban_in_all_rooms_goes_to_every_shard() -> None:
    ban = Restriction(0, 1, "", "192.0.2.7", FOREVER)
    snapshot = Snapshot(ROOMS, restrictions=[ban])
    batches = split_rooms(snapshot, SHARDS)
    assert [batch.shard for batch in batches] == list(range(SHARDS))
    assert all(batch.restrictions == {ban.key: ban} for batch in batches)
    assert list(split_rows(snapshot, SHARDS, 100)) == []


def test_numbers_of_gateways_are_left_out_and_those_of_purged_rooms() -> None:
    snapshot = Snapshot(ROOMS, accepted={"a/1": 7}, delivered={(99, "a/1"): 5})
    assert list(split_rows(snapshot, SHARDS, 100)) == []
    assert not any(batch.accepted for batch in split_rooms(snapshot, SHARDS))


@pytest.mark.parametrize(("size", "turns"), [(1, 4), (10, 2), (100, 1)])
def test_logs_are_split_into_turns_of_a_size(size: int, turns: int) -> None:
    chunks = [(7, Chunk(1, 1, 1, 0, b"12345")), (7, Chunk(1, 2, 2, 0, b"12345"))]
    chunks += [(9, Chunk(2, 1, 1, 0, b"12345")), (7, Chunk(3, 1, 1, 0, b"12345"))]
    found = list(split_logs(iter(chunks), size))
    assert len(found) == turns
    assert [(batch.shard, chunk) for turn in found for batch in turn for chunk in batch.chunks] == (
        chunks if size < 100 else [*chunks[:2], chunks[3], chunks[2]]
    )
    for turn in found:
        assert len({batch.shard for batch in turn}) == len(turn)


def test_no_logs_make_no_turn() -> None:
    assert list(split_logs(iter(()), 1)) == []
