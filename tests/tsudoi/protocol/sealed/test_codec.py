"""Packets, seals, parts, lines and the replay window of version 2."""

import contextlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.protocol.client import downlink_decoder
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed import lines, packets, parts, suites
from tsudoi.protocol.sealed.packets import Kind
from tsudoi.protocol.sealed.replay_window import SIZE, ReplayWindow

SESSION, RUN = bytes(range(16)), bytes(range(6))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    try:
        packet = packets.parse_untrusted(data)
    except MalformedMessage:
        return
    assert packet.header + packet.rest == data
    assert packet.nonce == packet.run + packet.count.to_bytes(6)


@pytest.mark.parametrize("suite", suites.KEY_SIZES)
def test_a_sealed_packet_is_opened(suite: str) -> None:
    cipher = suites.cipher(suite, secrets.token_bytes(suites.KEY_SIZES[suite]))
    header = packets.serialize_header(Kind.BODY, SESSION, RUN, 7)
    packet = packets.parse_untrusted(header + cipher.encrypt(RUN + (7).to_bytes(6), b"hello", header))
    assert (packet.kind, packet.session, packet.run, packet.count) == (Kind.BODY, SESSION, RUN, 7)
    assert suites.open_untrusted(cipher.decrypt, packet.nonce, packet.rest, packet.header) == b"hello"


@pytest.mark.parametrize("suite", suites.SEALED)
def test_no_changed_byte_is_opened(suite: str) -> None:
    cipher = suites.cipher(suite, secrets.token_bytes(suites.KEY_SIZES[suite]))
    header = packets.serialize_header(Kind.BODY, SESSION, RUN, 7)
    whole = header + cipher.encrypt(RUN + (7).to_bytes(6), b"hello", header)
    for place in range(2, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        packet = packets.parse_untrusted(bytes(changed))
        with pytest.raises(MalformedMessage, match="not sealed"):
            suites.open_untrusted(cipher.decrypt, packet.nonce, packet.rest, packet.header)
    with pytest.raises(MalformedMessage, match="not sealed"):
        suites.open_untrusted(cipher.decrypt, RUN + bytes(6), b"short", header)


def test_a_check_needs_its_key() -> None:
    header = packets.serialize_cookie_header(Kind.RETRY, SESSION, bytes(12))
    check = suites.check_of(b"k" * 32, header)
    assert suites.has_valid_check(b"k" * 32, header, check)
    assert not suites.has_valid_check(b"j" * 32, header, check)
    assert not suites.has_valid_check(b"k" * 32, header, check[:-1])
    assert suites.check_of(b"", header) == bytes(16)


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="has 16 bytes, not 32"):
        suites.cipher(suites.AES_128_GCM, bytes(32))


@given(st.integers(parts.MAX_WHOLE + 1, parts.MAX_BODY), st.randoms(use_true_random=False))
def test_parts_in_any_order_are_the_body(size: int, random: "object") -> None:
    body = bytes(index % 251 for index in range(size))
    divided = list(enumerate(parts.divide(body), start=100))
    assert all(len(part) <= parts.MAX_WHOLE for _, part in divided)
    random.shuffle(divided)  # type: ignore[attr-defined]
    pending = parts.Parts()
    found = [pending.add_untrusted(RUN, count, part) for count, part in divided]
    assert found[:-1] == [None] * (len(divided) - 1)
    assert found[-1] == body


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=8)), max_size=30))
def test_any_parts_are_bounded(received: list[tuple[int, bytes]]) -> None:
    pending = parts.Parts(4)
    for count, part in received:
        with contextlib.suppress(MalformedMessage):
            pending.add_untrusted(RUN, count, part)
        kept = sum(len(pieces) - 1 for pieces in pending._pending.values())
        assert pending._kept == kept <= 4


def test_a_body_that_is_too_long_is_not_divided() -> None:
    with pytest.raises(ValueError, match="at most 16384"):
        parts.divide(bytes(parts.MAX_BODY + 1))


@given(st.lists(st.integers(0, 3 * SIZE), max_size=200))
def test_the_window_takes_each_count_once(counts: list[int]) -> None:
    window, taken, highest = ReplayWindow(), set[int](), 0
    for count in counts:
        expected = count in taken or count < 1 or count <= highest - SIZE
        assert window.has(count) == expected
        if not expected:
            window.add(count)
            taken.add(count)
            highest = max(highest, count)
    assert window.highest == highest


