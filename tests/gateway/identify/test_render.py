"""gateway/identify/render.py and run.py: lines fit the terminal, in both languages, whatever the bytes"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gateway.explain.datagram_hints import Known
from gateway.explain.explain import explain_datagram, explain_request
from gateway.explain.opening import Opening
from gateway.identify.render import LEAST, Renderer, fold, notation, quoted
from gateway.identify.run import choose_language, in_encoding
from tests.gateway.explain.mistakes_made import TOKEN, request
from tests.support.strategies import requests
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialects import TCRP, TCRP_JSON
from tsudoi.protocol.client.header import Header, frame
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.client.words import Language

ENGLISH = Renderer("en", 80)
WIDTHS = st.integers(1, 200)
LANGUAGES = st.sampled_from(["en", "ja"])


def whose(token: bytes) -> Known | None:
    return Known(b"den", TCRP, b"alice") if token == TOKEN.encode() else None


def shown_bytes(lines: list[str]) -> list[str]:
    """The bytes in the rows of a block."""
    return [byte for line in lines if re.match(r" *\d+  ", line) for byte in line[6:30].split() if len(byte) == 2]


@given(
    st.binary(max_size=80) | requests().map(lambda each: each[0].serialize() + each[1]),
    WIDTHS,
    LANGUAGES,
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal(data: bytes, width: int, language: Language, is_auto: bool) -> None:
    draw = Renderer(language, width)
    explained = explain_request(Opening(data, AUTO, None if is_auto else TCRP))
    datagram = explain_datagram(data, whose)
    for lines in (draw.request(explained, is_auto), draw.hints(explained.hints), draw.fields(datagram)):
        for line in lines:
            assert cell_len(line) <= max(width, LEAST)
            assert line.isprintable()
    if width >= 64 and len(data) <= 200:
        assert shown_bytes(draw.fields(datagram)) == [
            "**" if any(begin <= at < end for begin, end in datagram.hidden) else f"{byte:02x}"
            for at, byte in enumerate(data)
        ]


def test_each_byte_stands_beside_what_it_means() -> None:
    lines = ENGLISH.fields(explain_request(Opening(request(TCRP_JSON, "部屋1"), AUTO)))
    assert lines[0] == "   0  07                       room size: 7"
    assert lines[1] == "   1  01                       operation: 1 = create"
    assert lines[7] == "  32  e9 83 a8 e5 b1 8b 31     room: «部屋1», 7 bytes, 3 characters"
    assert 'payload: «{"username":"alice","password":"…"}»' in lines[8]


def test_a_token_and_a_password_are_stars_and_a_number() -> None:
    lines = ENGLISH.fields(explain_datagram(serialize("den", TOKEN, "alice: hi"), whose, (TOKEN.encode(),)))
    assert "   5  ** ** ** ** ** ** ** **  token: 32 characters, known" in lines
    assert "  37  61 6c 69 63 65 3a 20 68  text: «alice: hi»" in lines
    lines = Renderer("ja", 80).fields(explain_datagram(serialize("den", TOKEN[::-1], "hi"), whose))
    assert "   5  ** ** ** ** ** ** ** **  トークン: 32 文字、未知" in lines


def test_the_dialects_are_grouped_by_what_they_read_and_answer() -> None:
    lines = ENGLISH.request(explain_request(Opening(request(TCRP), AUTO)), is_auto=True)
    at = lines.index("  - create room «den» for user «alice»")
    assert lines[at + 1] == "      classic: T"
    assert lines[at + 2] == "      tcrp, tcrp-named: H32(0, 1, 1, 1) 00 ; H32(0, 1, 2, 32) T"
    assert "  - refused: the payload is not JSON" in lines


def test_a_listener_of_one_dialect_says_what_auto_would_take_it_for() -> None:
    explained = explain_request(Opening(request(TCRP_JSON), "tcrp", TCRP))
    text = " ".join(ENGLISH.request(explained, is_auto=False))
    assert 'auto would take it for tcrp-json: the payload is JSON with "username"' in text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (frame(b"den", 1, 0, b"alice"), "H32(3, 1, 0, 5) «den» «alice»"),
        (frame(b"", 1, 1, b"\0"), "H32(0, 1, 1, 1) 00"),
        (Header(3, 1, 1, 5).serialize(), "H32(3, 1, 1, 5)"),
        (b"['den']", "«['den']»"),
        (b"\xff\x00", "ff 00"),
    ],
)
def test_frames_are_written_as_in_the_document(raw: bytes, text: str) -> None:
    assert notation(raw) == text


def test_what_can_not_be_shown_is_escaped() -> None:
    assert quoted(b"a\x1b[2J\xff") == "«a\\x1b[2J\\xff»"


@given(
    st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" \n"), max_size=200), st.integers(2, 200)
)
def test_folding_loses_nothing_but_spaces_at_the_breaks(text: str, width: int) -> None:
    lines = fold(text, width)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("environment", "encoding", "language"),
    [
        ({}, "utf-8", "en"),
        ({"LANG": "ja_JP.UTF-8"}, "utf-8", "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "utf-8", "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ja_JP", "LANG": "en_US"}, "utf-8", "ja"),
        ({"LANG": "ja_JP"}, "ascii", "en"),
        ({"LANG": "ja_JP"}, "cp932", "ja"),
        ({"LANG": "ja_JP"}, "no such encoding", "en"),
    ],
)
def test_the_language_is_the_locales_if_the_output_has_its_characters(
    environment: dict[str, str], encoding: str, language: str
) -> None:
    assert choose_language(environment, encoding) == language


def test_quotation_marks_are_ascii_where_the_output_has_no_others() -> None:
    assert in_encoding("«den…»", "utf-8") == "«den…»"
    assert in_encoding("«den…»", "ascii") == '"den..."'
