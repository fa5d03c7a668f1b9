"""tsudoi/protocol/client/header.py"""

import contextlib
from itertools import product

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.strategies import headers, requests, texts
from tsudoi.protocol.client.header import HEADER_SIZE, PROMISE_LIMIT, Header, frame, split_untrusted
from tsudoi.protocol.errors import MalformedMessage

WORDS = ("den", "部屋1", "é", "😀集い", "か\u3099")


@given(headers())
@example(Header(0, 0, 0, 0))
@example(Header(255, 255, 255, PROMISE_LIMIT))
def test_a_header_comes_back_as_it_was(header: Header) -> None:
    raw = header.serialize()
    assert len(raw) == HEADER_SIZE
    assert Header.parse_untrusted(raw) == header


@given(st.one_of(st.binary(max_size=40), st.binary(min_size=32, max_size=32)))
def test_any_bytes_are_a_header_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        assert Header.parse_untrusted(data).serialize() == data


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_header_has_exactly_32_bytes(size: int) -> None:
    with pytest.raises(MalformedMessage):
        Header.parse_untrusted(bytes(size))


def test_a_promise_of_more_than_the_limit_is_malformed() -> None:
    assert Header.parse_untrusted(bytes(3) + PROMISE_LIMIT.to_bytes(29, "big")).payload_size == PROMISE_LIMIT
    for promise in (PROMISE_LIMIT + 1, 2**232 - 1):
        with pytest.raises(MalformedMessage):
            Header.parse_untrusted(bytes(3) + promise.to_bytes(29, "big"))


@given(st.binary(max_size=255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=100))
def test_a_frame_is_its_header_then_room_then_payload(room: bytes, operation: int, state: int, payload: bytes) -> None:
    raw = frame(room, operation, state, payload)
    header = Header.parse_untrusted(raw[:HEADER_SIZE])
    assert header == Header(len(room), operation, state, len(payload))
    assert raw[HEADER_SIZE:] == room + payload


# --- the split ----------------------------------------------------------------------------------------------------


@given(requests(), st.sampled_from((0, 2)))
@example((Header(0, 1, 0, 0), b""), 2)
@example((Header(255, 1, 0, 0), b"den"), 0)
@example((Header(0, 1, 0, 2), b"\xff"), 2)
def test_any_body_splits_or_is_malformed(request: tuple[Header, bytes], trailer: int) -> None:
    header, body = request
    with contextlib.suppress(MalformedMessage):
        room, payload = split_untrusted(header, body, trailer)
        assert body.startswith(room.encode() + payload)
        payload[: max(0, len(payload) - trailer)].decode()


@pytest.mark.parametrize("trailer", [b"", b"\xc3\x50", b"\xff\xff", b"ab", b"\xe3\x81"])
@pytest.mark.parametrize("counts", ["both in bytes", "both in characters", "the room in characters"])
def test_sizes_in_characters_split_as_sizes_in_bytes_do(counts: str, trailer: bytes) -> None:
    for room, user in product(WORDS, (*WORDS, "")):
        payload = user.encode() + trailer
        room_size = len(room.encode()) if counts == "both in bytes" else len(room)
        payload_size = len(user) + len(trailer) if counts == "both in characters" else len(payload)
        header = Header(room_size, 1, 0, payload_size)
        assert split_untrusted(header, room.encode() + payload, len(trailer)) == (room, payload)


@pytest.mark.parametrize(("room", "user"), list(product(("den", "部屋1"), ("アリス", "bob", "é"))))
def test_only_the_payload_in_characters_splits_too(room: str, user: str) -> None:
    header = Header(len(room.encode()), 1, 0, len(user))
    assert split_untrusted(header, (room + user).encode()) == (room, user.encode())


def test_of_two_possible_splits_the_room_in_characters_is_taken() -> None:
    # Room "é" in bytes and payload "xé" in characters, or room "éx" in characters and payload "é" in bytes: both 2, 2.
    assert split_untrusted(Header(2, 1, 0, 2), "éxé".encode()) == ("éx", "é".encode())


@given(*(2 * [st.text(st.characters(codec="ascii"), max_size=8)]), st.binary(min_size=1, max_size=8))
def test_what_follows_a_request_in_ascii_is_left_out(room: str, user: str, rest: bytes) -> None:
    header = Header(len(room), 1, 0, len(user))
    assert split_untrusted(header, (room + user).encode() + rest) == (room, user.encode())


@given(texts(20), texts(20), st.data())
def test_less_than_the_header_promises_is_malformed(room: str, user: str, data: st.DataObject) -> None:
    body = (room + user).encode()
    assume(len(body) > 0 and len(room.encode()) < 256)
    short = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(MalformedMessage):
        split_untrusted(Header(len(room.encode()), 1, 0, len(user.encode())), short)


@pytest.mark.parametrize("body", [b"\xffden", b"de\xffn", "部屋".encode()[:4], b"\xed\xa0\x80d"])
def test_what_is_not_utf_8_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        split_untrusted(Header(2, 1, 0, len(body) - 2), body)


def test_a_room_of_no_bytes_and_one_of_255_are_split() -> None:
    assert split_untrusted(Header(0, 2, 0, 5), b"alice") == ("", b"alice")
    assert split_untrusted(Header(255, 1, 0, 1), b"r" * 255 + b"a") == ("r" * 255, b"a")
    assert split_untrusted(Header(255, 1, 0, 1), ("部" * 255 + "a").encode()) == ("部" * 255, b"a")
