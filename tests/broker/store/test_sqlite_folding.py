"""broker/store/sqlite_folding.py"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from broker.store import sqlite_folding, unfolded_turns
from broker.store.interface import Batch, Chunk, MemberRow, RoomRow
from broker.store.memory import MemoryStore
from broker.store.sqlite import SqliteStore

ROOMS = 5


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of 12 chunks, folded two at a time."""
    monkeypatch.setattr(unfolded_turns, "FOLD_AT", (12, 2**22))
    monkeypatch.setattr(sqlite_folding, "PART", (2, 2**16))
    monkeypatch.setattr(sqlite_folding, "FASTER", 1)


def turns(sizes: Iterator[int] | None = None, a_turn: int = 1) -> Iterator[Batch]:
    """Messages in one room after the other, `a_turn` rooms in each turn."""
    ends = dict.fromkeys(range(1, ROOMS + 1), 0)
    sizes = sizes or count(1)
    member = MemberRow(5, 1, "ann", b"t" * 16, "tsudoi", "::1", b"", "a/1", 100_000, True, 1)
    yield Batch({room: RoomRow(room, f"room {room}", 1, 5, "", 1) for room in ends}, {5: member})
    for number in count(1):
        chunks = []
        for place in range(a_turn):
            room = 1 + (number * a_turn + place) % ROOMS
            first, ends[room] = ends[room] + 1, ends[room] + 2
            chunks.append(Chunk(room, first, ends[room], number, b"x" * next(sizes)))
        said = {} if number % 7 == 0 else {5: number}
        members: dict[int, MemberRow | None] = {5: replace(member, said=number)}
        yield Batch({}, members, chunks, {"a/1": number}, {(1, "a/1"): number}, said=said)


def content(store: SqliteStore | MemoryStore) -> object:
    snapshot = store.load()
    logs = [store.read(room, 0, 10_000) for room in range(1, ROOMS + 1)]
    return logs, snapshot.ends, snapshot.accepted, snapshot.delivered, snapshot.members


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("a_turn", [1, 3])
def test_a_broker_that_is_killed_while_it_folds_loses_and_doubles_nothing(tmp_path: Path, a_turn: int) -> None:
    path, copy = tmp_path / "rooms.sqlite", tmp_path / "killed.sqlite"
    parts = 0
    memory = MemoryStore()
    with closing(SqliteStore(path)) as store:
        for _, turn in zip(range(40), turns(a_turn=a_turn), strict=False):
            store.commit(turn)
            memory.commit(turn)
            parts += store._logs.folding is not None
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
            logs = [store.read(room, 0, 10_000) for room in range(1, ROOMS + 1)]
            with closing(SqliteStore(copy)) as killed:
                # Twice: the second time it was closed in good order.
                assert content(killed) == content(memory)
                assert content(killed)[0] == logs  # type: ignore[index]
    assert parts > 12


def test_no_commit_folds_all_that_is_due(tmp_path: Path) -> None:
    most = 0
    with closing(SqliteStore(tmp_path / "rooms.sqlite")) as store:
        for _, turn in zip(range(3 * unfolded_turns.FOLD_AT[0]), turns(), strict=False):
            before = store._db.total_changes
            store.commit(turn)
            most = max(most, store._db.total_changes - before)
            assert not store._logs.is_behind
    assert most < 2 * sqlite_folding.PART[0]


def test_turns_that_come_faster_than_parts_are_folded_are_folded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfolded_turns, "FOLD_AT", (4, 2**22))
    memory = MemoryStore()
    with closing(SqliteStore(tmp_path / "rooms.sqlite")) as store:
        was_due = False
        for _, turn in zip(range(20), turns(a_turn=ROOMS), strict=False):
            store.commit(turn)
            memory.commit(turn)
            was_due |= store.is_long_commit_due
        assert was_due
        assert content(store) == content(memory)


@pytest.mark.usefixtures("few")
def test_a_gateway_that_is_forgotten_while_turns_are_folded_takes_nothing_of_them_along(tmp_path: Path) -> None:
    memory, times = MemoryStore(), 0
    with closing(SqliteStore(tmp_path / "rooms.sqlite")) as store:
        for number, turn in zip(range(60), turns(), strict=False):
            if number % 15 == 14:  # some are written by then, and some are not
                times += store._logs.folding is not None
                turn.forgotten = {"gone/1"}
            store.commit(turn)
            memory.commit(turn)
        assert content(store) == content(memory)
    assert times > 2


def test_rows_stay_small_however_much_a_room_has(tmp_path: Path) -> None:
    path = tmp_path / "rooms.sqlite"
    with closing(SqliteStore(path)) as store:
        for offset in range(1, 501):
            store.commit(Batch(chunks=[Chunk(1, offset, offset, offset, b"x" * 1_000)]))
        store.trim(1_000, 0)
        rows = store._db.execute("SELECT length(news) FROM log").fetchall()
        assert max(rows)[0] < 1.2 * sqlite_folding.ROW_SIZE
        assert len(store.read(1, 0, 1_000)) == 500


@pytest.mark.usefixtures("few")
def test_chunks_of_a_room_in_several_rows_are_trimmed_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_folding, "PART", (2, 300))
    monkeypatch.setattr(sqlite_folding, "ROW_SIZE", 200)
    memory = MemoryStore()
    with closing(SqliteStore(tmp_path / "rooms.sqlite")) as store:
        for number, turn in zip(range(200), turns(count(40, 7)), strict=False):
            store.commit(turn)
            memory.commit(turn)
            if number % 50 == 49:
                before_ms = number - 23
                assert store.trim(1_000, before_ms) == memory.trim(1_000, before_ms)
                assert content(store) == content(memory)
