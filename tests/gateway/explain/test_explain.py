"""gateway/explain/explain.py, fields.py and redaction.py: any bytes are explained, each byte once"""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.explain.datagram_hints import Known
from gateway.explain.explain import Explanation, explain_datagram, explain_down, explain_reply, explain_request
from gateway.explain.fields import Part
from gateway.explain.mistakes import Mistake
from gateway.explain.opening import Opening
from gateway.explain.redaction import redacted, secret_spans
from tests.gateway.explain.mistakes_made import TOKEN, request
from tests.support.strategies import requests
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TCRP, TCRP_202, TCRP_JSON, TCRP_OK, TSUDOI
from tsudoi.protocol.client.handshake import encode_grant, parse_request_untrusted
from tsudoi.protocol.client.header import HEADER_SIZE, Header, frame
from tsudoi.protocol.client.recognise import AUTO

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
RAW_TOKEN = TOKEN.encode()


def whose(token: bytes) -> Known | None:
    return Known("部屋1".encode(), TCRP, b"alice") if token == RAW_TOKEN else None


def covers_each_byte_once(explanation: Explanation) -> None:
    at = 0
    for each in explanation.fields:
        assert each.begin == at < each.end
        at = each.end
    assert at == len(explanation.data)
    spans = explanation.hidden
    assert all(0 <= begin < end <= len(explanation.data) for begin, end in spans)
    assert all(one[1] < other[0] for one, other in pairwise(spans))
    for found in explanation.hints:
        assert found.text("en") != found.text("ja")


def any_opening() -> st.SearchStrategy[bytes]:
    return st.binary(max_size=80) | requests().map(lambda each: each[0].serialize() + each[1])


@given(any_opening(), st.sampled_from([AUTO, *DIALECTS]))
@example(request(TCRP_OK), "tcrp-ok")
@example(frame(b"", 2, 0, b""), AUTO)
def test_any_opening_is_explained_and_covered(data: bytes, listener: str) -> None:
    for dialect in (None, DIALECTS.get(listener)):
        covers_each_byte_once(explain_request(Opening(data, listener, dialect)))


@given(st.binary(max_size=80), st.sampled_from(list(DIALECTS.values())))
def test_any_frame_and_any_datagram_down_is_covered(data: bytes, dialect: Dialect) -> None:
    covers_each_byte_once(explain_reply(data, dialect))
    covers_each_byte_once(explain_down(data, dialect))


@given(
    st.binary(max_size=80)
    | st.builds(lambda head, tail: head + RAW_TOKEN + tail, st.binary(max_size=12), st.binary(max_size=12))
    | st.builds(lambda text: serialize("部屋1", TOKEN, text), st.text(max_size=9))
)
@example(serialize("den", TOKEN, "") + b"y" * 5_000)
def test_any_datagram_is_explained_and_covered(data: bytes) -> None:
    explanation = explain_datagram(data, whose, (RAW_TOKEN,))
    covers_each_byte_once(explanation)
    shown = bytearray(data)
    for begin, end in explanation.hidden:
        shown[begin:end] = b"?" * (end - begin)
    assert RAW_TOKEN not in shown
    assert bytes.fromhex(TOKEN) not in shown


@EACH
@pytest.mark.parametrize("room", ["den", "部屋1"])
def test_a_request_is_divided_as_its_dialect_reads_it(dialect: Dialect, room: str) -> None:
    data = request(dialect, room, "アリス")
    fields = {each.part: data[each.begin : each.end] for each in explain_request(Opening(data, AUTO, dialect)).fields}
    assert fields[Part.ROOM].decode() == room
    assert "アリス" in fields[Part.PAYLOAD].decode() or b"\\u" in fields[Part.PAYLOAD]
    assert (Part.PORT in fields) == (dialect is TCRP_OK)


