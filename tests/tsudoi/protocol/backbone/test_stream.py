"""tsudoi/protocol/backbone/stream.py"""

from itertools import cycle, pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists, tuples

from tsudoi.protocol.backbone.stream import HEAD_SIZE, WRITE_SIZE, Kind, Reader, Writer, head
from tsudoi.protocol.errors import MalformedMessage

FRAMES = lists(tuples(integers(0, 255), binary(max_size=40)), max_size=8)


def written(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(head(kind, len(content)) + content for kind, content in frames)


def test_the_bytes_are_those_of_the_drawing() -> None:
    assert head(Kind.SAY, 3) + b"abc" == bytes.fromhex("00000003 02 616263")


@given(FRAMES, lists(integers(0, 400), max_size=10))
def test_frames_come_whole_however_the_stream_is_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data, reader = written(frames), Reader()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    read = [frame for start, end in pairwise(places) for frame in reader.feed_untrusted(data[start:end])]
    assert read == frames


@given(binary(max_size=200))
def test_any_bytes_are_frames_or_malformed(data: bytes) -> None:
    def read(pieces: list[bytes]) -> list[tuple[int, bytes]]:
        reader = Reader(100)
        return [frame for piece in pieces for frame in reader.feed_untrusted(piece)]

    bytewise = [bytes((byte,)) for byte in data]
    try:
        frames = read([data])
    except MalformedMessage:
        with pytest.raises(MalformedMessage):
            read(bytewise)
    else:
        assert read(bytewise) == frames
        assert data.startswith(written(frames))


def test_a_promise_of_too_much_is_refused_before_it_is_kept() -> None:
    reader = Reader(10)
    assert reader.feed_untrusted(head(Kind.SAY, 10)) == []
    assert reader.feed_untrusted(b"0123456789") == [(Kind.SAY, b"0123456789")]
    with pytest.raises(MalformedMessage, match="a frame of 11 bytes: at most 10 are taken"):
        reader.feed_untrusted(head(Kind.SAY, 11))


def test_what_was_handed_over_does_not_change_with_the_buffer() -> None:
    buffer, reader = bytearray(head(Kind.SAY, 3) + b"abc" + head(Kind.NEWS, 4) + b"d"), Reader()
    frames = reader.feed_untrusted(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert frames == [(Kind.SAY, b"abc")]
    assert reader.feed_untrusted(b"efg") == [(Kind.NEWS, b"defg")]
    assert HEAD_SIZE == 5


@given(FRAMES, lists(integers(1, 60), min_size=1))
def test_what_was_written_in_any_portions_is_what_was_added(
    frames: list[tuple[int, bytes]], portions: list[int]
) -> None:
    writer, out = Writer(), b""
    for kind, content in frames[1:]:
        writer.add(kind, content)
    writer.begin(frames[:1])
    assert len(writer) == len(frames)
    for portion in cycle(portions):
        if not writer:
            break
        data = writer.next_bytes()
        out += data[:portion]
        writer.sent(min(portion, len(data)))
    assert out == written(frames)


def test_a_write_carries_no_more_frames_than_needed() -> None:
    writer = Writer()
    for _ in range(5):
        writer.add(Kind.NEWS, bytes(WRITE_SIZE // 2))
    assert len(writer.next_bytes()) < 1.5 * WRITE_SIZE
    writer.clear()
    assert not writer
