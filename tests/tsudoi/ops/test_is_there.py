"""tsudoi/ops/is_there.py"""

from pathlib import Path

import pytest

from tsudoi.ops.is_there import is_there


def test_what_is_there_is_seen(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_there(tmp_path / "file")
    assert is_there(tmp_path)


@pytest.mark.parametrize("name", ["none", "none/below", "file/below", "nowhere", "\0"])
def test_what_is_not_there_is_not(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("none")
    assert not is_there(tmp_path / name)


@pytest.mark.parametrize("name", ["loop", "x" * 300])
def test_what_can_not_be_seen_is_not_taken_for_absent(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=name):
        is_there(tmp_path / name)
