"""broker/store/interface.py: what every engine must do."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from broker.rooms.requests import ALL_RIGHTS
from broker.store import unfolded_turns
from broker.store.interface import (
    FOREVER,
    Batch,
    Chunk,
    MemberRow,
    PostRow,
    Restriction,
    RestrictionKind,
    RoomRow,
    Snapshot,
    Store,
)
from broker.store.memory import MemoryStore
from broker.store.postgres import PostgresStore
from broker.store.sqlite import Durability, SqliteStore
from tests.support import postgres
from tests.support.one_shard import OneShard
from tests.support.properties import examples
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.errors import SettingError, StoreError

Opener = Callable[[], Store]
FILES: tuple[Durability, ...] = ("process", "full")
DURABLE = ("sqlite-process", "sqlite-full", "postgres")


def opener(engine: str, request: pytest.FixtureRequest) -> Opener:
    """Return what opens one and the same store of an engine."""
    if engine == "memory":
        return MemoryStore
    if engine == "postgres":
        request.getfixturevalue("leases_that_last")
        url = request.getfixturevalue("postgresql").empty()
        return lambda: OneShard(PostgresStore(url))
    path = request.getfixturevalue("tmp_path") / "store.sqlite"
    return lambda: SqliteStore(path, "full" if engine == "sqlite-full" else "process")


@pytest.fixture(params=["memory", "sqlite-process", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each engine; SQLite's two differ in what they keep, which `file` tries."""
    opened = opener(request.param, request)()
    yield opened
    opened.close()


