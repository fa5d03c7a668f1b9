"""client/history.py"""

import os
from pathlib import Path

import pytest
from prompt_toolkit.history import FileHistory, InMemoryHistory

from client.history import is_secret, open_history

SECRET = [
    "/password TULIP",
    "／password TULIP",
    "／ｐａｓｓｗｏｒｄ TULIP",
    "  /PASSWORD\u3000TULIP",
    "/ password TULIP",
    "/passwrod TULIP",
    "/leave TULIP",
    "/password",
    "/msg bob TULIP",
    "／msg bob TULIP",
    '/msg "bob the second" TULIP',
    "/msg",
    "/r TULIP",
    "hello\n/password TULIP",
    "hello\r\n /r TULIP",
    "alice: /password TULIP",
    "alice :／msg bob TULIP",
    "\x1b/password TULIP",
    "hello\u2028/r TULIP",
]
PUBLIC = [
    "hello",
    "see http://r x",
    "alice: /me waves",
    "at 12:00 / noon",
    "/me waves",
    "/who 2",
    "//password is a command",
    "／／r",
    "a /r b",
    "/topic tea",
    "/nick bob",
    "/join garden",
    "／join　庭",
    "/create garden",
    "/go 2",
    "/quit",
    "",
]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "tsudoi" / "history"


@pytest.mark.parametrize("text", SECRET)
def test_passwords_whispers_and_what_may_be_one_are_secret(text: str) -> None:
    assert is_secret(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_other_lines_are_not(text: str) -> None:
    assert not is_secret(text)


def test_secret_lines_are_there_in_this_chat_and_in_no_file(path: Path) -> None:
    history = open_history()
    for text in (*PUBLIC, *SECRET):
        history.append_string(text)
    assert history.get_strings() == [*PUBLIC, *SECRET]
    assert list(open_history().load_history_strings()) == PUBLIC[::-1]
    assert "TULIP" not in path.read_text("utf-8")


def test_secrets_of_earlier_versions_are_removed_and_the_rest_stays(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    before = FileHistory(path)
    for text in ("one", *SECRET, "two\nthree", *SECRET, "四"):
        before.store_string(text)
    path.chmod(0o644)
    stamps = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    assert list(open_history().load_history_strings()) == ["四", "two\nthree", "one"]
    left = path.read_text("utf-8").splitlines()
    assert next(line for line in left if line.startswith("#")) == stamps[0]
    assert "TULIP" not in "".join(left)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["history"]


def test_a_file_without_secrets_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no entry\n+\xff\xfe\n\n# then\n+tea\n")
    content, found = path.read_bytes(), path.stat().st_ino
    open_history()
    assert (path.read_bytes(), path.stat().st_ino) == (content, found)


@pytest.mark.parametrize("what", ["folder", "pipe", "no home", "null"])
def test_what_can_not_be_kept_is_kept_in_memory(what: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "null":
        path.symlink_to(os.devnull)
    else:
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setattr(Path, "home", lambda: Path("~nobody").expanduser() / "x")
        monkeypatch.setattr(Path, "expanduser", _no_home)
    history = open_history()
    assert isinstance(history, InMemoryHistory)
    history.append_string("hello")
    assert history.get_strings() == ["hello"]
    assert Path(os.devnull).stat().st_mode & 0o777 == 0o666


def _no_home(path: Path) -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_folder_that_goes_away_ends_no_chat(path: Path) -> None:
    history = open_history()
    path.unlink()
    path.parent.rmdir()
    history.append_string("hello")
    assert history.get_strings() == ["hello"]
