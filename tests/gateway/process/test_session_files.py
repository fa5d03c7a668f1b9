"""gateway/process/session_files.py"""

import ssl
import stat
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from gateway.config import Config
from gateway.process import session_files
from gateway.process.session_files import open_sessions
from tsudoi.protocol.errors import SettingError
from tsudoi.protocol.sealed.suites import AES_128_GCM


def opened(config: Config) -> session_files.Sessions:
    return open_sessions(config, ExitStack())


def test_both_files_are_made_once_and_used_again(tmp_path: Path) -> None:
    config = Config(data=tmp_path / "data")
    made = opened(config)
    files = sorted((tmp_path / "data").iterdir())
    assert [path.name for path in files] == ["session-secret", "session-secret.pem"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600, 0o600]
    again = opened(config)
    session = made.keys.new(AES_128_GCM, 1, 2)
    assert again.keys.keys(session).up == made.keys.keys(session).up
    assert again.fingerprint == made.fingerprint
    assert len(made.fingerprint) == 64
    assert isinstance(made.shown and made.shown.context, ssl.SSLContext)


def test_a_named_file_is_used_and_its_older_secrets_hold(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    config = Config(data=tmp_path, session_secret=path, broker=("tcp://127.0.0.1:1",))
    session = opened(config).keys.new(AES_128_GCM, 1, 2)
    path.write_text("ab" * 32 + "\n" + path.read_text())
    keys = opened(config).keys
    assert keys.suite_of(session) == AES_128_GCM
    path.write_text("ab" * 32)
    assert opened(config).keys.suite_of(session) is None


def warned(config: Config, sessions: session_files.Sessions, monkeypatch: pytest.MonkeyPatch) -> str:
    logger = Mock()
    monkeypatch.setattr(session_files, "logger", logger)
    session_files.warn(config, sessions)
    return str(logger.warning.call_args_list)


def test_a_gateway_of_another_broker_keeps_its_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(data=tmp_path / "data", broker=("tcp://127.0.0.1:1",))
    one, again = opened(config), opened(config)
    assert again.keys.suite_of(one.keys.new(AES_128_GCM, 0, 0)) == AES_128_GCM
    assert one.fingerprint == again.fingerprint
    assert not one.why_not_kept
    assert "other machines" in warned(config, one, monkeypatch)


def test_where_nothing_can_be_kept_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    config = Config(data=tmp_path / "file", broker=("tcp://127.0.0.1:1",))
    with ExitStack() as stack:
        one, other = open_sessions(config, stack), open_sessions(config, stack)
        assert one.file
        assert stat.S_IMODE(one.file.parent.stat().st_mode) == 0o700
    assert not one.file.parent.exists()
    assert other.keys.suite_of(one.keys.new(AES_128_GCM, 0, 0)) is None
    assert one.fingerprint != other.fingerprint
    assert "session-secret" in one.why_not_kept
    assert "no later run" in warned(config, one, monkeypatch)


def test_without_a_place_for_temporary_files_either_that_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(SettingError, match=r"session-secret.*nor is there a temporary folder: No such file"):
        opened(Config(data=tmp_path / "file", broker=("tcp://127.0.0.1:1",)))


@pytest.mark.parametrize("content", ["", "x" * 64, "ab" * 31, "ab" * 65, ("ab" * 32 + "\n") * 9, "é"])
def test_a_file_with_something_else_is_a_mistake(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(content, encoding="latin-1")
    with pytest.raises(SettingError, match="has no secrets"):
        opened(Config(session_secret=path))


def test_a_file_that_others_may_read_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("ab" * 32)
    path.chmod(0o640)
    with pytest.raises(SettingError, match="chmod 600"):
        opened(Config(session_secret=path))


def test_a_place_that_can_not_be_written_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="session-secret"):
        opened(Config(session_secret=tmp_path / "file" / "secret"))


def test_a_file_that_can_not_be_looked_for_is_named(tmp_path: Path) -> None:
    """Root may look everywhere, so the file system refuses the name here, and not the folder."""
    with pytest.raises(SettingError, match=r"can not read --session-secret .*: File name too long"):
        opened(Config(data=tmp_path, session_secret=tmp_path / ("s" * 300)))
    with ExitStack() as stack:
        assert open_sessions(Config(data=tmp_path / ("s" * 300), broker=("tcp://127.0.0.1:1",)), stack).why_not_kept
