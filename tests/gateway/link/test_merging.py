"""gateway/link/merging.py"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.link.merging import merge_names, merge_page, newest_of_each, page_of_each
from tsudoi.protocol.backbone import Answer, Browsed, Rooms

SHARDS = 8
LISTS = st.lists(st.integers(0, SHARDS - 1), max_size=60)
"""Of each room, oldest first, its shard."""


def of_shard(rooms: list[int], shard: int) -> list[int]:
    """The numbers of a shard's rooms."""
    return [number for number, own in enumerate(rooms) if own == shard]


def browse(rooms: list[int], skip: int, limit: int) -> Browsed | None:
    asked = page_of_each(skip, limit, SHARDS)
    answers: list[Answer | None] = []
    for shard in range(SHARDS):
        own = of_shard(rooms, shard)
        page = own[asked.skip : asked.skip + asked.limit]
        answers.append(Browsed(len(own), [(str(number), 1, False) for number in page], page))
    return merge_page(answers, asked, skip, limit)


def test_one_shard_is_asked_as_it_is() -> None:
    asked = page_of_each(40, 20, 1)
    page = Browsed(50, [("den", 1, False)])
    assert (asked.skip, asked.limit) == (40, 20)
    assert merge_page([page], asked, 40, 20) is page
    assert newest_of_each(1_000, 1) == 1_000
    assert merge_names([Rooms(["den"])], 1_000) == ["den"]


@given(LISTS, st.integers(0, 5), st.integers(1, 20))
def test_pages_of_all_shards_are_one_list_oldest_first(rooms: list[int], page: int, size: int) -> None:
    found = browse(rooms, page * size, size)
    assert found is not None
    assert found.count == len(rooms)
    # Also where by a freak all rooms belong to few shards, none is on two pages: each shard's rooms keep their order.
    spread_evenly = all(len(of_shard(rooms, shard)) <= 8 for shard in range(SHARDS))
    names = [int(name) for name, _, _ in found.rooms]
    assert names == sorted(names)
    if spread_evenly:
        assert names == list(range(len(rooms)))[page * size : (page + 1) * size]


def test_a_late_page_asks_each_shard_for_little() -> None:
    rooms = [number * 7919 % SHARDS for number in range(20_000)]
    found = browse(rooms, 12_000, 20)
    assert found is not None
    assert [int(name) for name, _, _ in found.rooms] == list(range(12_000, 12_020))
    assert page_of_each(12_000, 20, SHARDS).limit < 400


@given(LISTS, st.integers(1, 40))
def test_the_newest_names_of_all_shards_are_listed_oldest_first(rooms: list[int], limit: int) -> None:
    answers: list[Answer | None] = [None]
    for shard in range(SHARDS):
        own = of_shard(rooms, shard)[-limit:]
        answers.append(Rooms([str(number) for number in own], own))
    assert merge_names(answers, limit) == [str(number) for number in range(len(rooms))][-limit:]


def test_what_is_not_answered_is_not_known() -> None:
    asked = page_of_each(0, 20, SHARDS)
    assert merge_page([Browsed(0, [], [])] * (SHARDS - 1) + [None], asked, 0, 20) is None
    assert merge_names([None] * SHARDS, 20) is None
