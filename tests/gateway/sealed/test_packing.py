"""gateway/sealed/packing.py and suite_choice.py"""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sealed.packing import even, merge, pack
from gateway.sealed.suite_choice import choose_suite
from tsudoi.protocol.client import notices
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.sealed.lines import offset_of, serialize_said
from tsudoi.protocol.sealed.parts import MAX_BODY, MAX_WHOLE

LINES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3_000)), max_size=40)


@given(LINES, st.integers(0, 9), st.integers(0, 2**53))
def test_bodies_follow_on_each_other_and_have_all_lines(sizes: list[tuple[int, int]], more: int, after: int) -> None:
    lines, offset = [], after
    for step, size in sizes:
        offset += step
        lines.append((offset, serialize_said([(offset, "", "x" * size)])[0]))
    bodies = pack(after, offset + more, lines)
    reached, found = after, []
    for body in bodies:
        head, *own = body.split(b"\n")
        begun, to = json.loads(head)
        assert begun == reached
        reached = to
        assert all(begun < offset_of(line) <= reached for line in own)
        assert len(body) <= MAX_WHOLE or (len(own) == 1 and len(body) <= MAX_BODY)
        found += own
    assert (reached, found) == (offset + more, [line for _, line in lines])


@given(st.integers(1, 2**53), st.text(max_size=50))
def test_the_offset_of_a_line_is_read_as_it_is_written(offset: int, text: str) -> None:
    values = {"n": offset, "text": text}
    (said,) = serialize_said([(offset, "alice", text)])
    told = notices.encode_notice(TSUDOI_2.down, "den", "acted", values, text)
    assert (offset_of(said), offset_of(told)) == (offset, offset)
    assert offset_of(json.dumps({"notice": text}).encode()) == 0


def test_own_lines_have_their_places() -> None:
    assert merge([(1, b"a"), (4, b"d")], [(2, b"b"), (3, b"c")]) == [(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")]


@given(st.lists(st.integers(2, MAX_WHOLE), min_size=1, max_size=20))
def test_even_bodies_have_one_size_but_the_last(sizes: list[int]) -> None:
    bodies = [json.dumps("x" * (size - 2)).encode() for size in sizes]
    evened = even(bodies)
    assert [json.loads(body) for body in evened] == [json.loads(body) for body in bodies]
    assert {len(body) for body in evened[:-1]} <= {max(sizes)}
    assert len(evened[-1]) <= max(sizes)


@pytest.mark.parametrize(
    ("offered", "is_secure", "may_be_plain", "chosen"),
    [
        (("chacha20-poly1305", "aes-128-gcm"), True, False, "chacha20-poly1305"),
        (("rot13", "aes-128-gcm"), True, False, "aes-128-gcm"),
        (("plain", "aes-128-gcm"), True, False, "aes-128-gcm"),
        (("aes-128-gcm", "plain"), False, True, "plain"),
    ],
)
def test_the_first_suite_that_may_be_is_chosen(
    offered: tuple[str, ...], is_secure: bool, may_be_plain: bool, chosen: str
) -> None:
    assert choose_suite(offered, is_secure, may_be_plain) == (chosen, "")


@pytest.mark.parametrize(
    ("offered", "is_secure", "words"),
    [
        ((), True, "has none of"),
        (("plain",), True, "not allowed from your address"),
        (("aes-128-gcm", "plain"), False, "over TLS only"),
    ],
)
def test_it_is_said_why_there_is_none(offered: tuple[str, ...], is_secure: bool, words: str) -> None:
    suite, why = choose_suite(offered, is_secure, False)
    assert suite == ""
    assert re.search(words, why)
