"""tsudoi/protocol/client/downlink_encoder.py and downlink_decoder.py"""

import contextlib
import json
import re
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.strategies import TOKENS, datagrams, dialects, long_texts, names, texts
from tests.support.visible import next_boundary
from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.client.dialects import (
    DIALECTS,
    TSUDOI,
)
from tsudoi.protocol.client.downlink_decoder import Said, parse_down_untrusted
from tsudoi.protocol.client.downlink_encoder import MAX_DOWN, encode_closing, encode_message
from tsudoi.protocol.client.lines import mark_further_lines
from tsudoi.protocol.client.sanitize import clean, strip_bidi
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import SERVER_NAME

FORMS = [
    replace(style, separator=separator)
    for style in sorted({dialect.down for dialect in DIALECTS.values() if not dialect.down.ends_at}, key=str)
    for separator in (": ", " : ")
]
"""Of datagrams: a push to a WebSocket is none."""


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
        case DownForm.OBJECT:
            assert data.startswith(style.head)
            fields = json.loads(data[len(style.head) :])
            at = {value: key for key, value in style.message}
            return f"{fields.get(at['{user}'], SERVER_NAME)}{style.separator}{fields[at['{text}']]}"
        case DownForm.NATIVE:
            fields = json.loads(data)
            return f"{fields['from']}{style.separator}{fields['text']}"
        case DownForm.SEALED | DownForm.WEB:
            raise AssertionError("a push is no datagram")


BY_HAND = re.compile(r'\{"n":7,"from":"((?:[^"\\]|\\["\\nt])*)","text":"((?:[^"\\]|\\["\\nt])*)"\}')


@given(names(), texts())
@example('","text":"', "a\tb\n\\n\x7f\u2028\U0001f600")
def test_a_message_of_tsudoi_can_be_read_without_a_library_for_json(sender: str, text: str) -> None:
    read = BY_HAND.fullmatch(encode_message(TSUDOI.down, "den", 7, sender, clean(text)).decode())
    assert read is not None
    escapes = {r"\n": "\n", r"\t": "\t"}
    said = (re.sub(r"\\.", lambda each: escapes.get(each[0], each[0][1]), each) for each in read.groups())
    assert (*said,) == (sender, clean(text))


@pytest.mark.parametrize("style", FORMS, ids=str)
@given(names(), names(), st.one_of(texts(), long_texts()), st.integers(1, 2**53))
@example("部" * 85, "部" * 85, "\n" * 4094, 1)
@example("r" * 255, '"' * 255, '"\\' * 2047, 2**53)
@example("den", "alice", "", 1)
@example("den", "alice", "\u202a" * 4094, 1)
@example("den", "alice", "\u202aaa\u202c" * 4094, 1)
def test_a_message_fits_and_is_cut_no_more_than_needed(
    style: DownStyle, room: str, sender: str, text: str, offset: int
) -> None:
    data = encode_message(style, room, offset, sender, text)
    assert len(data) <= MAX_DOWN
    if style.form is not DownForm.NATIVE:
        text = mark_further_lines(text)
    whole, shown = f"{sender}{style.separator}{text}", unpack(style, data)
    if shown != whole:
        # What is cut loses its turns of the direction of writing, as the cut might take their ends.
        whole = f"{sender}{style.separator}{strip_bidi(text)}"
    assert whole.startswith(shown)
    assert len(shown) >= len(sender + style.separator)
    if shown != whole:
        longer = whole[len(sender + style.separator) : next_boundary(whole, len(shown))]
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
        case DownForm.OBJECT:
            values = {"{user}": sender, "{text}": text}
            return len(style.head) + as_json(**{key: values.get(value, value) for key, value in style.message})
        case DownForm.NATIVE:
            return as_json(**{"n": offset, "from": sender, "text": text})
        case DownForm.SEALED | DownForm.WEB:
            raise AssertionError("a push is no datagram")


@pytest.mark.parametrize("style", FORMS, ids=str)
def test_a_text_that_fits_without_bidi_is_not_cut_further(style: DownStyle) -> None:
    text = "x" * 3000 + "\u202a\u202c" * 600
    assert unpack(style, encode_message(style, "den", 1, "alice", text)) == f"alice{style.separator}{'x' * 3000}"


@given(dialects(), names(), st.sampled_from(("closed", "timeout", "kicked")), st.one_of(texts(), long_texts()))
@example(TSUDOI, "den", "kicked", '"' * 4094)
def test_closing_words_fit_and_are_cut_no_more_than_needed(dialect: Dialect, room: str, kind: str, text: str) -> None:
    data = encode_closing(dialect, room, kind, text)
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
def test_no_dialects_closing_words_are_cut(dialect: Dialect, room: str, user: str) -> None:
    for words in (*dialect.closed, dialect.timed_out):
        text = words.format(user=user, room=room)
        data = encode_closing(dialect, room, "closed", text)
        assert text.encode() in data or dialect.down.form in (DownForm.NATIVE, DownForm.OBJECT)


@given(names(), names(), texts(), TOKENS)
def test_no_token_goes_down(room: str, sender: str, text: str, token: str) -> None:
    assume(token not in room + sender + text)
    for style in FORMS:
        assert token.encode() not in encode_message(style, room, 1, sender, text)


ENDS = [dialect for dialect in DIALECTS.values() if dialect.down.ends_at]


@pytest.mark.parametrize("dialect", ENDS, ids=lambda dialect: dialect.name)
@given(st.data(), names(), texts(8), texts(8))
def test_no_message_contains_the_words_at_which_a_client_quits(
    dialect: Dialect, data: st.DataObject, room: str, before: str, after: str
) -> None:
    words = data.draw(st.sampled_from(dialect.down.ends_at))
    # A name whose size byte is the first letter of the words, followed by the rest of them.
    sized = words[1:] + "x" * (ord(words[0]) - len(words) + 1) if words.isascii() else words
    sender = data.draw(st.sampled_from((sized, words, words[:-1], "mallory")))
    text = before + data.draw(st.sampled_from((words, words[1:], words * 2, ""))) + after
    raw = encode_message(dialect.down, room, 1, sender, text)
    if dialect.down.form is DownForm.NAMED:
        assert not raw.startswith(tuple(each.encode() for each in dialect.down.ends_at))
    else:
        assert not any(each.encode() in raw for each in dialect.down.ends_at)
    whole = sender + dialect.down.separator + mark_further_lines(text)
    assert unpack(dialect.down, raw).replace("\u200b", "") == whole.replace("\u200b", "")


def test_closing_words_contain_the_words_at_which_a_client_quits() -> None:
    for dialect in ENDS:
        for text in (*dialect.closed, dialect.timed_out):
            raw = encode_closing(dialect, "den", "closed", text.format(user="alice", room="den")).decode()
            assert any(words in raw for words in dialect.down.ends_at) or text == "{user}が{room}から退出しました。"


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@given(names(), datagrams())
@example("den", b"\xff" * 300)
def test_any_bytes_down_are_decoded_or_malformed(dialect: Dialect, room: str, data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        parse_down_untrusted(dialect, room, data)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@given(names(), names(), st.text(st.characters(codec="utf-8", exclude_characters="\u200b"), max_size=30))
def test_our_decoder_reads_every_encoded_message(dialect: Dialect, room: str, sender: str, text: str) -> None:
    assume(dialect.down.separator.strip() not in sender)
    for said_ in (text, *(text + words + text for words in dialect.down.ends_at)):
        heard = parse_down_untrusted(dialect, room, encode_message(dialect.down, room, 1, sender, said_))
        assert isinstance(heard, Said)
        assert (heard.sender, heard.text) == (sender, said_)
