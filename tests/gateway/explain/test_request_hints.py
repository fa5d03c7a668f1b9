"""gateway/explain/request_hints.py, header_hints.py, json_hints.py, other_protocols.py: each mistake is named"""

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.explain.mistakes import Mistake
from gateway.explain.opening import KEPT, Opening, keep
from gateway.explain.request_hints import request_hints
from gateway.join.account import log_values
from tests.gateway.explain.mistakes_made import IN_THE_HEADER, TOKEN, handshake, request, sizes_off
from tests.support.strategies import payloads, requests
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialect import Dialect, PortPlace, RequestForm
from tsudoi.protocol.client.dialects import (
    CLASSIC,
    DIALECTS,
    TCRP,
    TCRP_202,
    TCRP_JSON,
    TCRP_OK,
    TCRP_ROOM,
    TCRP_SINGLE,
    TCRP_SUCCESS,
    TCRP_TYPED,
    TSUDOI,
)
from tsudoi.protocol.client.header import Header, frame
from tsudoi.protocol.client.recognise import AUTO, Rule
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.names import MAX_NAME_SIZE

CREATE, JOIN = Operation.CREATE, Operation.JOIN
EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
IN_JSON = [each for each in DIALECTS.values() if each.request is RequestForm.JSON_OBJECT]


def hints(listener: str, *segments: bytes) -> list[Mistake]:
    """Return the mistakes that are found in what a client sends."""
    return [each.mistake for each in handshake(listener, *segments).hints]


# --- one mistake each -----------------------------------------------------------------------------------------------


@EACH
def test_a_right_request_has_no_mistake(dialect: Dialect) -> None:
    for operation, room in product((CREATE, JOIN), ("den", "部屋1")):
        assert hints(dialect.name, request(dialect, room, operation=operation)) == []


@EACH
def test_a_mistake_in_the_header_is_named(dialect: Dialect) -> None:
    for mistake, (make, called) in (IN_THE_HEADER | sizes_off(dialect)).items():
        assert hints(dialect.name, make(request(dialect)))[0] is called, mistake


@EACH
def test_each_mistake_gives_a_line_of_its_own(dialect: Dialect) -> None:
    lines: dict[tuple[str, ...], str] = {}
    for mistake, (make, _) in (IN_THE_HEADER | sizes_off(dialect)).items():
        line = log_values(handshake(dialect.name, make(request(dialect))))
        said = tuple(line[key] for key in ("room", "outcome", "hint") if key in line)
        assert lines.setdefault(said, mistake) == mistake


@pytest.mark.parametrize("mistake", [*IN_THE_HEADER, *sizes_off(TCRP)])
def test_it_is_named_on_auto_too(mistake: str) -> None:
    for dialect in (CLASSIC, TCRP_JSON, TSUDOI):
        make, called = (IN_THE_HEADER | sizes_off(dialect))[mistake]
        assert hints(AUTO, make(request(dialect)))[0] is called


@pytest.mark.parametrize("dialect", [TCRP, TCRP_JSON, TCRP_OK, TSUDOI], ids=lambda dialect: dialect.name)
def test_every_wrong_byte_of_a_header_has_a_hint(dialect: Dialect) -> None:
    right = request(dialect)
    small, digits, others = range(16), range(0x2F, 0x3B), range(16, 256, 17)
    for at in (0, 1, 2, 3, 17, 28, 29, 30, 31):
        for byte in {*small, *digits, *others} - {right[at]}:
            account = handshake(dialect.name, right[:at] + bytes((byte,)) + right[at + 1 :])
            if (at, byte) == (1, JOIN):
                assert log_values(account)["operation"] == "join"
            else:
                assert account.hints, (at, byte)


def test_a_size_that_is_wrong_by_one_is_not_taken_for_another_mistake() -> None:
    right = request(TCRP)
    for at, byte, called in (
        (31, 1, Mistake.BYTES_LEFT_OVER),
        (31, 9, Mistake.BYTES_MISSING),
        (0, 0x7B, Mistake.BYTES_MISSING),
    ):
        assert hints("tcrp", right[:at] + bytes((byte,)) + right[at + 1 :])[0] is called
    json_request = request(TCRP_JSON)
    for size in (2, 8, 47):
        assert hints("tcrp-json", json_request[:31] + bytes((size,)) + json_request[32:])[0] is (
            Mistake.SIZE_OF_PAYLOAD_WRONG
        )
    assert hints("tcrp-json", bytes((35,)) + json_request[1:])[0] is Mistake.SIZE_OF_ROOM_WRONG