def test_lines_up() -> None:
    body = (
        b'{"resume":{"cookie":"","epoch":1,"offset":41,"next":8}}\n{"say":"hello","number":8,"new":[]}\n'
        b'{"want":[41,44]}\n{"ping":17}\n{"leave":true}'
    )
    resume, say, want, ping, leave = lines.parse_up_untrusted(body)
    assert resume.resume == lines.Resume("", 1, 41, 8)
    assert (say.say, say.number, want.want, ping.ping, leave.leave) == ("hello", 8, (41, 44), 17, True)
    assert lines.parse_up_untrusted(b"") == []
    assert lines.serialize(want) == b'{"want":[41,44]}'


def test_lines_down() -> None:
    body = lines.join(
        [
            lines.serialize(lines.DownLine(resumed=lines.Resumed(3, 1, 41, 7, "bob", "complete"))),
            lines.serialize_range(41, 44),
            *lines.serialize_said([(42, "alice", "hello", lines.member_number(2**53 + 7), 5), (44, "bob", "hi")]),
            b'{"n":43,"notice":"renamed","name":"bob","to":"rob","text":"bob is rob"}',
        ]
    )
    assert [line for line, _ in lines.parse_down_untrusted(body)] == [
        lines.DownLine(resumed=lines.Resumed(3, 1, 41, 7, "bob", "complete")),
        lines.Covered(41, 44),
        lines.SaidLine(42, "alice", 7, 5),
        lines.SaidLine(44, "bob", 0, 0),
        lines.DownLine(n=43, text="bob is rob", notice="renamed"),
    ]
    assert b'\n[41,44]\n[42,"alice","hello",7,5]\n[44,"bob","hi"]\n' in body
    assert [raw for _, raw in lines.parse_down_untrusted(body)] == body.split(b"\n")


def test_a_message_in_short_is_the_next_one_of_the_same_sender() -> None:
    body = b'[41,47]\n[42,"alice","a",7,5]\n["b"]\n["c",9]  \n[45,"bob","d"]\n["e"]'
    assert [line for line, _ in lines.parse_down_untrusted(body)] == [
        lines.Covered(41, 47),
        *(lines.SaidLine(n, "alice", 7, number) for n, number in ((42, 5), (43, 6), (44, 7))),
        *(lines.SaidLine(n, "bob", 0, 0) for n in (45, 46)),
    ]
    wholes = [raw for _, raw in lines.parse_down_untrusted(body)]
    assert [downlink_decoder.parse_down_untrusted(TSUDOI_2, "den", raw) for raw in wholes[1:]] == [
        *(downlink_decoder.Said("alice", text, n) for n, text in ((42, "a"), (43, "b"), (44, "c"))),
        *(downlink_decoder.Said("bob", text, n) for n, text in ((45, "d"), (46, "e"))),
    ]


@pytest.mark.parametrize("before", [b"[41,47]", b'{"n":42,"notice":"joined","text":""}', b"[true]", b'[42,"alice"]'])
def test_behind_anything_else_it_is_not_known(before: bytes) -> None:
    short = lines.parse_down_untrusted(before + b'\n["b"]\n["c"]')
    assert short == lines.parse_down_untrusted(before)


def test_an_object_begins_with_the_key_that_tells_what_it_is() -> None:
    assert lines.serialize(lines.DownLine(ended="kicked", text="why", last=44)).startswith(b'{"ended":"kicked",')
    assert lines.serialize(lines.DownLine(refused=8, again=True, text="why")).startswith(b'{"refused":8,')


@given(
    st.binary(max_size=80)
    | st.sampled_from(
        [b"[5]", b"[5,4]", b'[5,"x"]', b'[5,"x",6]', b"[5,{}]", b"[-1,2]", b"[]", b'["x"]', b'[1,"",""]\n["x"]']
    )
)
def test_any_body_is_lines_or_malformed(body: bytes) -> None:
    for parse in (lines.parse_up_untrusted, lines.parse_down_untrusted):
        try:
            parse(body)
        except MalformedMessage:
            continue


@given(st.integers(0, 999_999))
def test_a_ping_alone_is_read_at_once(number: int) -> None:
    body = b'{"ping":%d}' % number
    assert len(body) <= lines.LONGEST_PING < len(lines.serialize(lines.UpLine(say="x", number=1)))
    assert lines.parse_up_untrusted(body) == [lines.UpLine(ping=lines.ping_of(body))]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"ping":}',
        b'{"ping":-1}',
        b'{"ping":01}',
        b'{"ping":1e3}',
        b'{"ping":1}\n',
        b'{"ping":1}\n{"ping":2}',
        b'{"ping":1,"leave":true}',
        b'{"ping":1000000}',
        '{"ping":１}'.encode(),
    ],
)
def test_another_body_is_not_a_ping_alone(body: bytes) -> None:
    assert lines.ping_of(body) is None


def test_too_many_lines_are_malformed() -> None:
    with pytest.raises(MalformedMessage, match="at most 256"):
        lines.parse_up_untrusted(b"{}\n" * 256 + b"{}")
