"""tsudoi/protocol/backbone/shards.py"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import SHARDS, for_shard, shard_of, split_shard_untrusted
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import room_name


@given(st.integers(0, 255), st.binary(min_size=1, max_size=50))
def test_the_shard_in_front_of_a_frame_comes_off_again(shard: int, frame: bytes) -> None:
    assert split_shard_untrusted(for_shard(shard, frame)) == (shard, frame)


@given(st.integers(0, 2**40))
def test_a_frame_without_a_shard_stays_as_it_is(number: int) -> None:
    for frame in (backbone.encode(backbone.Canary(number)), *backbone.pack_frames([b"a", b"b"])):
        assert split_shard_untrusted(frame) == (None, frame)


@pytest.mark.parametrize("raw", [b"S", b"S\x00"])
def test_a_shard_without_a_frame_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        split_shard_untrusted(raw)


def test_a_rooms_shard_is_written_into_every_store_and_never_changes() -> None:
    assert [shard_of(room_name(name), SHARDS) for name in ("den", "部屋", "a" * 255)] == [0, 45, 14]
    assert shard_of(room_name("den"), 1) == 0


def test_spellings_of_one_name_are_in_one_shard() -> None:
    assert shard_of(room_name(" caf\u00e9"), SHARDS) == shard_of(room_name("cafe\u0301 "), SHARDS)


def test_rooms_spread_over_all_shards() -> None:
    spread = Counter(shard_of(room_name(f"room {n}"), SHARDS) for n in range(6_400))
    assert len(spread) == SHARDS
    assert max(spread.values()) < 200