def test_each_dialect_says_what_it_makes_of_a_request() -> None:
    explained = explain_request(Opening(request(TCRP_JSON), AUTO))
    assert explained.auto is not None
    assert explained.auto.dialect is TCRP_JSON
    readings = {each.dialect.name: each for each in explained.readings}
    assert readings.keys() == DIALECTS.keys()
    granted = readings["tcrp-json"].request
    assert granted is not None
    assert (granted.room, granted.user, granted.password) == ("den", "alice", "moonlight")
    assert readings["tsudoi"].request is None
    assert readings["tsudoi"].error == '"name" is not a string'
    assert readings["tsudoi"].replies[0][HEADER_SIZE:] == (
        b'{"status":4,"message":"Bad request: \\"name\\" is not a string"}'
    )


@EACH
def test_the_replies_of_a_dialect_are_divided(dialect: Dialect) -> None:
    data = request(dialect)
    asked = parse_request_untrusted(dialect, Header.parse_untrusted(data[:HEADER_SIZE]), data[HEADER_SIZE:])
    frames = encode_grant(dialect, asked, "den", "alice", TOKEN)
    for raw, reply in zip(frames, dialect.created, strict=True):
        parts = [each.part for each in explain_reply(raw, dialect).fields]
        assert (Part.STATE in parts) == (reply.state is not None)
        assert (Part.STATUS in parts) == reply.status_byte
        assert (Part.ROOM in parts) == reply.room
    assert explain_reply(frames[-1], dialect).hidden


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [TCRP_JSON, TSUDOI, TCRP_202], ids=lambda dialect: dialect.name)
def test_a_password_is_hidden_wherever_the_request_breaks_off(dialect: Dialect) -> None:
    data = request(dialect)
    for end in range(len(data) + 1):
        shown = bytearray(data[:end])
        for begin, until in secret_spans(data[:end]):
            shown[begin:until] = b"?" * (until - begin)
        assert b"m" not in shown[data.index(b"moonlight") :]


def test_words_hide_what_looks_secret() -> None:
    assert redacted(f"a {TOKEN} b") == "a … b"
    assert redacted('{"password": "moonlight", "a": 1}') == '{"password": "…", "a": 1}'
    assert redacted("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.x says") == "… says"
    assert redacted("部屋1") == "部屋1"


@pytest.mark.parametrize("secret", ["pass", "pw ", "passwd = ", "/password ", "0123456789abcdef", "eyJ."])
def test_secrets_are_looked_for_in_one_pass(secret: str) -> None:
    many = (secret * 65_536)[:65_536].encode()
    begin = time.process_time()
    secret_spans(many)
    assert time.process_time() - begin < 3  # for each beginning to the end, it takes a minute


def test_a_classic_refusal_is_no_token() -> None:
    data = request(CLASSIC)[:HEADER_SIZE] + b"\xff\xfeden"
    explained = explain_request(Opening(data + b"xxx", AUTO, CLASSIC))
    assert explained.hints[0].mistake in (Mistake.NOT_UTF8, Mistake.NOT_UTF8_BUT)
    assert [each.error for each in explained.readings if each.dialect is CLASSIC] == [
        "room and payload are not UTF-8 at the sizes that the header gives"
    ]


def test_a_tls_handshake_is_not_divided_as_a_request() -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    for size in (2, 11, len(hello)):
        explained = explain_request(Opening(hello[:size], "auto"))
        assert [(each.begin, each.end, each.part) for each in explained.fields] == [(0, size, Part.TLS)]


def test_a_packet_of_version_2_is_divided() -> None:
    packet = bytes((0, 1, 1)) + b"s" * 15 + b"r" * 6 + (7).to_bytes(6, "big") + b"sealed"
    found = explain_datagram(packet, lambda token: None)
    assert [(field.part, field.end - field.begin) for field in found.fields] == [
        (Part.MARK, 1),
        (Part.KIND, 1),
        (Part.SESSION, 16),
        (Part.RUN, 6),
        (Part.COUNT, 6),
        (Part.SEALED, 6),
    ]
    assert [field.number for field in found.fields if field.part is Part.COUNT] == [7]
    assert found.hints == []
