"""tsudoi/ops/threaded_output.py"""

import errno
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tsudoi.ops.threaded_output import LIMIT, ThreadedOutput
from tsudoi.ops.threaded_stream import ThreadedStream

PATIENCE_S = 60.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe's reading end, and its writing end as a stream."""
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as stream, open(reader, "rb") as file:
        yield file.fileno(), stream


def read(number: int, wanted: bytes) -> bytes:
    """Return all that comes, up to `wanted`."""
    data = b""
    while not data.endswith(wanted):
        more = os.read(number, 1 << 16)
        assert more, f"the end, before {wanted!r}"
        data += more
    return data


def test_texts_come_in_order_and_escaped_where_need_be(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    output = ThreadedOutput(stream)
    for number in range(100):
        output.put(f"{number} 東京 \ud800\n")
    assert read(reader, b"99 \xe6\x9d\xb1\xe4\xba\xac \\ud800\n").count(b"\n") == 100
    assert output.flush(PATIENCE_S)
    assert (output.lost, output.waiting) == (0, 0)


def test_a_reader_that_stands_still_stops_nothing_and_then_sees_one_gap(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    output = ThreadedOutput(stream, lambda count: f"{count} lost\n")
    line = "x" * 1_023 + "\n"
    for _ in range(3 * LIMIT // len(line)):
        output.put(line)
    assert output.waiting <= LIMIT
    assert not output.flush(0)
    lost = output.lost
    assert lost
    data = read(reader, b" lost\n")
    assert data.count(line.encode()) == 3 * LIMIT // len(line) - lost
    assert data.endswith(f"\n{lost} lost\n".encode())
    output.put("after\n")
    assert read(reader, b"after\n") == b"after\n"


def test_a_text_that_is_written_is_told_and_a_reader_that_is_gone_is_the_reason(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    output = ThreadedOutput(stream)
    told = threading.Event()
    problems: list[OSError | None] = []

    def note(problem: OSError | None) -> None:
        problems.append(problem)
        told.set()

    output.put("one\n", note)
    assert told.wait(PATIENCE_S)
    told.clear()
    os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
    output.put("two\n", note)
    assert told.wait(PATIENCE_S)
    assert problems[0] is None
    assert isinstance(problems[1], BrokenPipeError)
    assert output.flush(PATIENCE_S)
    assert output.lost == 1


def test_what_gets_the_number_of_a_closed_stream_is_not_written_to(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w", encoding="utf-8")
    output = ThreadedOutput(stream)
    output.put("before\n")
    assert output.flush(PATIENCE_S)
    number = stream.fileno()
    stream.close()
    another = os.open(tmp_path / "another", os.O_WRONLY | os.O_CREAT)
    if another != number:
        os.dup2(another, number)
        os.close(another)
    reasons: list[OSError | None] = []
    output.put("after\n", reasons.append)
    assert output.flush(PATIENCE_S)
    os.close(number)
    assert [reason and reason.errno for reason in reasons] == [errno.EBADF]
    assert output.lost == 1
    assert (tmp_path / "another").read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has such a device")
def test_a_full_disk_stops_nothing_and_is_told_when_there_is_room_again(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        output = ThreadedOutput(stream, lambda count: f"{count} lost\n")
        room = os.dup(stream.fileno())
        os.dup2(os.open("/dev/full", os.O_WRONLY), stream.fileno())
        reasons: list[OSError | None] = []
        output.put("one\n", reasons.append)
        output.put("two\n", reasons.append)
        assert output.flush(PATIENCE_S)
        assert [reason and reason.errno for reason in reasons] == [errno.ENOSPC, errno.ENOSPC]
        os.dup2(room, stream.fileno())
        output.put("three\n")
        assert output.flush(PATIENCE_S)
    assert (tmp_path / "log").read_text() == "three\n2 lost\n"


def test_a_non_blocking_pipe_is_waited_for(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    output = ThreadedOutput(stream)
    text = "x" * 500_000
    output.put(f"{text}\n")
    assert read(reader, b"\n") == text.encode() + b"\n"
    assert output.lost == 0


def test_a_stream_without_a_descriptor_is_written_at_once() -> None:
    stream = io.StringIO()
    ThreadedOutput(stream).put("now")
    assert stream.getvalue() == "now"


def test_without_a_thread_it_writes_at_once(pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    reader, stream = pipe
    monkeypatch.setattr(threading.Thread, "start", refuse)
    problems: list[OSError | None] = []
    ThreadedOutput(stream).put("now\n", problems.append)
    assert os.read(reader, 100) == b"now\n"
    assert problems == [None]


def test_a_stream_for_libraries_passes_on_what_is_flushed(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    threaded = ThreadedStream(stream)
    print("one", file=threaded)
    assert threaded.output.waiting == 0
    threaded.wait()
    assert os.read(reader, 100) == b"one\n"
    assert (threaded.fileno(), threaded.isatty(), threaded.encoding) == (stream.fileno(), False, "utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
    print("two", file=threaded, flush=True)
    with pytest.raises(BrokenPipeError):
        threaded.wait()
    print("three", file=threaded, flush=True)
    with pytest.raises(BrokenPipeError):
        threaded.check()