def test_a_room_too_long_for_its_size_is_named() -> None:
    too_long = request(TCRP_JSON)[32:].replace(b"den", b"d" * 300, 1)
    for size in (300 & 0xFF, 255):
        header = bytes((size, CREATE, 0)) + (len(too_long) - 300).to_bytes(29, "big")
        assert hints("tcrp-json", header + too_long)[0] is Mistake.ROOM_TOO_LONG


def test_a_refusal_by_the_header_alone_is_explained_before_the_body_has_come() -> None:
    for mistake in ("little-endian", "padded behind", "payload size in digits"):
        make, called = IN_THE_HEADER[mistake]
        assert hints(AUTO, make(request(CLASSIC))[:32]) == [called]


@EACH
def test_another_encoding_is_named(dialect: Dialect) -> None:
    for encoding in ("cp932", "euc_jp", "utf-16"):
        room, user = "てすと部屋".encode(encoding), "アリスさん".encode(encoding)
        found = handshake(dialect.name, frame(room, CREATE, 0, user)).hints
        assert (found[0].mistake, found[0].values["encoding"]) == (Mistake.NOT_UTF8_BUT, encoding)


@EACH
def test_utf_16_is_named_though_its_bytes_are_utf_8_too(dialect: Dialect) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        found = handshake(dialect.name, frame("den".encode(encoding), CREATE, 0, "alice".encode(encoding))).hints
        assert (found[0].mistake, found[0].values["encoding"]) == (Mistake.NOT_UTF8_BUT, "utf-16")
        assert Mistake.PADDED_WITH_ZEROS not in [each.mistake for each in found]
        found = handshake(dialect.name, frame(b"den", CREATE, 0, '{"username":"alice"}'.encode(encoding))).hints
        assert (found[0].mistake, found[0].values["encoding"]) == (Mistake.NOT_UTF8_BUT, "utf-16")


@EACH
def test_sizes_in_characters_are_accepted_and_said(dialect: Dialect) -> None:
    raw = request(dialect, "部屋1", "アリス")
    body = raw[32:]
    payload = body[len("部屋1".encode()) :]
    trailer = 2 if dialect.port is PortPlace.PAYLOAD_END else 0
    count = len(payload[: len(payload) - trailer].decode()) + trailer
    assert hints(dialect.name, Header(3, CREATE, 0, count).serialize() + body) == [Mistake.SIZES_IN_CHARACTERS]


@pytest.mark.parametrize(
    ("data", "called"),
    [
        (b"\x16\x03\x01\x02\x00\x01", Mistake.TLS),
        (b"GET / HTTP/1.1\r\nHost: den\r\n\r\n", Mistake.HTTP),
        (b"POST /chat HTTP/1.1\r\n\r\n" + b"x" * 99, Mistake.HTTP),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Mistake.SSH),
        (b"\xff\xfb\x1f\xff\xfd\x03", Mistake.TELNET),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Mistake.PROXY),
        (b"\r\n\r\n\0\r\nQUIT\n\x21", Mistake.PROXY),
        (b"hello\r\n", Mistake.TEXT_WITHOUT_HEADER),
        ("こんにちは、みなさん。お元気ですか".encode(), Mistake.TEXT_WITHOUT_HEADER),
        (b'{"username":"alice","password":"moonlight"}', Mistake.JSON_WITHOUT_HEADER),
        (serialize("den", TOKEN, "hello"), Mistake.DATAGRAM_BY_TCP),
    ],
)
def test_what_is_no_request_is_named(data: bytes, called: Mistake) -> None:
    for listener in (AUTO, *DIALECTS):
        assert hints(listener, data) == [called], listener