@pytest.fixture(params=DURABLE)
def file(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens one and the same store again and again, closed at each time; for engines that survive their process."""
    last: list[Store] = []
    open_it = opener(request.param, request)

    def open_again() -> Store:
        for store in last:
            store.close()
        last[:] = [open_it()]
        return last[0]

    yield open_again
    for store in last:
        store.close()


def a_room(room_id: int, name: str = "", host: int = 1) -> RoomRow:
    return RoomRow(room_id, name or f"room {room_id}", 1, host, "", 1_000 + room_id)


def closed(row: RoomRow) -> RoomRow:
    return replace(row, closed_ms=row.created_ms + 7)


def a_member(member_id: int, room: int, gateway: str = "a/1") -> MemberRow:
    token_hash = member_id.to_bytes(16, "big")
    return MemberRow(member_id, room, f"m{member_id}", token_hash, "tcrp", "::1", b"", gateway, 100_000, False, 1)


def a_chunk(room: int, first: int, last: int, at_ms: int = 0) -> Chunk:
    return Chunk(room, first, last, at_ms, b"%d %d-%d" % (room, first, last))


def sorted_snapshot(store: Store) -> dict[str, Any]:
    """What a store holds; the order of members means nothing, that of rooms does."""
    kept = store.load()
    return {
        "rooms": kept.rooms,
        "members": sorted(kept.members, key=lambda member: member.id),
        "ends": kept.ends,
        "accepted": kept.accepted,
        "delivered": kept.delivered,
    }


def restrictions(store: Store) -> list[Restriction]:
    return sorted(store.load().restrictions, key=lambda restriction: restriction.key)


def types(row: RoomRow | MemberRow) -> list[type]:
    return [type(value) for value in astuple(row)]


def spans(chunks: list[Chunk]) -> list[tuple[int, int]]:
    return [(chunk.first, chunk.last) for chunk in chunks]


# --- rows ---------------------------------------------------------------------------------------------------------


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.load() == Snapshot()
    assert store.read(1, 0, 10) == []
    assert store.trim(1, 0) == {}


def test_what_was_committed_is_loaded(store: Store) -> None:
    room = RoomRow(7, "部屋 'den'", 3, 8, "$argon2id$…", 1_700_000_000_000)
    member = MemberRow(8, 7, "アリス", b"\0\xff" * 8, "tcrp-202", "2001:db8::1", b"::1 5000 1", "a/b", 1, True, 2**62)
    member = replace(member, rights=ALL_RIGHTS, options=MemberOptions.ALL, said=2**63 - 1)  # the most of each
    batch = Batch({7: room}, {8: member}, [a_chunk(7, 1, 2)], {"a/b": 2**62}, {(7, "a/b"): 2})
    store.commit(batch)
    assert sorted_snapshot(store) == {
        "rooms": [room],
        "members": [member],
        "ends": {7: (1, 2)},
        "accepted": {"a/b": 2**62},
        "delivered": {(7, "a/b"): 2},
    }


def test_what_is_loaded_has_the_types_that_were_committed(store: Store) -> None:
    lobby = replace(a_room(2, "lobby"), persistent=True)
    store.commit(Batch({1: a_room(1), 2: lobby}, {5: a_member(5, 1)}))
    kept = store.load()
    assert [types(row) for row in kept.rooms] == [types(a_room(1)), types(lobby)]
    assert [types(row) for row in kept.members] == [types(a_member(5, 1))]


def test_rows_are_replaced_by_their_id(store: Store) -> None:
    store.commit(Batch({1: a_room(1), 2: a_room(2)}, {5: a_member(5, 1)}, [a_chunk(1, 1, 1)]))
    moved, renamed = a_member(5, 1, "b/2"), RoomRow(1, "room 1", 2, 5, "hash", 1_001)
    store.commit(Batch({1: renamed}, {5: moved}))
    kept = sorted_snapshot(store)
    assert kept["rooms"] == [renamed, a_room(2)]
    assert kept["members"] == [moved]
    assert kept["ends"] == {1: (1, 1)}


def test_rooms_come_oldest_first(store: Store) -> None:
    for room_id in (3, 4, 9):
        store.commit(Batch({room_id: a_room(room_id)}))
    store.commit(Batch({4: a_room(4, "changed later")}))
    assert [room.id for room in store.load().rooms] == [3, 4, 9]


def test_bans_and_mutes_are_kept_until_they_are_lifted_or_their_room_is_purged(store: Store) -> None:
    everywhere = Restriction(0, RestrictionKind.BAN, "", "192.0.2.9", FOREVER)
    ban = Restriction(1, RestrictionKind.BAN, "ボブ", "192.0.2.7", 5_000)
    mute = Restriction(1, RestrictionKind.MUTE, "ボブ", "", 6_000)
    given = {row.key: row for row in (everywhere, ban, mute)}
    store.commit(Batch({1: a_room(1)}, restrictions={**given}))
    assert restrictions(store) == [everywhere, ban, mute]
    longer = replace(ban, until_ms=FOREVER)
    store.commit(Batch(restrictions={longer.key: longer, mute.key: None}))
    assert restrictions(store) == [everywhere, longer]
    store.commit(Batch(restrictions={mute.key: mute}, purged={1}))
    assert restrictions(store) == [everywhere]


def test_webhooks_messages_are_remembered_until_they_are_forgotten_or_their_room_is_purged(store: Store) -> None:
    first, second, third = (PostRow(bytes([n]) * 16, n, 2, 30 + n, b"\0hash", 1_000 - n) for n in (1, 2, 3))
    store.commit(Batch({n: a_room(n) for n in (1, 2, 3)}))
    store.commit(Batch(posts={row.key: row for row in (third, second, first)}))
    assert store.load().posts == [third, second, first]
    store.commit(Batch(posts={third.key: None}))
    assert store.load().posts == [second, first]
    store.commit(Batch(purged={1}))
    assert store.load().posts == [second]


def test_what_a_room_is_about_and_how_members_are_served_is_kept(file: Opener) -> None:
    room = replace(a_room(1), topic="今日の話")
    member = replace(a_member(2, 1), wished="ボブ", options=7, muted_until_ms=FOREVER, whispered_by=3)
    file().commit(Batch({1: room}, {2: member}))
    kept = file().load()
    assert (kept.rooms, kept.members) == ([room], [member])


def test_a_closed_room_stays_with_all_that_is_its_until_it_is_purged(store: Store) -> None:
    rooms = {1: a_room(1), 2: a_room(2)}
    members: dict[int, MemberRow | None] = {5: a_member(5, 1), 6: a_member(6, 2)}
    chunks = [a_chunk(1, 1, 3), a_chunk(2, 1, 1)]
    store.commit(Batch(rooms, members, chunks, delivered={(1, "a/1"): 1, (2, "a/1"): 1}))
    store.commit(Batch({1: closed(a_room(1))}, {5: a_member(5, 1, "b/1")}, [a_chunk(1, 4, 5)], {}, {(1, "b/1"): 2}))
    kept = sorted_snapshot(store)
    assert kept["rooms"] == [closed(a_room(1)), a_room(2)]
    assert kept["members"] == [a_member(5, 1, "b/1"), a_member(6, 2)]
    assert kept["ends"] == {1: (1, 5), 2: (1, 1)}
    assert kept["delivered"] == {(1, "a/1"): 1, (1, "b/1"): 2, (2, "a/1"): 1}
    assert spans(store.read(1, 0, 10)) == [(1, 3), (4, 5)]
    store.commit(Batch(purged={1}))
    kept = sorted_snapshot(store)
    assert kept["rooms"] == [a_room(2)]
    assert kept["members"] == [a_member(6, 2)]
    assert kept["ends"] == {2: (1, 1)}
    assert kept["delivered"] == {(2, "a/1"): 1}
    assert store.read(1, 0, 10) == []
    assert spans(store.read(2, 0, 10)) == [(1, 1)]


def test_what_changes_in_the_batch_that_purges_its_room_goes_with_it(store: Store) -> None:
    store.commit(Batch({1: closed(a_room(1))}, chunks=[a_chunk(1, 1, 1)]))
    store.commit(Batch({}, {5: a_member(5, 1)}, delivered={(1, "a/1"): 1}, purged={1}))
    assert store.load() == Snapshot()


def test_a_room_may_close_and_come_again_under_its_name_in_one_batch(store: Store) -> None:
    den = a_room(1, "den")
    store.commit(Batch({1: den}, {5: a_member(5, 1)}, [a_chunk(1, 1, 1)]))
    rooms = {1: closed(den), 2: a_room(2, "den", 6)}
    store.commit(Batch(rooms, {5: None, 6: a_member(6, 2)}, [a_chunk(1, 2, 2), a_chunk(2, 1, 1)]))
    kept = sorted_snapshot(store)
    assert kept["rooms"] == [closed(den), a_room(2, "den", 6)]
    assert kept["members"] == [a_member(6, 2)]
    assert kept["ends"] == {1: (1, 2), 2: (1, 1)}
    # And once more, while the first is there still.
    store.commit(Batch({2: closed(a_room(2, "den", 6)), 3: a_room(3, "den")}))
    assert [(room.id, room.closed_ms > 0) for room in store.load().rooms] == [(1, True), (2, True), (3, False)]


def test_the_last_number_of_each_gateway_is_kept_until_it_is_forgotten(store: Store) -> None:
    rooms = {1: a_room(1)}
    store.commit(Batch(rooms, accepted={"a/1": 3, "b/2": 9}, delivered={(1, "a/1"): 4, (1, "b/2"): 5}))
    store.commit(Batch(accepted={"a/1": ~5}, delivered={(1, "a/1"): 6}))
    kept = store.load()
    assert kept.accepted == {"a/1": ~5, "b/2": 9}
    assert kept.delivered == {(1, "a/1"): 6, (1, "b/2"): 5}
    store.commit(Batch(forgotten={"a/1", "never seen"}))
    kept = store.load()
    assert kept.accepted == {"b/2": 9}
    assert kept.delivered == {(1, "b/2"): 5}


# --- the log ------------------------------------------------------------------------------------------------------


def test_the_number_of_a_members_last_line_is_kept_also_if_nothing_else_changes(file: Opener) -> None:
    store, member = file(), a_member(5, 1)
    store.commit(Batch({1: a_room(1), 2: a_room(2)}, {5: member}))

    def said(number: int, **others: Any) -> Batch:
        return Batch(members={5: replace(member, said=number)}, said={5: number}, **others)

    def loaded() -> list[int]:
        return [row.said for row in file().load().members]

    store.commit(said(3, chunks=[a_chunk(1, 1, 1)]))
    assert loaded() == [3]
    store = file()
    store.commit(said(4))
    store.commit(Batch(members={5: replace(member, said=5, name="ann")}))
    assert loaded() == [5]
    store = file()
    store.commit(said(6))
    store.commit(said(7, purged={2}))
    assert loaded() == [7]
    store = file()
    store.commit(said(8))
    store.commit(Batch(members={5: None}))
    assert loaded() == []


def test_chunks_are_read_in_order_from_anywhere_within_them(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 3), a_chunk(2, 1, 4), a_chunk(1, 4, 4)]))
    store.commit(Batch(chunks=[a_chunk(1, 5, 9)]))
    read = store.read
    assert read(1, 0, 100) == [a_chunk(1, 1, 3), a_chunk(1, 4, 4), a_chunk(1, 5, 9)]
    assert [spans(read(1, after, 100)) for after in range(10)] == [
        [(1, 3), (4, 4), (5, 9)],
        [(1, 3), (4, 4), (5, 9)],
        [(1, 3), (4, 4), (5, 9)],
        [(4, 4), (5, 9)],
        [(5, 9)],
        [(5, 9)],
        [(5, 9)],
        [(5, 9)],
        [(5, 9)],
        [],
    ]
    assert read(3, 0, 100) == []


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, 1, [(1, 3)]),
        (0, 3, [(1, 3)]),
        (0, 4, [(1, 3), (4, 4)]),
        (2, 1, [(1, 3)]),
        (2, 2, [(1, 3), (4, 4)]),
        (2, 3, [(1, 3), (4, 4), (5, 9)]),
        (7, 2, [(5, 9)]),
        (0, 0, []),
    ],
)
def test_a_read_ends_with_the_chunk_that_reaches_the_limit(
    store: Store, after: int, limit: int, expected: list[tuple[int, int]]
) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 3), a_chunk(1, 4, 4), a_chunk(1, 5, 9)]))
    assert spans(store.read(1, after, limit)) == expected


def test_trim_keeps_as_many_entries_as_it_is_told(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 3), a_chunk(1, 4, 6), a_chunk(1, 7, 9), a_chunk(2, 1, 1)]))
    assert store.trim(3, 0) == {1: 7}
    assert spans(store.read(1, 0, 100)) == [(7, 9)]
    assert store.load().ends == {1: (7, 9), 2: (1, 1)}


def test_trim_does_not_cut_a_chunk(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 3), a_chunk(1, 4, 6), a_chunk(1, 7, 9)]))
    assert store.trim(4, 0) == {1: 4}
    assert spans(store.read(1, 0, 100)) == [(4, 6), (7, 9)]


def test_trim_that_keeps_less_than_before_looks_at_silent_rooms_too(store: Store) -> None:
    """An operator has lowered --log-entries."""
    store.commit(Batch(chunks=[a_chunk(1, 1, 3), a_chunk(1, 4, 6), a_chunk(2, 1, 1)]))
    assert store.trim(100, 0) == {}
    assert store.trim(3, 0) == {1: 4}
    assert store.trim(3, 0) == {}


def test_trim_drops_what_is_too_old(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 3, 10), a_chunk(2, 1, 2, 20), a_chunk(1, 4, 6, 30), a_chunk(2, 3, 3, 40)]))
    assert store.trim(100, 10) == {}
    assert store.trim(100, 11) == {1: 4}
    assert store.trim(100, 21) == {2: 3}
    assert store.trim(100, 21) == {}
    assert store.load().ends == {1: (4, 6), 2: (3, 3)}


def test_trim_keeps_a_rooms_last_chunk_however_old_and_large_it_is(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 50, 10)]))
    assert store.trim(1, 99) == {}
    assert spans(store.read(1, 0, 100)) == [(1, 50)]
    store.commit(Batch(chunks=[a_chunk(1, 51, 51, 100)]))
    assert store.trim(1, 99) == {1: 51}


def test_trim_makes_no_hole_when_the_clock_was_set_back(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 1, 100), a_chunk(1, 2, 2, 50), a_chunk(1, 3, 3, 101)]))
    assert store.trim(100, 80) == {}
    assert spans(store.read(1, 0, 100)) == [(1, 1), (2, 2), (3, 3)]


def test_trim_finds_old_chunks_of_rooms_that_are_silent_now(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 1, 10), a_chunk(1, 2, 2, 20)]))
    assert store.trim(100, 0) == {}
    store.commit(Batch(chunks=[a_chunk(2, 1, 1, 30)]))
    assert store.trim(100, 15) == {1: 2}


def test_trim_finds_old_chunks_behind_any_number_of_silent_rooms(store: Store) -> None:
    silent = [a_chunk(room, 1, 1, 1) for room in range(100, 12_100)]  # more than one call looks at
    store.commit(Batch(chunks=[*silent, a_chunk(1, 1, 1, 2), a_chunk(1, 2, 2, 100)]))
    assert store.trim(100, 0) == {}
    changed: dict[int, int] = {}
    for _ in range(4):
        changed |= store.trim(100, 50)
    assert changed == {1: 2}


def test_trim_finds_old_chunks_that_came_after_a_purge(store: Store) -> None:
    store.commit(Batch(chunks=[a_chunk(1, 1, 1, 10), a_chunk(2, 1, 1, 10)]))
    store.trim(100, 50)
    store.commit(Batch(purged={1, 2}))
    store.commit(Batch(chunks=[a_chunk(3, 1, 1, 60), a_chunk(3, 2, 2, 61)]))
    assert store.trim(100, 0) == {}
    assert store.trim(100, 61) == {3: 2}


# --- files --------------------------------------------------------------------------------------------------------


def full_batch() -> Batch:
    members: dict[int, MemberRow | None] = {5: a_member(5, 1)}
    return Batch({1: a_room(1)}, members, [a_chunk(1, 1, 2, 3)], {"a/1": 4}, {(1, "a/1"): 2})


def test_a_file_holds_everything_when_it_is_opened_again(file: Opener) -> None:
    store = file()
    store.commit(full_batch())
    before = sorted_snapshot(store)
    again = file()
    assert sorted_snapshot(again) == before
    assert again.read(1, 0, 10) == [a_chunk(1, 1, 2, 3)]
    again.commit(Batch(chunks=[a_chunk(1, 3, 3)]))
    assert file().load().ends == {1: (1, 3)}


def test_what_has_not_been_moved_to_the_logs_yet_is_there_when_a_file_was_opened_again(file: Opener) -> None:
    store = file()
    for turn in range(1, 9_001, 20):
        chunks = [a_chunk(1, first, first + 1) for first in range(turn, turn + 20, 2)]
        store.commit(Batch(chunks=chunks, accepted={"a/1": turn}))
    for _ in range(3):
        assert [c.first for c in store.read(1, 2_990, 8_000)] == [*range(2_991, 9_001, 2)]
        store = file()
    assert file().load().accepted == {"a/1": 8_981}


def test_trim_counts_again_after_a_file_was_opened_again(file: Opener) -> None:
    file().commit(Batch(chunks=[a_chunk(1, 1, 1), a_chunk(1, 2, 2)]))
    again = file()
    again.load()
    assert again.trim(1, 0) == {1: 2}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Batch(rooms={2: a_room(2, "room 1")}), id="a name that is taken"),
        pytest.param(Batch(chunks=[a_chunk(1, 1, 2, 3)]), id="a chunk that is there"),
        pytest.param(Batch(chunks=[a_chunk(1, 2, 3)]), id="a chunk whose first entry is there"),
    ],
)
def test_a_batch_that_can_not_be_kept_changes_nothing(file: Opener, bad: Batch) -> None:
    store = file()
    store.commit(full_batch())
    before = sorted_snapshot(store)
    bad.members = {5: None, 6: a_member(6, 1)}
    bad.accepted = {"a/1": 5, "b/2": 1}
    bad.delivered = {(1, "a/1"): 9}
    bad.forgotten = {"a/1"}
    with pytest.raises(StoreError):
        store.commit(bad)
    assert sorted_snapshot(store) == before
    store.commit(Batch(accepted={"b/2": 7}))
    assert sorted_snapshot(file()) == {**before, "accepted": {"a/1": 4, "b/2": 7}}


def test_a_file_that_is_gone_from_under_us_is_a_store_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    store.commit(full_batch())
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)) as other:
        other.executescript("DROP TABLE log; DROP TABLE turns")
    for attempt in (
        store.load,
        lambda: store.commit(Batch({2: a_room(2)}, chunks=[a_chunk(1, 3, 3)])),
        lambda: store.read(1, 0, 1),
        lambda: store.trim(1, 0),
    ):
        with pytest.raises(StoreError, match="store"):
            attempt()
    store.close()


_COMMIT_FOR_EVER = """
import sys
from pathlib import Path
from broker.store.interface import Batch, Chunk, RoomRow
from broker.store.postgres import PostgresStore
from broker.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]), sys.argv[2])
store.commit(Batch({1: RoomRow(1, "den", 1, 5, "", 1)}))
number = 0
while True:
    number += 3
    chunks = [Chunk(1, number - 2, number - 1, 0, b"x" * 500), Chunk(1, number, number, 0, b"")]
    store.commit(Batch(chunks=chunks, accepted={"a/1": number}, delivered={(1, "a/1"): number}))
    print(number, flush=True)
