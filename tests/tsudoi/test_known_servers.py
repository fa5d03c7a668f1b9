"""tsudoi/net/known_servers.py"""

from pathlib import Path

import pytest

from tsudoi.net.known_servers import KnownServers


def test_what_is_remembered_stands_behind_all_others(tmp_path: Path) -> None:
    path = tmp_path / "state" / "known"
    one, other = KnownServers(path), KnownServers(path)
    one.remember("Chat.example", 9001, "a" * 64)
    other.remember("2001:db8::1", 9001, "b" * 64)
    assert path.read_text() == f"chat.example:9001 {'a' * 64}\n[2001:db8::1]:9001 {'b' * 64}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("# mine\nold.example:9001 authority")
    one.remember("chat.example", 9001, "c" * 64)
    assert one.find("OLD.example", 9001) == "authority"
    assert one.find("chat.example", 9001) == "c" * 64


def test_what_can_not_be_written_is_known_to_this_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "known"
    KnownServers(path).remember("chat.example", 9001, "a" * 64)
    assert KnownServers(path).find("chat.example", 9001) == "a" * 64
    assert KnownServers(path).find("chat.example", 9002) is None


def test_a_file_that_can_not_be_read_does_not_stand_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        KnownServers(tmp_path).find("chat.example", 9001)
