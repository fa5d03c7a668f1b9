"""broker/journal.py, and what broker/store_sqlite.py makes of a journal that is not as it left it"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import DataObject, binary, data, integers, lists

from broker.backup import back_up
from broker.directory import Directory
from broker.journal import OWNER_SIZE, Found, Journal, beside, parse
from broker.store import Batch, Chunk, MemberRow, RoomRow
from broker.store_sqlite import Durability, SqliteStore
from tsudoi.protocol.errors import StoreError

OWNER, OTHER = b"owner 01", b"owner 02"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "j", OWNER, is_synced=False)) as opened:
        yield opened


def found(path: Path, owner: bytes = OWNER) -> dict[int, bytes]:
    with closing(Journal(path, owner, is_synced=True)) as opened:
        return opened.take().records


def test_what_was_appended_is_found(journal: Journal, tmp_path: Path) -> None:
    assert journal.take().records == {}
    journal.append(7, b"seven")
    journal.append(8, b"")
    assert found(tmp_path / "j") == {7: b"seven", 8: b""}
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_what_was_cleared_is_gone_and_it_goes_on(journal: Journal, tmp_path: Path) -> None:
    journal.append(1, b"one")
    journal.clear()
    journal.append(2, b"two")
    assert found(tmp_path / "j") == {2: b"two"}


def test_anothers_journal_is_emptied(journal: Journal, tmp_path: Path) -> None:
    journal.append(1, b"one")
    assert found(tmp_path / "j", OTHER) == {}
    assert (tmp_path / "j").read_bytes() == OTHER


@given(lists(binary(max_size=30), max_size=6), data())
def test_what_is_cut_or_altered_ends_a_journal(bodies: list[bytes], data: DataObject) -> None:
    whole = OWNER
    ends = [len(whole)]
    for number, body in enumerate(bodies, 1):
        whole += written(number, body)
        ends.append(len(whole))
    assert parse(whole, OWNER) == Found(dict(enumerate(bodies, 1)), len(whole), False)
    cut = data.draw(integers(OWNER_SIZE, len(whole)))
    count = sum(end <= cut for end in ends) - 1
    # What was not written whole has nothing behind it.
    assert parse(whole[:cut], OWNER) == Found(dict(enumerate(bodies[:count], 1)), ends[count], False)
    if len(whole) > OWNER_SIZE:
        at = data.draw(integers(OWNER_SIZE, len(whole) - 1))
        altered = bytearray(whole)
        altered[at] ^= data.draw(integers(1, 255))
        count = sum(end <= at for end in ends) - 1
        found = parse(bytes(altered), OWNER)
        assert found.records == dict(enumerate(bodies[:count], 1))
        # What is wrong in the middle is known by what comes after it.
        assert found.is_broken == (count < len(bodies) - 1)


@given(binary(max_size=200))
def test_any_bytes_are_a_journal_of_what_can_be_read(data: bytes) -> None:
    found = parse(data, OWNER)
    assert found.size <= len(data)
    assert bool(found.size) == data.startswith(OWNER)
    assert not found.records or found.size > OWNER_SIZE


def written(number: int, body: bytes) -> bytes:
    """A record's bytes, as the drawing has them."""
    checked = number.to_bytes(8, "big") + body
    return len(body).to_bytes(4, "big") + zlib.crc32(checked).to_bytes(4, "big") + checked


def test_the_bytes_are_those_of_the_drawing(journal: Journal, tmp_path: Path) -> None:
    journal.append(300, b"body")
    assert (tmp_path / "j").read_bytes() == OWNER + written(300, b"body")


