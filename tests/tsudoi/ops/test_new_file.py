"""tsudoi/ops/new_file.py"""

import errno
import os
import stat
from pathlib import Path

import pytest

from tsudoi.ops.new_file import new_file


def write(path: Path, text: str, mode: int = 0o600) -> None:
    with new_file(path, mode) as unfinished:
        unfinished.write_text(text)


@pytest.fixture(params=["hard links", "no hard links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("links")
class TestBoth:
    def test_a_file_has_its_content_and_mode_and_nothing_is_left(self, tmp_path: Path) -> None:
        write(tmp_path / "a", "all", 0o644)
        assert (tmp_path / "a").read_text() == "all"
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
        assert [each.name for each in tmp_path.iterdir()] == ["a"]

    def test_a_file_that_came_meanwhile_stays(self, tmp_path: Path) -> None:
        def race() -> None:
            with new_file(tmp_path / "a") as unfinished:
                unfinished.write_text("mine")
                (tmp_path / "a").write_text("precious")

        with pytest.raises(FileExistsError):
            race()
        assert (tmp_path / "a").read_text() == "precious"
        assert [each.name for each in tmp_path.iterdir()] == ["a"]

    def test_an_error_leaves_nothing(self, tmp_path: Path) -> None:
        def fail() -> None:
            with new_file(tmp_path / "a"):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_a_name_that_is_taken_is_refused_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    path.write_text("precious") if kind == "file" else path.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        write(path, "mine")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory") as told:
        write(tmp_path / "nowhere" / "a", "all")
    assert told.value.filename == str(tmp_path / "nowhere" / "a")


def test_a_full_disk_is_reported_with_the_place(tmp_path: Path) -> None:
    def write_elsewhere() -> None:
        with new_file(tmp_path / "b"):
            (tmp_path / "nowhere" / "c").write_text("text")

    path = tmp_path / "a"
    with pytest.raises(OSError, match="No space left on device") as told, new_file(path):
        Path("/dev/full").write_text("text")
    assert told.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as told:
        write_elsewhere()
    assert told.value.filename == str(tmp_path / "nowhere" / "c")
    assert list(tmp_path.iterdir()) == []