# --- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "called", "text"),
    [
        (b"{'username': 'alice'}", Mistake.SINGLE_QUOTES, "json.dumps"),
        (b'\xef\xbb\xbf{"username":"alice"}', Mistake.BYTE_ORDER_MARK, ""),
        (b'{"username":"alice",}', Mistake.NOT_JSON, "byte 20"),
        (b'{"username":"alice" "password":""}', Mistake.NOT_JSON, "byte 20"),
        (b'{"username":alice}', Mistake.NOT_JSON, "byte 12"),
        (b'{"username":"alice"', Mistake.NOT_JSON, "truncated"),
        (b'{"username":None}', Mistake.NOT_JSON, "byte 12"),
        (b'{"username":1}', Mistake.VALUE_NOT_TEXT, '"username"'),
        (b'{"userName":"alice"}', Mistake.KEY_MISSPELT, '"username"'),
        (b'{"nick":"alice","age":1}', Mistake.NO_KNOWN_KEYS, '"nick", "age"'),
        (b'{"name":"alice"}', Mistake.KEY_MISSING, '"tsudoi"'),
        (b'{"username":"alice","password":1}', Mistake.VALUE_NOT_TEXT, '"password"'),
        (b'{"username":"alice","passwd":"moonlight"}', Mistake.KEY_MISSPELT, '"password"'),
        (b'{"user_name":"alice","udp_port":"x"}', Mistake.PORT_IGNORED, '"udp_port"'),
        (b'{"user_name":"alice","user_address":0}', Mistake.PORT_IGNORED, '"user_address"'),
    ],
)
def test_what_is_wrong_in_an_object_is_named(payload: bytes, called: Mistake, text: str) -> None:
    (found,) = handshake(AUTO, frame(b"den", CREATE, 0, payload)).hints
    assert found.mistake is called
    assert text in found.text()
    assert "moonlight" not in found.text("en") + found.text("ja")


@pytest.mark.parametrize("dialect", IN_JSON, ids=lambda dialect: dialect.name)
def test_a_missing_key_is_named(dialect: Dialect) -> None:
    fields: dict[str, Any] = json.loads(request(dialect)[35:])
    del fields[dialect.user_key]
    found = handshake(dialect.name, frame(b"den", CREATE, 0, json.dumps(fields).encode())).hints
    assert found[0].mistake is Mistake.KEY_MISSING
    assert f'"{dialect.user_key}"' in found[0].text()


@EACH
def test_the_payload_before_the_room_is_named(dialect: Dialect) -> None:
    raw = request(dialect)
    if dialect.request is not RequestForm.PLAIN:
        assert hints(dialect.name, raw[:32] + raw[35:] + raw[32:35])[0] is Mistake.PAYLOAD_FIRST


@pytest.mark.parametrize("dialect", [TCRP_ROOM, TCRP_SINGLE, TCRP_202, TSUDOI, TCRP_SUCCESS])
def test_a_plain_name_where_json_belongs_is_named(dialect: Dialect) -> None:
    assert hints(dialect.name, request(CLASSIC)) == [Mistake.PLAIN_FOR_JSON]


# --- dialects -------------------------------------------------------------------------------------------------------


def test_a_plain_request_on_auto_names_the_dialects_with_the_same_bytes() -> None:
    (found,) = handshake(AUTO, request(TCRP)).hints
    assert found.mistake is Mistake.SAME_BYTES
    assert str(found.values["others"]).startswith("tcrp, tcrp-named, tcrp-200")
    assert "--tcp HOST:PORT=tcrp" in found.text("en")
    assert "--tcp HOST:PORT=tcrp" in found.text("ja")
    (found,) = handshake(AUTO, request(TCRP_TYPED)).hints
    assert (found.mistake, found.values["others"]) == (Mistake.SAME_BYTES, "tcrp-typed")


@EACH
def test_a_listener_of_another_dialect_is_named_with_the_right_one(dialect: Dialect) -> None:
    for other in (TCRP_ROOM, TCRP_SINGLE, TCRP_202, TSUDOI):
        if other is not dialect:
            found = handshake(dialect.name, request(other)).hints
            (names,) = [each.values["other"] for each in found if each.mistake is Mistake.OTHER_DIALECT]
            assert names == other.name


def test_broken_json_at_a_plain_listener_is_named() -> None:
    assert hints("tcrp", frame(b"den", CREATE, 0, b"{'username': 'alice'}")) == [Mistake.JSON_FOR_PLAIN]


def test_a_port_that_its_listener_does_not_take_is_named() -> None:
    assert hints("tcrp", request(TCRP_OK)) == [Mistake.PORT_AT_END]
    assert hints(AUTO, request(TCRP_OK)) == [Mistake.PORT_AT_END]


