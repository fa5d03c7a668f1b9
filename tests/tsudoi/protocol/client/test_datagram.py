"""tsudoi/protocol/client/datagram.py"""

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies import TOKENS, datagrams, dialects, long_texts, names, texts
from tsudoi.protocol.client.datagram import (
    MAX_READ,
    MAX_UP,
    cut_off,
    decode_text,
    drop_incomplete_character,
    parse_in_characters_untrusted,
    parse_untrusted,
    serialize,
    was_cut_before,
)
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import (
    CLASSIC,
    DIALECTS,
    TCRP_202,
)
from tsudoi.protocol.errors import MalformedMessage

TOKEN = "0123456789abcdef0123456789abcdef"


# --- up -----------------------------------------------------------------------------------------------------------


@given(datagrams())
def test_any_bytes_are_a_datagram_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        room, token, text = parse_untrusted(data)
        assert bytes((len(room), len(token))) + room + token + text == data[:MAX_READ]


@given(datagrams())
@example(b"\xff" * 300)
@example(b"\x03\x20" + b"\xff\xff\xff" + b"0" * 32)
def test_any_bytes_are_a_datagram_in_characters_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        room, token, text = parse_in_characters_untrusted(data)
        assert data[:2] + room + token + text == data[:MAX_READ]
        assert len(token) == 32


@given(names(), TOKENS, st.one_of(texts(), long_texts()))
def test_a_datagram_comes_back_as_it_was_or_is_not_made(room: str, token: str, text: str) -> None:
    if 2 + len(f"{room}{token}{text}".encode()) > MAX_UP:
        with pytest.raises(ValueError, match="longer than 4096"):
            serialize(room, token, text)
        return
    raw_room, raw_token, raw_text = parse_untrusted(serialize(room, token, text))
    assert (raw_room.decode(), raw_token.decode(), raw_text.decode()) == (room, token, text)
    assert cut_off(raw_room, raw_text) is None


@given(names(), TOKENS, texts(), st.integers(0, 255))
def test_a_room_size_in_characters_finds_room_and_token(room: str, token: str, text: str, token_size: int) -> None:
    data = bytes((len(room), token_size)) + room.encode() + token.encode() + text.encode()
    assert parse_in_characters_untrusted(data) == (room.encode(), token.encode(), text.encode())


@pytest.mark.parametrize("data", [b"", b"\0", b"\1\0", b"\0\1", b"\3\x20den" + b"0" * 31, b"\xff\xff" + b"x" * 280])
def test_sizes_that_the_datagram_can_not_hold_are_malformed(data: bytes) -> None:
    for parse in (parse_untrusted, parse_in_characters_untrusted):
        with pytest.raises(MalformedMessage):
            parse(data)


def test_empty_fields_are_no_error_to_the_parser() -> None:
    assert parse_untrusted(b"\0\0") == (b"", b"", b"")


def test_what_is_beyond_4096_bytes_is_cut_off() -> None:
    head = b"\3\x20den" + TOKEN.encode()
    most = 4096 - len(head)
    assert cut_off(b"den", parse_untrusted(head + b"a" * most)[2]) is None
    for size in (most + 1, 5000):
        assert cut_off(b"den", parse_untrusted(head + b"a" * size)[2]) == b"a" * most
    text = cut_off(b"den", parse_untrusted(head + "あ".encode() * 2000)[2])
    assert text is not None
    assert decode_text(text, CLASSIC) == "あ" * (most // 3)


# --- decode_text -----------------------------------------------------------------------------------------------


@given(st.one_of(st.binary(max_size=80), texts().map(str.encode)), dialects())
def test_a_readable_text_has_no_control_characters_but_tab_and_line_feed(raw: bytes, dialect: Dialect) -> None:
    text = decode_text(raw, dialect)
    text.encode()
    assert not any((char < " " and char not in "\t\n") or "\x7f" <= char <= "\x9f" for char in text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])))
def test_a_text_without_controls_is_unchanged(text: str) -> None:
    assert decode_text(text.encode(), CLASSIC) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"a\tb\nc", "a\tb\nc"),
        (b"a\r\nb\rc", "a\nbc"),
        (b"\x1b[2J\x07bell\x00\x7f", "[2Jbell"),
        (b"\xc2\x9b31m\xc2\x85", "31m"),
        (b"a\xffb", "a\ufffdb"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc0\x80", "\ufffd\ufffd"),
        ("あ".encode()[:2], ""),
        (b"a" + "😀".encode()[:3], "a"),
        (b"\xff" + "あ".encode()[:1], "\ufffd"),
        (b"a\x80\x80\x80\x80", "a\ufffd\ufffd\ufffd\ufffd"),
        (b"\xef\xbb\xbfa", "\ufeffa"),
    ],
)
def test_invalid_utf_8_is_mended_and_controls_go(raw: bytes, text: str) -> None:
    assert decode_text(raw, CLASSIC) == text