"""


@pytest.mark.parametrize("durability", FILES)
def test_what_was_committed_survives_kill_9(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "store.sqlite"
    command = [sys.executable, "-c", _COMMIT_FOR_EVER, str(path), durability]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(40):
            assert child.stdout.readline()
        child.kill()
        printed = child.stdout.read().split(b"\n")
    committed = max(int(line) for line in printed[:-1]) if len(printed) > 1 else 120
    with contextlib.closing(SqliteStore(path, durability)) as store:
        kept = store.load()
        number = kept.accepted["a/1"]
        # One batch may have been kept without having been told of; of each, all is there.
        assert number in (committed, committed + 3)
        assert kept.ends == {1: (1, number)}
        assert kept.delivered == {(1, "a/1"): number}
        read = spans(store.read(1, 0, number))
        assert [first for first, _ in read] == [1, *(last + 1 for _, last in read[:-1])]


@pytest.mark.parametrize("durability", FILES)
def test_a_second_broker_is_refused(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "store.sqlite"
    first = SqliteStore(path, durability)
    with pytest.raises(SettingError, match=r"another broker has the store .*store\.sqlite open"):
        SqliteStore(path, durability)
    first.close()
    SqliteStore(path, durability).close()


def test_a_store_that_others_might_read_is_for_its_owner_alone_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.sqlite"
    first = SqliteStore(path)
    first.commit(Batch(rooms={1: a_room(1)}))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    left = {found.name: found.read_bytes() for found in path.parent.iterdir() if found.suffix != ".lock"}
    first.close()
    for name, data in left.items():  # as a restored copy, or what another program left
        (path.parent / name).write_bytes(data)
        (path.parent / name).chmod(0o644)
    opened = SqliteStore(path)
    try:
        opened.commit(Batch(rooms={2: a_room(2)}))
        assert {f"store.sqlite{suffix}" for suffix in ("", "-wal", "-shm")} == set(left)
        assert {stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()} == {0o600}
    finally:
        opened.close()


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    SqliteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(SettingError, match="version 99, this program reads 8 and 15"):
        SqliteStore(path)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (name TEXT)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(SettingError, match="another program's"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are my notes, not a database at all" * 100)
    with pytest.raises(SettingError, match=r"can not open the store .*notes\.txt: file is not a database"):
        SqliteStore(path)
    assert path.read_bytes().startswith(b"these are my notes")
    assert [found.name for found in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("below", ["", "file", "file/below", "..", "fifo"])
def test_a_place_where_no_file_can_be_is_refused_and_nothing_is_created(tmp_path: Path, below: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "file").mkdir() if below == "file" else (here / "file").touch()
    os.mkfifo(here / "fifo")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SettingError, match="can not open the store") as refused:
        SqliteStore(here / below)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


# --- threads ------------------------------------------------------------------------------------------------------


def test_commits_in_one_thread_do_not_disturb_reads_and_trims_in_another(store: Store) -> None:
    def commit_all() -> None:
        for number in range(1, 301):
            rooms = {number: a_room(number)} if number % 10 == 0 else {}
            store.commit(Batch(rooms, chunks=[a_chunk(1, number, number), a_chunk(number + 1, 1, 1)]))

    with ThreadPoolExecutor(1) as other:
        committed = other.submit(commit_all)
        while not committed.done():
            chunks = store.read(1, 0, 2_000)
            assert (
                [chunk.first for chunk in chunks] == [*range(chunks[0].first, chunks[-1].first + 1)] if chunks else True
            )
            store.trim(50, 0)
        committed.result()
    store.trim(50, 0)
    assert spans(store.read(1, 0, 2_000)) == [(number, number) for number in range(251, 301)]
    assert len(store.load().rooms) == 30


# --- engines agree ------------------------------------------------------------------------------------------------


class Engines(RuleBasedStateMachine):
    """The same batches, trims and reads for each engine: all of them hold and say the same."""

    path: Path
    database: postgres.Instance | None = None
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Engines.number += 1
        self._file = self.path / f"{Engines.number}.sqlite"
        self._open: dict[str, Opener] = {"sqlite": lambda: SqliteStore(self._file)}
        if self.database is not None:
            url = self.database.empty()
            self._open["postgres"] = lambda: OneShard(PostgresStore(url))
        self._stores: dict[str, Store] = {
            "memory": MemoryStore(),
            **{name: open_() for name, open_ in self._open.items()},
        }
        self._rooms: list[int] = []
        self._closed: list[int] = []
        self._ends: dict[int, int] = {}
        self._last_id = 0
        self._now = 1_000
        self._keep = 1

    @initialize(keep=st.integers(1, 12))
    def settle_what_is_kept(self, keep: int) -> None:
        self._keep = keep

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _chunk(self, room: int, size: int) -> Chunk:
        first = self._ends.get(room, 0) + 1
        self._ends[room] = first + size - 1
        return a_chunk(room, first, self._ends[room], self._now)

    @rule(data=st.data(), step_ms=st.integers(-3, 20))
    def commit(self, data: st.DataObject, step_ms: int) -> None:
        self._now += step_ms
        batch = Batch()
        gateways = st.sampled_from(["a/1", "b/1", "b/2"])
        for room in data.draw(st.sets(st.sampled_from(self._rooms))) if self._rooms else ():
            what = data.draw(st.sampled_from(["grow", "grow", "grow", "join", "change", "deliver", "close"]))
            batch.chunks.append(self._chunk(room, data.draw(st.integers(1, 5))))
            if what == "close":
                batch.rooms[room] = closed(a_room(room))
                self._rooms.remove(room)
                self._closed.append(room)
            elif what == "join":
                member = self._new_id()
                batch.members[member] = a_member(member, room, data.draw(gateways))
            elif what == "change":
                batch.rooms[room] = RoomRow(room, f"room {room}", 1, 2, "hash", 1_000 + room)
            elif what == "deliver":
                batch.delivered[room, data.draw(gateways)] = data.draw(st.integers(1, self._ends[room]))
        if data.draw(st.booleans()):
            room, host = self._new_id(), self._new_id()
            self._rooms.append(room)
            batch.rooms[room] = a_room(room, host=host)
            batch.members[host] = a_member(host, room, data.draw(gateways))
            batch.chunks.append(self._chunk(room, 1))
        if self._last_id:
            for gone in data.draw(st.sets(st.integers(1, self._last_id), max_size=2)):
                batch.members.setdefault(gone, None)
        purge = data.draw(st.booleans())
        if self._closed and purge:
            gone = self._closed.pop(0)
            # Never in the turn that closed it: somebody may still have to read its end.
            if gone not in batch.rooms:
                batch.purged.add(gone)
            else:
                self._closed.append(gone)
        batch.accepted = data.draw(st.dictionaries(gateways, st.integers(0, 99), max_size=2))
        batch.forgotten = data.draw(st.sets(gateways, max_size=1)) - set(batch.accepted)
        for store in self._stores.values():
            store.commit(batch)

    @rule(age_ms=st.integers(0, 60))
    def trim(self, age_ms: int) -> None:
        memory, *others = (store.trim(self._keep, self._now - age_ms) for store in self._stores.values())
        assert others == [memory] * len(others)

    @rule(data=st.data(), after=st.integers(0, 30), limit=st.integers(0, 30))
    def read(self, data: st.DataObject, after: int, limit: int) -> None:
        room = data.draw(st.integers(1, max(self._last_id, 1)))
        memory, *others = (store.read(room, after, limit) for store in self._stores.values())
        assert others == [memory] * len(others)

    @rule()
    def open_again(self) -> None:
        for name, open_ in self._open.items():
            self._stores[name].close()
            self._stores[name] = open_()
            self._stores[name].load()

    @invariant()
    def they_hold_the_same(self) -> None:
        memory, *others = (sorted_snapshot(store) for store in self._stores.values())
        assert others == [memory] * len(others)

    def teardown(self) -> None:
        for store in self._stores.values():
            store.close()


@pytest.mark.parametrize("folded_at", [(5, 2**22), (10**6, 300), (10**6, 2**22)], ids=["chunks", "bytes", "seldom"])
@pytest.mark.parametrize("with_server", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["files", "postgres"])
def test_engines_agree(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folded_at: tuple[int, int],
    with_server: bool,
) -> None:
    monkeypatch.setattr(unfolded_turns, "FOLD_AT", folded_at)

    class Here(Engines):
        path = tmp_path
        database = request.getfixturevalue("postgresql") if with_server else None

    run_state_machine_as_test(Here, settings=settings(examples(5 if with_server else 8), stateful_step_count=25))
