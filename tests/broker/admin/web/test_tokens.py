"""broker/admin/web/tokens.py"""

from pathlib import Path

import pytest

from broker.admin.web.tokens import LEAST, new_token, read_token
from tsudoi.protocol.errors import SettingError


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_each_run_has_a_token_of_its_own_that_can_not_be_guessed() -> None:
    one, other = new_token(), new_token()
    assert one != other
    assert len(one) > LEAST


def test_a_token_is_read_from_a_file(tmp_path: Path) -> None:
    token = new_token()
    assert read_token(written(tmp_path / "token", f"{token}\n")) == token


@pytest.mark.parametrize("text", ["", "short", "x" * (LEAST - 1), "two words of a long sentence", "ｔ" * LEAST])
def test_a_weak_token_is_a_setting_error_that_does_not_tell_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingError, match="has no token") as caught:
        read_token(written(tmp_path / "token", text))
    assert not text or text not in str(caught.value)


def test_a_token_that_others_can_read_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="chmod 600"):
        read_token(written(tmp_path / "token", new_token(), 0o640))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="can not read the token"):
        read_token(tmp_path / "token")
