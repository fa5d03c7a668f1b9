"""broker/store/sqlite.py, sqlite_schema.py and sqlite_file.py: power cuts, stores of 0.1.0, copies, erasing"""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker.rooms.directory import Directory
from broker.store.backup import back_up
from broker.store.interface import FOREVER, Batch, Chunk, MemberRow, Restriction, RoomRow, StoreInUse
from broker.store.sqlite import Durability, SqliteStore
from broker.store.sqlite_file import Locks
from tsudoi.protocol.errors import SettingError, StoreError

OF_0_1_0 = Path(__file__).with_name("store_of_0_1_0.sql")


def say(store: SqliteStore, offset: int) -> None:
    store.commit(Batch(chunks=[Chunk(1, offset, offset, 0, b"x")], accepted={"a/1": offset}))


def join(store: SqliteStore, offset: int) -> None:
    room = RoomRow(1, "den", 1, 5, "", 1)
    store.commit(Batch({1: room}, chunks=[Chunk(1, offset, offset, 0, b"x")], accepted={"a/1": offset}))


def leave_open(
    path: Path, *steps: Callable[[SqliteStore], None], durability: Durability = "process", boot: str | None = None
) -> None:
    """Do something with a store, and leave its files as they are when the process is killed then."""
    with closing(SqliteStore(path, durability, boot)) as store:
        for step in steps:
            step(store)
        left = {file: file.read_bytes() for file in path.parent.glob(path.name + "*") if file.suffix != ".sqlite-shm"}
    for file, content in left.items():
        file.write_bytes(content)


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("full", 2)])
def test_commits_are_synced_as_the_durability_says(tmp_path: Path, durability: Durability, level: int) -> None:
    """No test can cut the power: this is what SQLite promises for it. A checkpoint must not do less than a commit."""
    with closing(SqliteStore(tmp_path / "s", durability)) as store:
        say(store, 1)
        for db in (store._db, store._checkpoints._db):
            assert db.execute("PRAGMA synchronous").fetchone() == (level,)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store whose broker was killed, with four turns."""
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


def test_turns_that_were_not_folded_are_there_after_a_kill(path: Path) -> None:
    assert kept(path) == (4, 4, False)
    assert kept(path) == (4, 4, False)


# --- power cuts ---------------------------------------------------------------------------------------------------


def test_the_end_may_be_missing_if_the_system_was_started_since_a_store_was_open(path: Path) -> None:
    def epoch_of(store: SqliteStore) -> tuple[bool, int]:
        snapshot = store.load()
        return snapshot.has_lost, snapshot.rooms[0].epoch

    epochs: list[tuple[bool, int]] = []
    SqliteStore(path).close()
    # Closed, so nothing can be missing; then killed, which loses nothing; then a power cut.
    for _ in range(2):
        leave_open(path, lambda store: epochs.append(epoch_of(store)), boot="first")
    assert epochs == [(False, 1)] * 2
    with closing(SqliteStore(path, boot="second")) as store:
        has_lost, epoch = epoch_of(store)
        assert has_lost
        assert epoch > 1
    with closing(SqliteStore(path, boot="third")) as store:
        assert epoch_of(store) == (False, epoch)


def test_commits_that_were_synced_are_not_missing_after_a_power_cut(path: Path) -> None:
    SqliteStore(path).close()
    leave_open(path, lambda store: say(store, 5), durability="full", boot="first")
    leave_open(path, lambda store: say(store, 6), boot="second")
    with closing(SqliteStore(path, "full", boot="second")) as store:
        assert not store.load().has_lost
    # What was not synced before may be missing, however it is opened now.
    leave_open(path, lambda store: say(store, 7), boot="second")
    with closing(SqliteStore(path, "full", boot="third")) as store:
        assert store.load().has_lost


def test_a_copy_was_open_nowhere(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path, boot="first")) as store:
        store.load()
        back_up(path, tmp_path / "copy.sqlite")
    with closing(SqliteStore(tmp_path / "copy.sqlite", boot="second")) as store:
        assert not store.load().has_lost


def test_a_member_that_had_received_what_was_lost_stands_at_the_end_of_what_is_left(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        snapshot = store.load()
    snapshot.members = [MemberRow(9, 1, "bob", b"\1" * 16, "tcrp", "::1", b"::1 5 0", "a/1", 1_000, True, 7)]
    snapshot.delivered = {(1, "a/1"): 8}
    (member,) = Directory(snapshot).members.values()
    assert member.received() == 4


# --- stores of 0.1.0 ----------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of 0.1.0 that was closed, and its empty journal."""
    path = tmp_path / "rooms.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(OF_0_1_0.read_text())
    path.with_name("rooms.sqlite.journal").write_bytes(b"\xf1\x4b\x83\x20\xc4\xab\xde\xe0")
    return path