def test_a_record_that_there_is_no_room_for_does_not_count_and_is_taken_away(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(1, b"one")
    write = os.write
    monkeypatch.setattr("broker.journal.os.write", lambda file, data: write(file, data[:5]))
    with pytest.raises(StoreError, match="can not write to the store's journal: there is no room"):
        journal.append(2, b"two")
    monkeypatch.undo()
    journal.append(2, b"2")
    assert found(tmp_path / "j") == {1: b"one", 2: b"2"}


# --- the store ----------------------------------------------------------------------------------------------------


def say(store: SqliteStore, offset: int) -> None:
    store.commit(Batch(chunks=[Chunk(1, offset, offset, 0, b"x")], accepted={"a/1": offset}))


def join(store: SqliteStore, offset: int) -> None:
    room = RoomRow(1, "den", 1, 5, "", 1)
    store.commit(Batch({1: room}, chunks=[Chunk(1, offset, offset, 0, b"x")], accepted={"a/1": offset}))


def leave_open(
    path: Path, *steps: Callable[[SqliteStore], None], durability: Durability = "process", run: str | None = None
) -> None:
    """Do something with a store, and leave its files as they are when the process is killed then."""
    with closing(SqliteStore(path, durability, run)) as store:
        for step in steps:
            step(store)
        left = {file: file.read_bytes() for file in path.parent.glob(path.name + "*") if file.suffix != ".sqlite-shm"}
    for file in path.parent.glob(path.name + "*"):
        file.unlink()
    for file, content in left.items():
        file.write_bytes(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that was killed: two turns of its journal, one of the table between them."""
    path = tmp_path / "rooms.sqlite"
    leave_open(
        path,
        lambda store: join(store, 1),
        lambda store: say(store, 2),
        lambda store: join(store, 3),
        lambda store: say(store, 4),
    )
    return path


def kept(path: Path) -> tuple[int, int, bool]:
    """Last offset, last number accepted, and whether a new epoch has begun."""
    with closing(SqliteStore(path)) as store:
        snapshot = store.load()
        (room,) = snapshot.rooms
        assert (room.epoch > 1) == snapshot.has_lost
        assert [chunk.last for chunk in store.read(1, 0, 100)] == [*range(1, snapshot.ends[1][1] + 1)]
        return snapshot.ends[1][1], snapshot.accepted["a/1"], snapshot.has_lost


def test_turns_of_the_journal_and_of_the_table_follow_each_other(path: Path) -> None:
    assert kept(path) == (4, 4, False)
    assert kept(path) == (4, 4, False)
    assert beside(path).stat().st_size == OWNER_SIZE


def test_a_record_that_was_not_written_whole_is_left_out_and_the_store_goes_on(path: Path) -> None:
    os.truncate(beside(path), beside(path).stat().st_size - 1)
    with closing(SqliteStore(path)) as store:
        say(store, 4)
        say(store, 5)
    assert kept(path) == (5, 5, False)


def test_after_a_gap_nothing_counts_and_rooms_begin_a_new_epoch(path: Path) -> None:
    os.truncate(beside(path), OWNER_SIZE)
    # The table's turn 3 is there, but what was said before it is not.
    assert kept(path) == (1, 1, True)
    with closing(SqliteStore(path)) as store:
        assert not store.load().has_lost
        say(store, 2)
        assert store.load().ends == {1: (1, 2)}


def test_the_end_may_be_missing_if_the_system_was_started_since_a_store_was_open(path: Path) -> None:
    def epoch_of(store: SqliteStore) -> tuple[bool, int]:
        snapshot = store.load()
        return snapshot.has_lost, snapshot.rooms[0].epoch

    epochs: list[tuple[bool, int]] = []
    SqliteStore(path).close()
    # Closed, so nothing can be missing; then killed, which loses nothing; then a power cut.
    for _ in range(2):
        leave_open(path, lambda store: epochs.append(epoch_of(store)), run="first")
    assert epochs == [(False, 1)] * 2
    with closing(SqliteStore(path, run="second")) as store:
        has_lost, epoch = epoch_of(store)
        assert has_lost
        assert epoch > 1
    with closing(SqliteStore(path, run="third")) as store:
        assert epoch_of(store) == (False, epoch)


def test_what_is_synced_at_each_commit_is_not_missing_after_a_power_cut(path: Path) -> None:
    SqliteStore(path).close()
    leave_open(path, lambda store: say(store, 5), durability="full", run="first")
    leave_open(path, lambda store: say(store, 6), run="second")
    with closing(SqliteStore(path, "full", run="second")) as store:
        assert not store.load().has_lost
    # What was not synced before may be missing, however it is opened now.
    leave_open(path, lambda store: say(store, 7), run="second")
    with closing(SqliteStore(path, "full", run="third")) as store:
        assert store.load().has_lost


def test_a_copy_was_open_nowhere(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path, run="first")) as store:
        store.load()
        back_up(path, tmp_path / "copy.sqlite")
    with closing(SqliteStore(tmp_path / "copy.sqlite", run="second")) as store:
        assert not store.load().has_lost


def test_what_is_in_the_tables_already_is_not_taken_twice(path: Path) -> None:
    before = beside(path).read_bytes()
    assert kept(path) == (4, 4, False)
    # Killed after the transaction, and before the journal was emptied.
    beside(path).write_bytes(before)
    with closing(SqliteStore(path)) as store:
        say(store, 5)
    assert kept(path) == (5, 5, False)


def test_the_journal_of_another_store_is_not_read(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "other.sqlite")) as other:
        join(other, 1)
    os.replace(beside(path), beside(tmp_path / "other.sqlite"))
    assert kept(tmp_path / "other.sqlite") == (1, 1, False)


def test_a_store_without_a_journal_that_an_earlier_version_left_opens(path: Path) -> None:
    """What it had in its table alone is all there is."""
    with closing(SqliteStore(path)) as store:
        store.load()
        join(store, 5)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TABLE journal; UPDATE turns SET row=1; ALTER TABLE members RENAME COLUMN options TO manner;"
            "PRAGMA user_version=6"
        )
    beside(path).unlink()
    assert kept(path) == (5, 5, False)


def test_a_record_that_was_lost_from_the_middle_is_a_gap_too(path: Path) -> None:
    def say_more(store: SqliteStore) -> None:
        store.load()
        for offset in range(5, 9):
            say(store, offset)

    leave_open(path, say_more)
    journal = bytearray(beside(path).read_bytes())
    journal[(OWNER_SIZE + len(journal)) // 2] ^= 1
    beside(path).write_bytes(journal)
    last, _, has_lost = kept(path)
    assert 4 <= last < 8
    assert has_lost


def test_who_had_heard_what_was_lost_stands_at_the_end_of_what_is_left(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        snapshot = store.load()
    snapshot.members = [MemberRow(9, 1, "bob", b"\1" * 16, "tcrp", "::1", b"::1 5 0", "a/1", 1_000, True, 7)]
    snapshot.delivered = {(1, "a/1"): 8}
    (member,) = Directory(snapshot).members.values()
    assert member.heard() == 4
