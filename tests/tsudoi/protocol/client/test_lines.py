"""tsudoi/protocol/client/lines.py"""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies import texts
from tsudoi.protocol.client.lines import (
    FURTHER,
    MAX_LINES,
    bound_lines,
    mark_further_lines,
    unmark_further_lines,
)

MANY_LINES = st.lists(
    st.sampled_from(("\n", "\n\n", " ", "\t", "\u3000", "a", FURTHER, "/close", "部")), max_size=200
).map("".join)


@pytest.mark.parametrize(
    ("text", "bounded"),
    [
        ("hello", "hello"),
        ("hello ", "hello "),
        ("hello\n", "hello\n"),
        ("hello\n\n \n", "hello\n"),
        ("a\nb\n\nc", "a\nb\n\nc"),
        ("a\n\n\n \n\t\n  b", "a\n\n  b"),
        ("\n\n\n/close", "\n\n/close"),
        ("\n" * 3_900, "\n"),
        (" \n" * 1_900, "\n"),
        ("x\n" * 1_900, "x\n" * (MAX_LINES - 1) + "x " * (1_900 - MAX_LINES) + "x "),
    ],
)
def test_lines_are_bounded(text: str, bounded: str) -> None:
    assert bound_lines(text) == bounded


@given(st.one_of(texts(), MANY_LINES))
def test_no_word_is_lost_and_nothing_becomes_a_command(text: str) -> None:
    bounded = bound_lines(text)
    assert bounded.split() == text.split()
    assert bounded.count("\n") < MAX_LINES
    assert bound_lines(bounded) == bounded
    assert bounded[:1] == text[:1] or not text.strip()


@given(st.one_of(texts(), MANY_LINES))
@example("a\n")
@example(f"a\n{FURTHER}b\n\n{FURTHER}{FURTHER}")
def test_marks_are_read_back(text: str) -> None:
    marked = mark_further_lines(text)
    assert unmark_further_lines(marked) == text
    assert all(not line or line.startswith(FURTHER) for line in marked.split("\n")[1:])


def test_hostile_blanks_cost_no_time() -> None:
    began = time.thread_time()
    for text in ("\n" * 4_000 + "x", "\n " * 2_000 + "x", " " * 4_000 + "\nx", "\n" + " " * 4_000 + "x"):
        bound_lines(text)
    assert time.thread_time() - began < 0.1
