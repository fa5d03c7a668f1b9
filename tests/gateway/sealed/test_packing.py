"""gateway/sealed/packing.py and suite_choice.py"""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.render import messages
from gateway.sealed.packing import even, merge, pack
from gateway.sealed.suite_choice import choose_suite
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client import notices
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.client.downlink_decoder import Said
from tsudoi.protocol.client.downlink_decoder import parse_down_untrusted as parse_datagram_untrusted
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.lines import (
    MAX_NUMBER,
    SaidLine,
    offset_of,
    parse_down_untrusted,
    serialize_range,
    serialize_said,
)
from tsudoi.protocol.sealed.parts import MAX_BODY, MAX_WHOLE

MOST = 40
LINES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3_000)), max_size=MOST)


@given(LINES, st.integers(0, 9), st.integers(0, MAX_NUMBER - 5 * MOST))
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


@pytest.mark.parametrize(("too_many", "bodies"), [(0, 1), (1, 2)])
def test_a_body_is_filled_to_its_last_byte(too_many: int, bodies: int) -> None:
    first, empty = serialize_said([(1, "", "x")])[0], serialize_said([(2, "", "")])[0]
    left = MAX_WHOLE - len(serialize_range(0, 2)) - 2 - len(first) - len(empty)
    second = serialize_said([(2, "", "x" * (left + too_many))])[0]
    found = pack(0, 2, [(1, first), (2, second)])
    assert len(found) == bodies
    assert too_many or len(found[0]) == MAX_WHOLE


NAMES = st.sampled_from(["alice", 'a","b', "b\\", "集い"])
TEXTS = st.sampled_from(["", "hello", '"', '","', '",7,1]', '"]', "x" * 300, "\\", "[1]"])
SENDERS = st.tuples(NAMES, st.sampled_from([0, 7, 2**53 - 1]), st.sampled_from([0, 9, 99]))


def said(offset: int, name: str, text: str, member: int, number: int) -> Entry:
    return Entry(offset, EntryKind.SAID, member, name, text, number, 0)


def rendered(entries: list[Entry]) -> list[tuple[int, bytes]]:
    return [(entry.offset, line) for entry, line in zip(entries, messages(entries, "den", TSUDOI_2.down), strict=True)]


@given(st.lists(st.tuples(SENDERS, st.lists(TEXTS, min_size=1)), max_size=8))
def test_messages_of_one_sender_in_short_are_the_same_when_they_are_read(
    runs: list[tuple[tuple[str, int, int], list[str]]],
) -> None:
    entries: list[Entry] = []
    for (name, member, number), texts in runs:
        for at, text in enumerate(texts):
            entries.append(said(42 + len(entries), name, text, member, number and number + at))
    read = [line for body in pack(41, 41 + len(entries), rendered(entries)) for line in parse_down_untrusted(body)]
    assert [
        (line, parse_datagram_untrusted(TSUDOI_2, "den", raw)) for line, raw in read if isinstance(line, SaidLine)
    ] == [
        (
            SaidLine(each.offset, each.sender, each.code and each.member, each.code),
            Said(each.sender, each.text, each.offset),
        )
        for each in entries
    ]


def test_what_follows_on_the_same_sender_is_its_text_alone() -> None:
    entries = [said(42, "a", "x", 7, 1), said(43, "a", "y", 7, 2), said(44, "a", "z", 7, 4), said(45, "b", "z", 8, 5)]
    (body,) = pack(41, 45, rendered(entries))
    assert body == b'[41,45]\n[42,"a","x",7,1]\n["y"]\n[44,"a","z",7,4]\n[45,"b","z",8,5]'


def test_the_first_message_of_a_body_is_whole() -> None:
    entries = [said(number, "a", "x" * 500, 7, number) for number in range(1, 6)]
    assert [line[:10] for body in pack(0, 5, rendered(entries)) for line in body.split(b"\n")] == [
        *(b"[0,2]", b'[1,"a","xx', b'["xxxxxxxx'),
        *(b"[2,4]", b'[3,"a","xx', b'["xxxxxxxx'),
        *(b"[4,5]", b'[5,"a","xx'),
    ]


@given(st.integers(1, MAX_NUMBER), st.text(max_size=50))
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
