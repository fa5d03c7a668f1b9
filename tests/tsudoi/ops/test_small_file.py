"""tsudoi/ops/small_file.py: what a setting names is read to its end, or refused"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tsudoi.ops.small_file import MAX_SIZE, read_small, require_small

READERS: list[Callable[[Path], object]] = [read_small, require_small]


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * MAX_SIZE)
    assert len(read_small(tmp_path / "a")) == MAX_SIZE
    require_small(tmp_path / "a")
    assert read_small(Path("/proc/self/stat"))  # its size is 0
    assert read_small(Path("/dev/null")) == b""


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"rate = 5",))
    writer.start()
    assert read_small(tmp_path / "pipe") == b"rate = 5"
    writer.join()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/zero", "it is no regular file"),
        ("/", "Is a directory"),
        ("/none", "No such file or directory"),
    ],
)
def test_what_has_no_end_or_is_no_file_is_refused(read: Callable[[Path], object], path: str, why: str) -> None:
    with pytest.raises(OSError, match=why) as caught:
        read(Path(path))
    assert caught.value.filename in (path, Path(path))


@pytest.mark.parametrize("read", READERS)
def test_a_large_file_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(MAX_SIZE + 1)
    with pytest.raises(OSError, match="it has more than 1,048,576 bytes") as caught:
        read(tmp_path / "a")
    assert str(caught.value.filename) == str(tmp_path / "a")
