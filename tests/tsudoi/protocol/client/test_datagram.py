"""tsudoi/protocol/client/datagram.py"""

import contextlib
import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.strategies import TOKENS, datagrams, dialects, long_texts, names, texts
from tsudoi.protocol.client.datagram import (
    MAX_DOWN,
    MAX_UP,
    cut_end,
    notice,
    parse_in_characters_untrusted,
    parse_untrusted,
    readable,
    said,
    serialize,
)
from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.client.dialects import (
    CLASSIC,
    DIALECTS,
    TCRP_202,
    TCRP_BARE_ACK,
    TCRP_NAMED,
    TCRP_OK,
    TCRP_SUCCESS,
    TSUDOI,
)
from tsudoi.protocol.client.downlink import Said, parse_down_untrusted
from tsudoi.protocol.client.sanitize import without_turns
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import SERVER_NAME

TOKEN = "0123456789abcdef0123456789abcdef"
FORMS = [DownStyle(form, separator) for form in DownForm for separator in (": ", " : ")]


# --- up -----------------------------------------------------------------------------------------------------------


@given(datagrams())
def test_any_bytes_are_a_datagram_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        room, token, text = parse_untrusted(data)
        assert bytes((len(room), len(token))) + room + token + text == data[:MAX_UP]


@given(datagrams())
@example(b"\xff" * 300)
@example(b"\x03\x20" + b"\xff\xff\xff" + b"0" * 32)
def test_any_bytes_are_a_datagram_in_characters_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        room, token, text = parse_in_characters_untrusted(data)
        assert data[:2] + room + token + text == data[:MAX_UP]
        assert len(token) == 32


