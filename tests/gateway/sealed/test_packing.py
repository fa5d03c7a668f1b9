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
from tsudoi.protocol.client.downlink_decoder import Said
from tsudoi.protocol.client.downlink_decoder import parse_down_untrusted as parse_datagram_untrusted
from tsudoi.protocol.sealed.lines import SaidArray, SaidLine, offset_of, parse_down_untrusted, serialize_said
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
        assert len(body) <= MAX_WHOLE or (len(own) == 1 and len(body) <= MAX_BODY)
        read = [(line.n, raw) for line, raw in parse_down_untrusted(body) if isinstance(line, SaidLine)]
        assert all(begun < n <= reached for n, _ in read)
        found += [parse_datagram_untrusted(TSUDOI_2, "den", raw) for _, raw in read]
    assert (reached, found) == (
        offset + more,
        [Said("", "x" * size, n) for (_, size), (n, _) in zip(sizes, lines, strict=True)],
    )


NAMES = st.sampled_from(["alice", 'a","b', "b\\", "集い"])
TEXTS = st.sampled_from(["", "hello", '"', '","', '",7,1]', '"]', "x" * 300, "\\", "[1]"])
SENDERS = st.tuples(NAMES, st.sampled_from([0, 7, 2**53 - 1]), st.sampled_from([1, 9, 99]))


@given(st.lists(st.tuples(SENDERS, st.lists(st.tuples(st.integers(1, 2), TEXTS), min_size=1)), max_size=8))
def test_messages_of_one_sender_are_shorter_and_the_same_when_they_are_read(
    runs: list[tuple[tuple[str, int, int], list[tuple[int, str]]]],
) -> None:
    said: list[SaidArray] = []
    offset = 41
    for (name, member, number), texts in runs:
        for at, (step, text) in enumerate(texts):
            offset += step
            said.append((offset, name, text, member, number + at) if member else (offset, name, text))
    bodies = pack(41, offset, [(each[0], line) for each, line in zip(said, serialize_said(said), strict=True)])
    read = [line for body in bodies for line in parse_down_untrusted(body) if isinstance(line[0], SaidLine)]
    assert [(*json.loads(raw), 0, 0)[:5] for _, raw in read] == [(*each, 0, 0)[:5] for each in said]
    assert [line for line, _ in read] == [SaidLine(n, name, *(*rest, 0, 0)[:2]) for n, name, _, *rest in said]


def test_what_follows_on_the_same_sender_is_its_text_alone() -> None:
    lines = serialize_said([(42, "a", "x", 7, 1), (43, "a", "y", 7, 2), (44, "b", "z", 8, 1), (46, "b", "z", 8, 2)])
    (body,) = pack(41, 46, zip((42, 43, 44, 46), lines, strict=True))
    assert body == b'[41,46]\n[42,"a","x",7,1]\n["y"]\n[44,"b","z",8,1]\n[46,"b","z",8,2]'
    first, second = pack(0, 2, enumerate(serialize_said([(1, "a", "x" * 900), (2, "a", "y" * 900)]), 1))
    assert (first[:10], second[:14]) == (b'[0,1]\n[1,"', b'[1,2]\n[2,"a","')


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