def test_a_store_of_0_1_0_opens_with_all_it_had(old: Path) -> None:
    for _ in range(2):
        with closing(SqliteStore(old)) as store:
            kept = store.load()
            assert kept.rooms == [RoomRow(1, "lobby", 1, 2, "", 1000, topic="tea", persistent=True)]
            address = "127.0.0.1", b"", "/a"
            row = MemberRow(2, 1, "alice", b"\1\2", "tcrp", *address, 100_000, True, 1, 0, "alice", options=3)
            assert kept.members == [row]
            assert (kept.ends, kept.accepted) == ({1: (1, 5)}, {"a/1": 5})
            assert kept.restrictions == [Restriction(1, 1, "bob", "", FOREVER)]
            assert [chunk.last for chunk in store.read(1, 0, 10)] == [1, 2, 3, 4, 5]
            assert not kept.has_lost
    assert not list(old.parent.glob("*.journal"))


def test_a_converted_store_has_the_same_tables_as_a_new_one(old: Path, tmp_path: Path) -> None:
    found = []
    for path in (old, tmp_path / "new.sqlite"):
        SqliteStore(path).close()
        with closing(sqlite3.connect(path)) as db:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]
            columns = [row[1:4] for name in names for row in db.execute(f"PRAGMA table_info({name})")]
            found.append((names, sorted(columns), db.execute("PRAGMA user_version").fetchone()))
    assert found[0] == found[1]


@pytest.mark.parametrize("lies_in", ["journal", "table"])
def test_a_store_of_0_1_0_that_was_not_closed_is_refused_and_left_as_it_is(old: Path, lies_in: str) -> None:
    journal = old.with_name("rooms.sqlite.journal")
    if lies_in == "journal":
        journal.write_bytes(journal.read_bytes() + b"\0" * 20)
    else:
        with closing(sqlite3.connect(old)) as db:
            db.executescript("INSERT INTO turns VALUES (6, x'93')")
    for _ in range(2):
        with pytest.raises(SettingError, match="has not closed it"):
            SqliteStore(old)
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (8,)
    assert journal.exists()


def test_a_store_of_0_1_0_is_not_copied_before_it_is_converted(old: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="start this version's broker with it once"):
        back_up(old, tmp_path / "copy.sqlite")
    assert not list(tmp_path.glob("copy*"))


