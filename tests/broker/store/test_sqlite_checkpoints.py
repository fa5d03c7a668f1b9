"""broker/store/sqlite_checkpoints.py"""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from broker.store import sqlite_checkpoints
from broker.store.interface import Batch, Chunk, RoomRow
from broker.store.sqlite import SqliteStore
from broker.store.sqlite_checkpoints import Checkpoints
from broker.store.sqlite_file import wal_path

PATIENCE_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.sqlite"


def say(store: SqliteStore, first: int, count: int) -> None:
    if first == 1:
        store.commit(Batch({1: RoomRow(1, "den", 1, 5, "", 1)}))
    for offset in range(first, first + count):
        store.commit(Batch(chunks=[Chunk(1, offset, offset, offset, b"x" * 500)], accepted={"a/1": offset}))


def test_a_commit_does_not_wait_for_a_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_checkpoints, "CHECKPOINT_AT", 10)
    begun, may_end = threading.Semaphore(0), threading.Event()
    checkpoint = Checkpoints._checkpoint

    def held(self: Checkpoints) -> None:
        begun.release()
        assert may_end.wait(PATIENCE_S)
        checkpoint(self)

    monkeypatch.setattr(Checkpoints, "_checkpoint", held)
    with closing(SqliteStore(path)) as store:
        say(store, 1, 20)
        assert begun.acquire(timeout=PATIENCE_S)
        say(store, 21, 100)
        may_end.set()
    with closing(SqliteStore(path)) as store:
        assert store.load().ends == {1: (1, 120)}


def test_the_wal_stays_bounded_while_commits_go_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_checkpoints, "CHECKPOINT_AT", 50)
    monkeypatch.setattr(sqlite_checkpoints, "RESTART_AT", 200)
    with closing(SqliteStore(path)) as store:
        say(store, 1, 1_500)
        # Several pages a commit at worst: a turn, a part of what is folded, what checkpoints leave over.
        assert wal_path(path).stat().st_size < 1_000 * sqlite_checkpoints.PAGE
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)
    with closing(SqliteStore(path)) as store:
        assert store.load().ends == {1: (1, 1_500)}


def test_commits_go_on_while_a_backup_holds_up_checkpoints(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_checkpoints, "CHECKPOINT_AT", 50)
    monkeypatch.setattr(sqlite_checkpoints, "RESTART_AT", 200)
    with closing(SqliteStore(path)) as store:
        say(store, 1, 10)
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM rooms").fetchone()
            say(store, 11, 1_000)
            assert wal_path(path).stat().st_size > 1_000 * sqlite_checkpoints.PAGE
        say(store, 1_011, 1_000)
        size = wal_path(path).stat().st_size
        say(store, 2_011, 1_000)
        assert wal_path(path).stat().st_size <= size + 1_000 * sqlite_checkpoints.PAGE
    with closing(SqliteStore(path)) as store:
        assert store.load().ends == {1: (1, 3_010)}


def test_no_checkpoint_begins_when_nothing_was_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def checkpoint(self: Checkpoints) -> None:
        nonlocal made
        made += 1

    monkeypatch.setattr(Checkpoints, "_checkpoint", checkpoint)
    with closing(SqliteStore(path)):
        checkpoints = Checkpoints(path, "PRAGMA synchronous=NORMAL")
        with closing(checkpoints):
            for rows, size in ((999, 0), (999, 10**9), (1_000, 0)):
                checkpoints.note(rows, size)
                checkpoints.wait()
                assert made == (rows == 1_000)
            checkpoints.note(1_000, 10**9)
            assert made == 1
