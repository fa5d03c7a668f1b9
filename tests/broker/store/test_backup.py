"""broker/store/backup.py"""

import errno
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from broker.store.backup import back_up
from broker.store.interface import Batch, Chunk, RoomRow
from broker.store.sqlite import SqliteStore
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import SettingError


def a_batch(number: int) -> Batch:
    news = backbone.encode(backbone.News(1, number, []))
    return Batch(chunks=[Chunk(1, number, number, number, news)], accepted={"a/1": number})


def test_a_copy_has_all_that_was_committed_and_the_store_goes_on(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rooms.sqlite")
    for number in range(1, 101):
        store.commit(a_batch(number))
        if number == 50:
            back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")
    store.close()
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.sqlite"]
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o777 == 0o600
    for name, last in (("copy.sqlite", 50), ("rooms.sqlite", 100)):
        opened = SqliteStore(tmp_path / name)
        assert opened.load().accepted == {"a/1": last}
        assert [chunk.last for chunk in opened.read(1, 0, 1_000)] == list(range(1, last + 1))
        opened.close()


def test_whoever_goes_on_from_a_copy_is_in_another_epoch(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rooms.sqlite")
    store.commit(Batch(rooms={1: RoomRow(1, "den", 1, 2, "", 0)}))
    back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")
    assert [room.epoch for room in store.load().rooms] == [1]
    store.close()
    copy = SqliteStore(tmp_path / "copy.sqlite")
    (room,) = copy.load().rooms
    copy.close()
    assert room.epoch > 1
    back_up(tmp_path / "copy.sqlite", tmp_path / "again.sqlite")
    again = SqliteStore(tmp_path / "again.sqlite")
    assert [each.epoch > room.epoch for each in again.load().rooms] == [True]
    again.close()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "rooms.sqlite").close()
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(SettingError, match="is there already"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


@pytest.mark.parametrize("target", ["/dev/null/below", "nowhere/copy"])
def test_a_place_that_can_not_be_written_is_told(tmp_path: Path, target: str) -> None:
    SqliteStore(tmp_path / "rooms.sqlite").close()
    with pytest.raises(SettingError):
        back_up(tmp_path / "rooms.sqlite", tmp_path / target)


def test_a_store_that_is_none_is_told_and_no_copy_is_left(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no store"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy")
    (tmp_path / "rooms.sqlite").write_bytes(b"nonsense" * 1_000)
    with pytest.raises(SettingError, match="not a database"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["rooms.sqlite"]


def test_a_damaged_store_is_told_and_no_copy_is_left(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rooms.sqlite") as db:
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 100,)] * 1_000)
    db.close()
    raw = bytearray((tmp_path / "rooms.sqlite").read_bytes())
    raw[4096 : 3 * 4096] = b"\xff" * (2 * 4096)
    (tmp_path / "rooms.sqlite").write_bytes(raw)
    with pytest.raises(SettingError, match=r"damaged|malformed"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_is_whole_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rooms.sqlite")
    store.commit(Batch(rooms={1: RoomRow(1, "den", 1, 2, "", 0)}))
    is_over = Event()

    def write() -> None:
        """Turns, changes of tables, and the turns' move to the logs, as fast as can be."""
        for number in count(1):
            store.commit(a_batch(number))
            if number % 7 == 0:
                store.commit(Batch(rooms={2: RoomRow(2, "hall", 1, 2, "", number)}))
            if number % 50 == 0:
                store.trim(2**31, 0)
            if is_over.is_set():
                return

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            for number in range(10):
                back_up(tmp_path / "rooms.sqlite", tmp_path / f"copy{number}.sqlite")
        finally:
            is_over.set()
        writing.result()
    store.close()
    for number in range(10):
        with closing(SqliteStore(tmp_path / f"copy{number}.sqlite")) as copy:
            snapshot = copy.load()
            assert not snapshot.has_lost
            lasts = [chunk.last for chunk in copy.read(1, 0, 2**31)]
            assert lasts == [*range(1, len(lasts) + 1)]
            assert snapshot.accepted.get("a/1", 0) == len(lasts)


def test_a_copy_is_written_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT, exFAT, SMB, and many FUSE and shared-folder mounts."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    store = SqliteStore(tmp_path / "rooms.sqlite")
    store.commit(a_batch(1))
    back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")
    with pytest.raises(SettingError, match="is there already"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")
    store.close()
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.sqlite"]
    with closing(SqliteStore(tmp_path / "copy.sqlite")) as copy:
        assert copy.load().accepted == {"a/1": 1}


def test_what_a_killed_backup_left_blocks_no_name(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rooms.sqlite")
    store.commit(a_batch(1))
    for name in ("copy.sqlite.abc123.new", "copy.sqlite.abc123.new-journal"):
        (tmp_path / name).write_bytes(b"half a page")
    back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")
    store.close()
    with closing(SqliteStore(tmp_path / "copy.sqlite")) as copy:
        assert copy.load().accepted == {"a/1": 1}


def test_a_store_in_a_folder_that_can_not_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "rooms.sqlite").close()
    # Root may write everywhere: this keeps SQLite from making its file.
    (tmp_path / "rooms.sqlite-shm").symlink_to(tmp_path / "none" / "none")
    with pytest.raises(SettingError, match=r"can not be written.*copy the folder"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")


def test_a_store_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteStore(tmp_path / "rooms.sqlite").close()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    with pytest.raises(SettingError, match="may not be read"):
        back_up(tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite")
