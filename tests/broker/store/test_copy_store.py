"""broker/store/copy_store.py: from a file into a real PostgreSQL."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from broker.store import copy_store as module
from broker.store.copy_store import Copied, copy_store
from broker.store.interface import (
    FOREVER,
    Batch,
    Chunk,
    MemberRow,
    PostRow,
    Restriction,
    RoomRow,
    Snapshot,
    StoreInUse,
)
from broker.store.place import Database
from broker.store.postgres import PostgresStore
from broker.store.sharing import Broker
from broker.store.split import shards_of_rooms
from broker.store.sqlite import SqliteStore
from tests.support import forked, postgres
from tests.support.services import ROOT
from tsudoi.protocol.backbone import SHARDS
from tsudoi.protocol.errors import SettingError, StoreError

ROOMS = [RoomRow(number, f"部屋 {number}", 3, 0, "hash", 1_000 + number, topic="t") for number in range(1, 31)]
ENTRIES = 12
BAN = Restriction(0, 1, "", "192.0.2.7", FOREVER)


@pytest.fixture
def database(postgresql: postgres.Instance) -> Database:
    return Database(postgresql.empty())


def a_member(room: int) -> MemberRow:
    token_hash = room.to_bytes(16, "big")
    return MemberRow(1_000 + room, room, "ann", token_hash, "classic", "::1", b"a", "a/1", 100_000, True, 1)


def fill(path: Path) -> Snapshot:
    """Make a store with rooms, and return what it holds."""
    with closing(SqliteStore(path)) as store:
        batch = Batch({room.id: room for room in ROOMS}, {1_000 + room.id: a_member(room.id) for room in ROOMS})
        batch.restrictions = {BAN.key: BAN}
        batch.accepted = {"a/1": 7}
        batch.delivered = {(room.id, "a/1"): 5 for room in ROOMS}
        batch.posts = {b"key": PostRow(b"key", 1, 3, 1, b"hash", 5)}
        store.commit(batch)
        for entry in range(1, ENTRIES + 1):
            store.commit(Batch(chunks=[Chunk(room.id, entry, entry, entry, b"news %d" % entry) for room in ROOMS]))
        return store.load()


def loaded(database: Database) -> tuple[Snapshot, dict[int, list[Chunk]]]:
    """Return all that the shards hold, together, and the logs; each room must be in its shard."""
    whole, logs = Snapshot(), dict[int, list[Chunk]]()
    with closing(PostgresStore(database.url)) as store:
        store.register(Broker("", "tcp://127.0.0.1:2", "", is_leaving=False), lambda _: None, lambda _: None)
        assert len(store.take(range(SHARDS))) == SHARDS
        for shard in range(SHARDS):
            found = store.load(shard)
            assert set(shards_of_rooms(found.rooms, SHARDS).values()) <= {shard}
            assert found.restrictions == whole.restrictions or shard == 0
            whole.restrictions = found.restrictions
            whole.rooms += found.rooms
            whole.members += found.members
            whole.posts += found.posts
            for together, own in (
                (whole.ends, found.ends),
                (whole.accepted, found.accepted),
                (whole.delivered, found.delivered),
            ):
                together |= own  # type: ignore[operator]
            logs |= {room: store.read(room, 0, 1_000_000, shard) for room in found.ends}
    whole.rooms.sort(key=lambda room: room.id)
    whole.members.sort(key=lambda member: member.id)
    return whole, logs


def test_everything_is_copied_but_the_numbers_of_gateways(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_SIZE", 500)
    monkeypatch.setattr(module, "TURN_ROWS", 7)
    monkeypatch.setattr(module, "PORTION", 7)
    source = tmp_path / "rooms.sqlite"
    before = fill(source)
    assert copy_store(source, database) == Copied(len(ROOMS), len(ROOMS), len(ROOMS) * ENTRIES)
    after, logs = loaded(database)
    assert after.rooms == before.rooms
    assert after.members == before.members
    assert after.ends == before.ends
    assert after.delivered == before.delivered
    assert after.restrictions == before.restrictions == [BAN]
    assert after.posts == before.posts
    assert after.accepted == {}
    with closing(SqliteStore(source)) as store:
        assert logs == {room.id: store.read(room.id, 0, 1_000_000) for room in ROOMS}


def test_the_source_begins_new_epochs_if_it_is_opened_again(tmp_path: Path, database: Database) -> None:
    source = tmp_path / "rooms.sqlite"
    before = fill(source)
    copy_store(source, database)
    with closing(SqliteStore(source)) as store:
        again = store.load()
    assert again.is_copy
    assert all(new.epoch > old.epoch for new, old in zip(again.rooms, before.rooms, strict=True))


def test_a_copy_of_a_source_that_lost_commits_has_its_new_epochs(tmp_path: Path, database: Database) -> None:
    source = tmp_path / "rooms.sqlite"
    fill(source)
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(source.read_bytes())
    copy_store(copy, database)
    after, _ = loaded(database)
    assert all(new.epoch > old.epoch for new, old in zip(after.rooms, ROOMS, strict=True))
    assert all(room.epoch_after == ENTRIES for room in after.rooms)


@pytest.mark.parametrize("turns", [0, 3, 10**9])
def test_a_copy_that_is_interrupted_can_be_begun_again(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """After the database has had some turns, or all but the last, or nothing."""
    monkeypatch.setattr(module, "TURN_SIZE", 500)
    monkeypatch.setattr(module, "TURN_ROWS", 10)
    source = tmp_path / "rooms.sqlite"
    before = fill(source)
    commits = 0
    commit = PostgresStore.commit

    def fails(store: PostgresStore, *batches: Batch) -> None:
        nonlocal commits
        commits += 1
        if commits > turns or any(batch.rooms for batch in batches):
            raise StoreError("the database is gone")
        commit(store, *batches)

    with monkeypatch.context() as patched:
        patched.setattr(PostgresStore, "commit", fails)
        with pytest.raises(StoreError, match="gone"):
            copy_store(source, database)
    interrupted, _ = loaded(database)
    assert interrupted.rooms == []
    assert interrupted.restrictions == []
    assert len(interrupted.members) == (len(ROOMS) if turns > 1_000 else 0)
    copy_store(source, database)
    after, logs = loaded(database)
    assert [room.name for room in after.rooms] == [room.name for room in before.rooms]
    assert after.members == before.members
    assert after.ends == before.ends
    assert all(len(chunks) == ENTRIES for chunks in logs.values())


def test_a_database_with_rooms_is_refused_and_stays_as_it_is(tmp_path: Path, database: Database) -> None:
    source = tmp_path / "rooms.sqlite"
    before = fill(source)
    copy_store(source, database)
    other = tmp_path / "other.sqlite"
    fill(other)
    with pytest.raises(SettingError, match="has rooms or bans already"):
        copy_store(other, database)
    assert loaded(database)[0].rooms == before.rooms
    with closing(SqliteStore(other)) as store:
        assert not store.load().is_copy


def test_stores_that_brokers_use_are_refused(tmp_path: Path, database: Database) -> None:
    source = tmp_path / "rooms.sqlite"
    fill(source)
    with closing(SqliteStore(source)), pytest.raises(StoreInUse, match=r"has the store .* open"):
        copy_store(source, database)
    with closing(PostgresStore(database.url)) as store:
        store.register(Broker("", "tcp://127.0.0.1:2", "", is_leaving=False), lambda _: None, lambda _: None)
        assert store.take([63])
        with pytest.raises(StoreInUse, match="stop all brokers first"):
            copy_store(source, database)
    copy_store(source, database)


def test_a_broker_that_was_killed_holds_a_copy_up_as_long_as_its_lease(
    tmp_path: Path, postgresql: postgres.Instance, database: Database
) -> None:
    source = tmp_path / "rooms.sqlite"
    fill(source)
    PostgresStore(database.url).close()  # makes the tables
    postgresql.sql(
        "INSERT INTO tsudoi.brokers (id, endpoint, admin, lease_until)"
        " VALUES ('killed', 'tcp://a:1', '', now() + interval '1s')"
    )
    postgresql.sql("UPDATE tsudoi.shards SET term = 1, owner = 'killed' WHERE shard = 63")
    assert copy_store(source, database).rooms == len(ROOMS)


def call(source: str, target: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "broker", "copy", "--from", source, "--to", target]
    return forked.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_says_what_it_copied(tmp_path: Path, database: Database) -> None:
    source = tmp_path / "rooms.sqlite"
    fill(source)
    done = call(f"sqlite:{source}", database.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{database} has all that {source} had: 30 rooms, 30 members, 360 log entries\n"
    assert "an accepted message survives the loss of a machine: no" in done.stderr


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("sqlite:{tmp}/none.sqlite", "{url}", "there is no store"),
        ("memory", "{url}", "from sqlite:PATH to postgresql://"),
        ("sqlite:{tmp}/rooms.sqlite", "sqlite:{tmp}/other.sqlite", "from sqlite:PATH to postgresql://"),
        ("sqlite:{tmp}/text.sqlite", "{url}", "is not a database"),
        ("sqlite:{tmp}/rooms.sqlite", "{url}_none", 'database "postgres_none" does not exist'),
        ("sqlite:{tmp}/rooms.sqlite", "postgresql://u@127.0.0.1:1/x", "can not open the store at 127.0.0.1:1/x"),
    ],
)
def test_mistakes_are_told_in_one_line(
    tmp_path: Path, database: Database, source: str, target: str, words: str
) -> None:
    SqliteStore(tmp_path / "rooms.sqlite").close()
    (tmp_path / "text.sqlite").write_text("text")
    done = call(source.format(tmp=tmp_path), target.format(tmp=tmp_path, url=database.url))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") <= 3, done.stderr
    assert words in done.stderr
    assert not (tmp_path / "none.sqlite").exists()