def test_what_0_1_0_left_in_free_pages_is_erased(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete=FAST")
        for batch in chunks_with_secrets(7, 300):
            db.execute("INSERT INTO turns (body) VALUES (?)", (batch.chunks[0].news,))
        db.execute("DELETE FROM turns")
    assert readable(old, 7)
    with closing(SqliteStore(old)):
        assert not readable(old, 7)


# --- copies, links and locks --------------------------------------------------------------------------------------


def epochs_of(path: Path) -> tuple[int, int, bool]:
    """Epoch of the one room, where it begins, and whether the store was taken for a copy."""
    with closing(SqliteStore(path)) as store:
        snapshot = store.load()
        (room,) = snapshot.rooms
        assert not snapshot.has_lost
        return room.epoch, room.epoch_after, snapshot.is_copy


def test_a_folder_that_was_copied_while_no_broker_ran_is_in_another_epoch_when_it_is_opened(
    path: Path, tmp_path: Path
) -> None:
    SqliteStore(path).close()
    shutil.copytree(tmp_path, tmp_path / "cold", copy_function=shutil.copy2)
    assert epochs_of(path) == (1, 0, False)
    epoch, epoch_after, is_copy = epochs_of(tmp_path / "cold" / path.name)
    assert (epoch > 1, epoch_after, is_copy) == (True, 4, True)
    # It is at home now.
    assert epochs_of(tmp_path / "cold" / path.name) == (epoch, 4, False)
    (tmp_path / "cold" / path.name).rename(tmp_path / "renamed")
    assert epochs_of(tmp_path / "renamed") == (epoch, 4, False)


def test_a_copy_of_the_file_alone_that_was_open_lacks_commits(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        say(store, 5)
        shutil.copy2(path, tmp_path / "alone")
    with closing(SqliteStore(tmp_path / "alone")) as copy:
        snapshot = copy.load()
    assert (snapshot.has_lost, snapshot.is_copy, snapshot.ends[1][1]) == (True, True, 4)


def test_a_backup_that_is_put_back_twice_is_in_another_epoch_each_time(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path)):
        back_up(path, tmp_path / "copy")
    found = set()
    for _ in range(3):
        # Over the store's own file: its inode stays.
        path.write_bytes((tmp_path / "copy").read_bytes())
        epoch, epoch_after, is_copy = epochs_of(path)
        assert (epoch_after, is_copy) == (4, True)
        found.add(epoch)
    assert len(found) == 3


@pytest.mark.parametrize("was_killed", [False, True])
def test_an_older_copy_that_is_written_over_the_store_is_in_another_epoch(
    path: Path, tmp_path: Path, was_killed: bool
) -> None:
    if was_killed:
        leave_open(path)
    names = [found.name for found in tmp_path.iterdir() if not found.name.endswith(".lock")]
    for name in names:
        shutil.copy2(tmp_path / name, tmp_path / f"old {name}")
    leave_open(path, lambda store: say(store, 5))
    with closing(SqliteStore(path)):
        pass
    for name in names:
        (tmp_path / name).write_bytes((tmp_path / f"old {name}").read_bytes())
    epoch, epoch_after, is_copy = epochs_of(path)
    assert (epoch > 1, epoch_after, is_copy) == (True, 4, True)
    assert epochs_of(path) == (epoch, 4, False)


def test_a_store_whose_opening_was_interrupted_is_no_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("killed here")

    SqliteStore(path).close()
    methods: list[tuple[type, str]] = [(SqliteStore, "_note_open"), (Locks, "mark")]
    for owner, method in methods:
        with monkeypatch.context() as patch:
            patch.setattr(owner, method, fail)
            with pytest.raises(SettingError, match="killed here"):
                SqliteStore(path)
        assert epochs_of(path) == (1, 0, False)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_no_second_broker_opens_a_store_by_another_name(
    path: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "name"
    with closing(SqliteStore(path)) as store:
        link(path, other)
        with pytest.raises(StoreInUse):
            SqliteStore(other)
        store.commit(Batch(accepted={"b/1": 5}))
    with closing(SqliteStore(other)) as store:
        assert store.load().accepted == {"a/1": 4, "b/1": 5}


def test_a_store_that_was_not_closed_is_not_opened_or_copied_without_what_lies_beside_its_other_name(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "name"
    leave_open(path, lambda store: say(store, 5))
    os.link(path, other)
    with pytest.raises(SettingError, match="hard links"):
        SqliteStore(other)
    with pytest.raises(SettingError, match="hard links"):
        back_up(other, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert kept(path) == (5, 5, False)
    assert kept(other) == (5, 5, False)


def test_what_to_do_with_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rooms.sqlite"
    SqliteStore(path).close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(SettingError, match="the file is damaged; put a backup in its place"):
        SqliteStore(path).load()


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(SettingError, match="can not open the store"):
        SqliteStore(tmp_path / "circle")


# --- erasing ------------------------------------------------------------------------------------------------------


def chunks_with_secrets(room: int, count: int) -> Iterator[Batch]:
    for offset in range(1, count + 1):
        yield Batch(chunks=[Chunk(room, offset, offset, offset, f"secret-{room}-{offset} ".encode() * 20)])


def readable(path: Path, room: int) -> set[bytes]:
    """The texts of a room that stand somewhere in the store's files."""
    content = b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))
    # A text that a page's end cuts stands there many times more.
    return set(re.findall(rb"(secret-%d-\d+) " % room, content))


def test_texts_of_a_purged_room_are_erased_from_the_files_of_a_running_store(tmp_path: Path) -> None:
    path = tmp_path / "rooms.sqlite"
    with closing(SqliteStore(path)) as store:
        for number in (1, 2):
            store.commit(Batch({number: RoomRow(number, f"room {number}", 1, 5, "", 1)}))
        for one, two in zip(chunks_with_secrets(1, 300), chunks_with_secrets(2, 300), strict=True):
            store.commit(Batch(chunks=one.chunks + two.chunks))
            if one.chunks[0].first % 100 == 0:
                store.trim(1_000, 0)
        store.commit(Batch(purged={1}))
        store.trim(1_000, 0)
        assert (readable(path, 1), len(readable(path, 2))) == (set(), 300)
    assert (readable(path, 1), len(readable(path, 2))) == (set(), 300)


def test_texts_that_were_trimmed_are_erased(tmp_path: Path) -> None:
    path = tmp_path / "rooms.sqlite"
    with closing(SqliteStore(path)) as store:
        store.commit(Batch({1: RoomRow(1, "den", 1, 5, "", 1)}))
        for batch in chunks_with_secrets(1, 400):
            store.commit(batch)
        store.trim(100, 0)
        assert readable(path, 1) == {f"secret-1-{offset}".encode() for offset in range(301, 401)}
        store.trim(1_000, 350)
        assert readable(path, 1) == {f"secret-1-{offset}".encode() for offset in range(350, 401)}


def test_a_backup_that_is_reading_delays_the_erasing_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rooms.sqlite"
    with closing(SqliteStore(path)) as store:
        store.commit(Batch({1: RoomRow(1, "den", 1, 5, "", 1)}))
        for batch in chunks_with_secrets(1, 100):
            store.commit(batch)
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM rooms").fetchone()
            store.commit(Batch(purged={1}))
            begun = time.monotonic()
            store.trim(1_000, 0)
            assert time.monotonic() - begun < 4  # it would wait for 5 s
            assert readable(path, 1)
        store.trim(1_000, 0)
        assert not readable(path, 1)


def test_a_file_in_the_place_of_the_stores_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"rooms\.sqlite: .*/file is no folder"):
        SqliteStore(tmp_path / "file" / "rooms.sqlite", "process")


def remove(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace_by_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def remove_newest_commits(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


@pytest.mark.parametrize("harm", [remove, move, replace_by_copy, remove_newest_commits])
def test_a_store_whose_files_are_no_longer_there_fails_soon(path: Path, harm: Callable[[Path], None]) -> None:
    with closing(SqliteStore(path)) as store:
        say(store, 5)
        assert store.trim(100, 0) == {}
        harm(path)
        with pytest.raises(StoreError, match="removed, moved or replaced"):
            store.trim(100, 0)


def test_a_number_that_no_column_takes_ends_the_store_and_is_no_fault_that_is_passed_over(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rooms.sqlite")
    ban = Restriction(0, 1, "bob", "", 2**63)
    with closing(store), pytest.raises(StoreError, match="can not write"):
        store.commit(Batch(restrictions={ban.key: ban}))