@given(texts(20), st.integers(0, 4))
def test_cutting_the_end_takes_at_most_one_character(text: str, back: int) -> None:
    raw = text.encode()
    short = raw[: max(0, len(raw) - back)]
    assert text.startswith(drop_incomplete_character(short).decode())
    assert len(short) - len(drop_incomplete_character(short)) <= 3


@pytest.mark.parametrize("escaped", [True, False])
@given(texts())
def test_wrapped_texts_are_unwrapped(escaped: bool, text: str) -> None:
    raw = json.dumps({"sender": "alice", "message": text}, ensure_ascii=escaped).encode()
    assert decode_text(raw, TCRP_202) == decode_text(text.encode(), CLASSIC)


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("fields", [("sender", "message"), ("message", "sender"), ("ip", "message", "extra")])
@given(texts(), st.integers(0, 500))
@example('"\\😀\\u30', 0)
@example("\\" * 9, 4)
@example("😀" * 9, 7)
def test_a_wrapped_text_that_was_cut_is_a_beginning_of_it(
    fields: tuple[str, ...], escaped: bool, text: str, end: int
) -> None:
    value = {"sender": 'a "message": "b', "message": text, "ip": 1, "extra": {"a": [{"message": "no"}]}}
    raw = json.dumps({key: value[key] for key in fields}, ensure_ascii=escaped).encode()[: 1 + end]
    heard, whole = decode_text(raw, TCRP_202, was_cut=True), decode_text(text.encode(), CLASSIC)
    if not set(text) & set("\u202a\u2066\u202e"):  # their ends are added where the line ends
        assert whole.startswith(heard)
    begins = raw.find(b'"message": "') + len('"message": "')
    if escaped and begins > len('"message": "') and text.isprintable():
        assert len(json.dumps(heard)) - 2 >= min(len(raw) - begins, len(json.dumps(text)) - 2) - 11


NOT_WRAPPED = (
    *(b"", b"hello", b'{"message":1}', b'{"sender":"a"}', b"[1]", b'"x"', b"12", b'{"message":1'),
    *(b"{" * 4000, b"[" * 4000, b'{"a":' * 800, b"9" * 4000),
)


@pytest.mark.parametrize("raw", NOT_WRAPPED, ids=lambda raw: raw[:20].decode())
def test_what_is_not_such_json_is_taken_as_text(raw: bytes) -> None:
    assert decode_text(raw, TCRP_202) == raw.decode()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"message":"hi\\ud83d"}', "hi\ufffd"),
        (b'{"message":"\\ud83d\\ude00 \\ude00"}', "😀 \ufffd"),
        (b'{"message":"one\ntwo\t"}', "one\ntwo\t"),
        (b'{"message":"\xff"}', "\ufffd"),
        (b'\0\0{"message":"hi"}', "hi"),
        (b'\xef\xbb\xbf{"message":"hi"}', "hi"),
    ],
)
def test_objects_that_only_some_libraries_write_are_unwrapped(raw: bytes, text: str) -> None:
    assert decode_text(raw, TCRP_202) == text
    assert not was_cut_before(raw, TCRP_202)


def test_an_object_that_its_client_cut_is_known_as_such() -> None:
    whole = b'{"sender":"alice","message":"/msg bob \\ud83d\\ude00 psst\\n"}'
    for end in range(len(b'{"sender":"alice","message":"/'), len(whole)):
        assert was_cut_before(whole[:end], TCRP_202)
        assert decode_text(whole[:end], TCRP_202, was_cut=True).startswith("/")
    for raw in (whole, b"hello", b'{"sender":"alice"', b'{"message":"say "hi" now"}', b"{", *NOT_WRAPPED):
        assert not was_cut_before(raw, TCRP_202)
    assert not any(was_cut_before(whole[:-1], dialect) for dialect in DIALECTS.values() if dialect is not TCRP_202)


def test_json_is_text_to_every_other_dialect() -> None:
    raw = b'{"sender":"alice","message":"hi"}'
    for dialect in DIALECTS.values():
        assert decode_text(raw, dialect) == ("hi" if dialect is TCRP_202 else raw.decode())
