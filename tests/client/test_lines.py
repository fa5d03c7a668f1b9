"""Lines out of bytes."""

from hypothesis import given
from hypothesis import strategies as st

from client.lines import LINE_LIMIT, LineReader


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r")), max_size=8), st.integers(1, 9))
def test_lines_are_the_same_in_any_segments(lines: list[str], size: int) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    reader = LineReader()
    read = [line for at in range(0, len(data), size) for line in reader.feed(data[at : at + size])]
    assert read == lines
    assert reader.end() == []


def test_the_last_line_needs_no_end() -> None:
    reader = LineReader()
    assert reader.feed(b"one\r\ntw") == ["one"]
    assert reader.feed(b"o") == []
    assert reader.end() == ["two"]


def test_what_is_not_utf8_is_marked() -> None:
    assert LineReader().feed(b"a\xffb\n") == ["a\ufffdb"]


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    reader = LineReader()
    assert [len(line) for line in reader.feed(b"x" * (LINE_LIMIT + 1))] == [LINE_LIMIT + 1]
    assert reader.end() == []