@given(names(), TOKENS, st.one_of(texts(), long_texts()))
def test_a_datagram_comes_back_as_it_was_but_for_what_is_too_long(room: str, token: str, text: str) -> None:
    data = serialize(room, token, text)
    assert len(data) <= MAX_UP
    found = parse_untrusted(data)
    assert (found.room.decode(), found.token.decode()) == (room, token)
    assert text.startswith(found.text.decode())
    if found.text != text.encode():
        assert len(data) > MAX_UP - 4


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
    assert parse_untrusted(head + b"a" * 5000).text == b"a" * (4096 - len(head))
    text = parse_untrusted(head + "あ".encode() * 2000).text
    assert readable(text, CLASSIC) == "あ" * ((4096 - len(head)) // 3)


# --- what a text is -----------------------------------------------------------------------------------------------


@given(st.one_of(st.binary(max_size=80), texts().map(str.encode)), dialects())
def test_a_readable_text_has_no_control_characters_but_tab_and_line_feed(raw: bytes, dialect: Dialect) -> None:
    text = readable(raw, dialect)
    text.encode()
    assert not any((char < " " and char not in "\t\n") or "\x7f" <= char <= "\x9f" for char in text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_what_has_none_stays_as_it_is(text: str) -> None:
    assert readable(text.encode(), CLASSIC) == text


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
    assert readable(raw, CLASSIC) == text


@given(texts(20), st.integers(0, 4))
def test_cutting_the_end_takes_at_most_one_character(text: str, back: int) -> None:
    raw = text.encode()
    short = raw[: max(0, len(raw) - back)]
    assert text.startswith(cut_end(short).decode())
    assert len(short) - len(cut_end(short)) <= 3


@given(st.binary(max_size=20))
def test_cutting_the_end_of_any_bytes_leaves_a_beginning(raw: bytes) -> None:
    assert raw.startswith(cut_end(raw))
    assert len(raw) - len(cut_end(raw)) <= 3


@pytest.mark.parametrize("escaped", [True, False])
@given(texts())
def test_wrapped_texts_are_unwrapped(escaped: bool, text: str) -> None:
    raw = json.dumps({"sender": "alice", "message": text}, ensure_ascii=escaped).encode()
    assert readable(raw, TCRP_202) == readable(text.encode(), CLASSIC)


NOT_WRAPPED = (
    *(b"", b"hello", b'{"message":1}', b'{"sender":"a"}', b"[1]", b'"x"', b"12", b'{"message":"\\ud800"}'),
    *(b"{" * 4000, b"[" * 4000, b'{"a":' * 800, b"9" * 4000),
)


@pytest.mark.parametrize("raw", NOT_WRAPPED, ids=lambda raw: raw[:20].decode())
def test_what_is_not_such_json_is_taken_as_text(raw: bytes) -> None:
    assert readable(raw, TCRP_202) == raw.decode()


def test_json_is_text_to_every_other_dialect() -> None:
    raw = b'{"sender":"alice","message":"hi"}'
    for dialect in DIALECTS.values():
        assert readable(raw, dialect) == ("hi" if dialect is TCRP_202 else raw.decode())


# --- down ---------------------------------------------------------------------------------------------------------


def unpack(style: DownStyle, data: bytes) -> str:
    """What a datagram down shows, sender and text, as its receiver would read it."""
    match style.form:
        case DownForm.RAW:
            return data.decode()
        case DownForm.NAMED:
            return data[1 : 1 + data[0]].decode() + style.separator + data[1 + data[0] :].decode()
        case DownForm.U1:
            assert data[1] == 0
            return data[2 + data[0] :].decode()
        case DownForm.JSON_U1:
            assert data[:2] == b"\0\0"
            fields = json.loads(data[2:])
            return f"{fields['sender']}{style.separator}{fields['message']}"
        case DownForm.NATIVE:
            fields = json.loads(data)
            return f"{fields['from']}{style.separator}{fields['text']}"


@pytest.mark.parametrize("style", FORMS, ids=str)
@given(names(), names(), st.one_of(texts(), long_texts()), st.integers(1, 2**53))
@example("部" * 85, "部" * 85, "\n" * 4094, 1)
@example("r" * 255, '"' * 255, '"\\' * 2047, 2**53)
@example("den", "alice", "", 1)
@example("den", "alice", "\u202a" * 4094, 1)
@example("den", "alice", "\u202aaa\u202c" * 4094, 1)
def test_what_was_said_fits_and_is_the_longest_beginning_that_does(
    style: DownStyle, room: str, sender: str, text: str, offset: int
) -> None:
    data = said(style, room, offset, sender, text)
    assert len(data) <= MAX_DOWN
    whole, shown = f"{sender}{style.separator}{text}", unpack(style, data)
    if shown != whole:
        # What is cut loses its turns of the direction of writing, as the cut might take their ends.
        whole = f"{sender}{style.separator}{without_turns(text)}"
    assert whole.startswith(shown)
    assert len(shown) >= len(sender + style.separator)
    if shown != whole:
        longer = whole[len(sender + style.separator) : len(shown) + 1]
        assert size_of(style, room, offset, sender, longer) > MAX_DOWN


def size_of(style: DownStyle, room: str, offset: int, sender: str, text: str) -> int:
    """How large the datagram were if there were no limit."""
    line = len(f"{sender}{style.separator}{text}".encode())

    def as_json(**fields: object) -> int:
        return len(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())

    match style.form:
        case DownForm.RAW:
            return line
        case DownForm.NAMED:
            return 1 + len((sender + text).encode())
        case DownForm.U1:
            return 2 + len(room.encode()) + line
        case DownForm.JSON_U1:
            return 2 + as_json(sender=sender, message=text)
        case DownForm.NATIVE:
            return as_json(**{"n": offset, "from": sender, "text": text})


@pytest.mark.parametrize("style", FORMS, ids=str)
def test_a_text_of_quotes_only_is_cut_no_more_than_needed(style: DownStyle) -> None:
    shown = unpack(style, said(style, "den", 1, "alice", '"' * 4000))
    assert shown.count('"') >= 2000


@given(dialects(), names(), st.sampled_from(("closed", "timeout", "kicked")), st.one_of(texts(), long_texts()))
@example(TSUDOI, "den", "kicked", '"' * 4094)
def test_a_notice_fits_and_is_a_beginning(dialect: Dialect, room: str, kind: str, text: str) -> None:
    data = notice(dialect, room, kind, text)
    assert len(data) <= MAX_DOWN
    style = dialect.down
    if dialect.notices_raw or style.form is DownForm.RAW:
        shown = data.decode()
    elif style.form is DownForm.NATIVE:
        fields = json.loads(data)
        assert fields.keys() == {"notice", "text"}
        assert fields["notice"] == kind
        shown = fields["text"]
    else:
        shown = unpack(style, data)
        if style.form is not DownForm.U1:
            shown = shown.removeprefix(SERVER_NAME + style.separator)
    assert text.startswith(shown)
    assert shown == text or len(data) > MAX_DOWN - 7


@given(dialects(), names(), names())
def test_every_known_notice_goes_out_whole(dialect: Dialect, room: str, user: str) -> None:
    for words in (*dialect.closed, dialect.timed_out):
        text = words.format(user=user, room=room)
        data = notice(dialect, room, "closed", text)
        assert text.encode() in data or dialect.down.form in (DownForm.NATIVE, DownForm.JSON_U1)


@given(names(), names(), texts(), TOKENS)
def test_no_token_goes_down(room: str, sender: str, text: str, token: str) -> None:
    assume(token not in room + sender + text)
    for style in FORMS:
        assert token.encode() not in said(style, room, 1, sender, text)


ENDS = [dialect for dialect in DIALECTS.values() if dialect.down.ends_at]


@pytest.mark.parametrize("dialect", ENDS, ids=lambda dialect: dialect.name)
@given(st.data(), names(), texts(8), texts(8))
def test_no_member_can_say_the_words_at_which_a_client_ends(
    dialect: Dialect, data: st.DataObject, room: str, before: str, after: str
) -> None:
    words = data.draw(st.sampled_from(dialect.down.ends_at))
    # A name whose size byte is the first letter of the words, followed by the rest of them.
    sized = words[1:] + "x" * (ord(words[0]) - len(words) + 1) if words.isascii() else words
    sender = data.draw(st.sampled_from((sized, words, words[:-1], "mallory")))
    text = before + data.draw(st.sampled_from((words, words[1:], words * 2, ""))) + after
    raw = said(dialect.down, room, 1, sender, text)
    if dialect.down.form is DownForm.NAMED:
        assert not raw.startswith(tuple(each.encode() for each in dialect.down.ends_at))
    else:
        assert not any(each.encode() in raw for each in dialect.down.ends_at)
    assert unpack(dialect.down, raw).replace("\u200b", "") == (sender + dialect.down.separator + text).replace(
        "\u200b", ""
    )


def test_notices_hold_the_words_at_which_a_client_ends() -> None:
    for dialect in ENDS:
        for text in (*dialect.closed, dialect.timed_out):
            raw = notice(dialect, "den", "closed", text.format(user="alice", room="den")).decode()
            assert any(words in raw for words in dialect.down.ends_at) or text == "{user}が{room}から退出しました。"


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@given(names(), datagrams())
@example("den", b"\xff" * 300)
def test_any_bytes_down_are_heard_or_malformed(dialect: Dialect, room: str, data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        parse_down_untrusted(dialect, room, data)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@given(names(), names(), st.text(st.characters(codec="utf-8", exclude_characters="\u200b"), max_size=30))
def test_our_own_client_hears_what_was_said(dialect: Dialect, room: str, sender: str, text: str) -> None:
    assume(dialect.down.separator.strip() not in sender)
    for said_ in (text, *(text + words + text for words in dialect.down.ends_at)):
        heard = parse_down_untrusted(dialect, room, said(dialect.down, room, 1, sender, said_))
        assert isinstance(heard, Said)
        assert (heard.sender, heard.text) == (sender, said_)


EXAMPLES = [
    (CLASSIC, "alice: やあ".encode()),
    (TCRP_NAMED, b"\5alice" + "やあ".encode()),
    (TCRP_BARE_ACK, b"\3\0den" + "alice: やあ".encode()),
    (TCRP_202, b'\0\0{"sender":"alice","message":"' + "やあ".encode() + b'"}'),
    (TSUDOI, b'{"n":7,"from":"alice","text":"' + "やあ".encode() + b'"}'),
]


@pytest.mark.parametrize(("dialect", "data"), EXAMPLES, ids=lambda value: getattr(value, "name", ""))
def test_each_form_down_byte_by_byte(dialect: Dialect, data: bytes) -> None:
    assert said(dialect.down, "den", 7, "alice", "やあ") == data


def test_notices_are_bare_where_a_dialect_says_so() -> None:
    assert notice(TCRP_SUCCESS, "den", "closed", "__ROOM_CLOSED__") == b"__ROOM_CLOSED__"
    assert notice(TCRP_OK, "den", "closed", "ROOM_CLOSED: x") == b"ROOM_CLOSED: x"
    assert notice(TCRP_NAMED, "den", "closed", "exit!") == b"\6serverexit!"
    assert notice(TCRP_BARE_ACK, "den", "closed", "exit!") == b"\3\0denexit!"
    assert notice(TCRP_202, "den", "closed", "exit!") == b'\0\0{"sender":"server","message":"exit!"}'
    assert notice(TSUDOI, "den", "closed", "exit!") == b'{"notice":"closed","text":"exit!"}'
    assert notice(CLASSIC, "den", "closed", "exit!") == b"exit!"