@pytest.mark.parametrize("listener", [AUTO, "tcrp", "tcrp-ok"])
@pytest.mark.parametrize("name", ["alice", "アリス"])
def test_a_port_in_front_of_the_name_is_named(listener: str, name: str) -> None:
    assert Mistake.PORT_FIRST in hints(listener, frame(b"den", CREATE, 0, (50_000).to_bytes(2, "big") + name.encode()))


@pytest.mark.parametrize("listener", [AUTO, "tcrp", "tcrp-room"])
@pytest.mark.parametrize("payload", [b"\5alice", b"\5alice\x09moonlight", b"\t" + "アリス".encode(), b"\4bob "])
def test_a_size_in_front_of_the_name_is_named(listener: str, payload: bytes) -> None:
    found = handshake(listener, frame(b"den", CREATE, 0, payload)).hints
    assert [each.values["size"] for each in found if each.mistake is Mistake.SIZE_IN_PAYLOAD] == [payload[0]]


@pytest.mark.parametrize("payload", [b"alice", b"\talice", b"\5bob", b"\0", b"\x05bobby\5moon", b" " + b"a" * 32])
def test_a_name_without_its_size_is_no_such_mistake(payload: bytes) -> None:
    assert Mistake.SIZE_IN_PAYLOAD not in hints("tcrp", frame(b"den", CREATE, 0, payload))


@EACH
def test_a_header_that_comes_alone_is_named(dialect: Dialect) -> None:
    assert hints(dialect.name, request(dialect)[:32]) == [Mistake.HEADER_ALONE]
    assert Mistake.BYTES_MISSING in hints(dialect.name, request(dialect)[:34])


def test_a_room_chosen_with_a_header_is_named() -> None:
    join = frame(b"", JOIN, 0, b"bob")
    assert hints("classic", join, b"den") == []
    assert hints("classic", join, frame(b"den", JOIN, 0, b"bob")) == [Mistake.ROOM_HAS_HEADER]


# --- whatever the bytes ---------------------------------------------------------------------------------------------


def openings() -> st.SearchStrategy[Opening]:
    """Anything that a client may send, as anything that it may be read as."""
    raw = st.binary(max_size=80) | requests().map(lambda each: each[0].serialize() + each[1])
    rules = st.none() | st.sampled_from(list(Rule))
    dialects = st.none() | st.sampled_from(list(DIALECTS.values()))
    listeners = st.sampled_from([AUTO, *DIALECTS])
    return st.builds(
        lambda data, listener, dialect, rule, is_all, room: Opening(
            keep(data)[0], listener, dialect, rule, is_all=is_all, room=room, is_cut=keep(data)[1]
        ),
        raw,
        listeners,
        dialects,
        rules,
        st.booleans(),
        st.binary(max_size=40),
    )


@given(openings())
@example(Opening(frame(b"", 1, 0, b"\xff" * 3), "tcrp", TCRP))
def test_any_bytes_are_explained_without_an_error(opening: Opening) -> None:
    for each in request_hints(opening):
        assert each.text("en")
        assert each.text("ja")


@given(payloads())
def test_no_hint_shows_a_password(payload: bytes) -> None:
    secret = b'{"username":"alice","password":"moonlight"'
    for data in (frame(b"den", 1, 0, secret + payload), frame(b"d", 2, 9, secret + payload), secret + payload):
        for listener in (AUTO, "classic", "tcrp-json"):
            line = log_values(handshake(listener, data))
            assert "moonlight" not in str(line)
            assert "alice" not in str(line)


def test_a_long_request_costs_no_look_at_its_body() -> None:
    raw = frame(b"den", CREATE, 0, b'{"' * KEPT)
    assert len(handshake(AUTO, raw).opening.data) == 32
    assert hints(AUTO, raw) == []
    assert MAX_NAME_SIZE < KEPT


def test_each_text_has_the_same_placeholders_in_both_languages() -> None:
    import string

    for mistake in Mistake:
        names = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name}
            for text in (mistake.value.en, mistake.value.ja)
        ]
        assert names[0] == names[1], mistake


def test_fields_are_named_in_the_language_of_the_sentence() -> None:
    (found,) = request_hints(Opening(b"\1\3\0" + request(CLASSIC)[3:], AUTO))
    assert "操作、ルーム名長、状態" in found.text("ja")
    assert "operation, room size, state" in found.text("en")
