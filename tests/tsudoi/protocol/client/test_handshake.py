"""tsudoi/protocol/client/handshake.py"""

import ast
import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies import TOKENS, dialects, names, requests, texts
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.dialects import (
    CLASSIC,
    DIALECTS,
    TCRP_200,
    TCRP_202,
    TCRP_JSON,
    TCRP_OK,
    TCRP_ROOM,
    TCRP_SINGLE,
    TCRP_SUCCESS,
    TSUDOI,
    TSUDOI_2,
)
from tsudoi.protocol.client.handshake import (
    LIST_LIMIT,
    REASONS,
    Request,
    encode_grant,
    encode_join_list,
    encode_refusal,
    encode_room_list,
    parse_request_untrusted,
    serialize_request,
)
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage

CREATE, JOIN = Operation.CREATE, Operation.JOIN
TOKEN = "0123456789abcdef0123456789abcdef"
FAILURES = [status for status in Status if status is not Status.OK]


def parse(dialect: Dialect, raw: bytes) -> Request:
    """A request's bytes, read."""
    return parse_request_untrusted(dialect, Header.parse_untrusted(raw[:HEADER_SIZE]), raw[HEADER_SIZE:])


def with_payload(payload: bytes) -> tuple[Header, bytes]:
    """Header and body of a request with this payload."""
    return Header(3, CREATE, 0, len(payload)), b"den" + payload


# --- requests -----------------------------------------------------------------------------------------------------


@given(dialects(), requests())
@example(TCRP_OK, (Header(3, 1, 0, 1), b"denx"))
@example(TCRP_OK, (Header(0, 1, 0, 0), b""))
@example(TCRP_OK, (Header(3, 1, 0, 1), b"den\xff\xff"))
def test_any_bytes_are_a_request_or_malformed(dialect: Dialect, request: tuple[Header, bytes]) -> None:
    with contextlib.suppress(MalformedMessage):
        found = parse_request_untrusted(dialect, *request)
        (found.room + found.user + (found.password or "")).encode()
        assert found.port is None or 0 < found.port < 65536
        assert found.password != ""


@given(dialects(), st.sampled_from(Operation), names(), names(), st.none() | names(), st.integers(1, 65535))
def test_a_request_comes_back_as_it_was(
    dialect: Dialect, operation: Operation, room: str, user: str, password: str | None, port: int
) -> None:
    found = parse(dialect, serialize_request(dialect, operation, room, user, password, port))
    assert (found.operation, found.user) == (operation, user)
    assert found.room == ("" if dialect.join_lists_rooms and operation is JOIN else room)
    assert found.password == (password if dialect.password_key else None)
    assert found.port == (port if dialect.port in (PortPlace.PAYLOAD_END, PortPlace.KEY) else None)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda d: d.name)
@given(names(), names(), st.sampled_from(("characters", "room")))
def test_sizes_in_characters_mean_the_same_in_every_dialect(
    dialect: Dialect, room: str, user: str, counts: str
) -> None:
    raw = serialize_request(dialect, CREATE, room, user, port=50000)
    body = raw[HEADER_SIZE:]
    payload = body[len(room.encode()) :]
    size = len(payload)
    if counts == "characters":
        size = len(payload[:-2].decode()) + 2 if dialect.port is PortPlace.PAYLOAD_END else len(payload.decode())
    found = parse_request_untrusted(dialect, Header(len(room), CREATE, 0, size), body)
    assert (found.room, found.user) == (room, user)


@pytest.mark.parametrize("operation", [0, 3, 4, 255])
def test_an_operation_that_is_neither_create_nor_join_is_malformed(operation: int) -> None:
    for dialect in DIALECTS.values():
        with pytest.raises(MalformedMessage, match="neither create"):
            parse_request_untrusted(dialect, Header(3, operation, 0, 5), b"denalice")


@pytest.mark.parametrize("state", [0, 1, 2, 255])
def test_the_state_of_a_request_does_not_matter(state: int) -> None:
    assert parse_request_untrusted(CLASSIC, Header(3, 1, state, 5), b"denalice").user == "alice"


def test_a_classic_join_names_no_room_and_every_other_does() -> None:
    for dialect in DIALECTS.values():
        room = parse(dialect, serialize_request(dialect, JOIN, "den", "bob")).room
        assert room == ("" if dialect is CLASSIC else "den")


NOT_A_REQUEST = (
    *(b"1", b"null", b"true", b"[]", b'"alice"', b"alice", b"", b"{}", b"NaN", b"1e999"),
    *(b'{"username":1}', b'{"username":null}', b'{"username":["a"]}', b'{"username":{}}', b'{"username":"\\ud800"}'),
    *(b'{"username":"alice","password":1}', b'{"username":"alice","password":[]}', b'{"username":"alice"'),
    *(b'{"username":"a"}x', b'\xef\xbb\xbf{"username":"a"}', b'{"username":' + b"9" * 5000 + b"}"),
    *(b'{"username":' * 5000, b"[" * 50_000, b"9" * 60_000),
)


@pytest.mark.parametrize("payload", NOT_A_REQUEST, ids=lambda payload: payload[:30].decode(errors="replace"))
def test_json_that_is_not_what_the_dialect_wants_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_request_untrusted(dataclasses.replace(TCRP_JSON, bare_name=False), *with_payload(payload))


@pytest.mark.parametrize("version", [0, 3, 1.5, "2", None, True, [2], {}])
@pytest.mark.parametrize("dialect", [TSUDOI, TSUDOI_2], ids=lambda dialect: dialect.name)
def test_another_version_is_refused_with_words_and_not_taken_for_version_1(dialect: Dialect, version: object) -> None:
    payload = json.dumps({"tsudoi": version, "name": "alice", "suites": ["plain"]}).encode()
    with pytest.raises(MalformedMessage, match='"tsudoi" is neither the number 1 nor 2'):
        parse_request_untrusted(dialect, *with_payload(payload))


@pytest.mark.parametrize("payload", [b"alice", "アリス".encode(), b'"alice"', b"[alice]", b"1", b" alice"])
def test_a_bare_name_is_taken_where_the_dialect_has_it(payload: bytes) -> None:
    found = parse_request_untrusted(TCRP_JSON, *with_payload(payload))
    assert (found.user, found.password, found.port) == (payload.decode(), None, None)


@pytest.mark.parametrize(
    "payload", [b"{}", b' {"username":1}', b"{alice", b"\xff", b'\xef\xbb\xbf{"username":"alice"}']
)
def test_what_begins_as_an_object_is_no_bare_name(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_request_untrusted(TCRP_JSON, *with_payload(payload))


@pytest.mark.parametrize("payload", [b"1", b"null", b"{}", b'["alice"]', b"alice", b'"alice', b'"\\udc00"', b""])
def test_of_json_only_a_string_is_a_tcrp_success_request(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_request_untrusted(TCRP_SUCCESS, *with_payload(payload))


@pytest.mark.parametrize(("given_", "meant"), [(None, None), ("", None), (" ", " "), ("ひみつ", "ひみつ")])
def test_no_password_and_an_empty_one_are_the_same(given_: str | None, meant: str | None) -> None:
    payload = json.dumps({"username": "alice", "password": given_}).encode()
    assert parse_request_untrusted(TCRP_JSON, *with_payload(payload)).password == meant


PORTS: list[tuple[Any, int | None]] = [
    (50000, 50000),
    ("50000", 50000),
    (["127.0.0.1", 50000], 50000),
    (["127.0.0.1", "50000"], 50000),
    (1, 1),
    (65535, 65535),
    *((port, None) for port in (0, -1, 65536, 10**30, 5.5, 50000.0, True, False, None, "", "x", "-1", "１", "070000")),
    *((port, None) for port in ([], [50000], ["a", "b", 50000], ["a", True], ["a", None], {}, {"port": 50000})),
]


@pytest.mark.parametrize(("announced", "port"), PORTS, ids=str)
def test_a_port_is_a_number_or_digits_and_else_none(announced: Any, port: int | None) -> None:
    for dialect in (TCRP_SINGLE, TCRP_202):
        payload = json.dumps({dialect.user_key: "alice", dialect.port_key: announced}).encode()
        found = parse_request_untrusted(dialect, *with_payload(payload)).port
        assert (found, type(found)) == (port, type(port))


def test_a_missing_port_is_no_error() -> None:
    assert parse_request_untrusted(TCRP_202, *with_payload(b'{"username":"alice"}')).port is None


def test_a_port_of_0_at_the_payloads_end_is_none() -> None:
    assert parse_request_untrusted(TCRP_OK, *with_payload(b"alice\0\0")).port is None
    assert parse_request_untrusted(TCRP_OK, *with_payload(b"\xc3\x50")) == Request(
        Header(3, 1, 0, 2), CREATE, "den", "", None, 50000
    )


@pytest.mark.parametrize("payload", [b"", b"\xc3"])
def test_a_payload_too_short_for_its_port_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_request_untrusted(TCRP_OK, *with_payload(payload))


# --- answers ------------------------------------------------------------------------------------------------------


def ask(dialect: Dialect, operation: Operation = CREATE, room: str = "den", user: str = "alice") -> Request:
    """A request as this dialect's client would make it."""
    return parse(dialect, serialize_request(dialect, operation, room, user))


@given(dialects(), st.sampled_from(Operation), names(), names(), TOKENS)
def test_a_grant_tells_the_token_and_its_headers_are_true(
    dialect: Dialect, operation: Operation, room: str, user: str, token: str
) -> None:
    request = ask(dialect, operation, room, user)
    frames = encode_grant(dialect, request, room, user, token)
    assert token.encode() in frames[-1]
    assert all(token.encode() not in frame for frame in frames[:-1])
    check_headers(dialect, request.header, frames)


@given(dialects(), requests(), st.sampled_from(FAILURES), texts(40))
def test_a_refusal_of_anything_is_well_formed(
    dialect: Dialect, request: tuple[Header, bytes], status: Status, detail: str
) -> None:
    header, body = request
    room = body[: header.room_size].decode(errors="replace")
    check_headers(dialect, header, encode_refusal(dialect, header, room, status, detail))


def check_headers(dialect: Dialect, request: Header, frames: list[bytes]) -> None:
    """Each frame is a header and what it promises, but for those that the dialect wants otherwise."""
    for frame, replies in zip(frames, zip(dialect.created, dialect.refused, strict=False), strict=False):
        if replies[0].state is None:
            assert 0 < len(frame) <= 255
            frame.decode()
            continue
        header = Header.parse_untrusted(frame[:HEADER_SIZE])
        assert header.operation == request.operation
        if replies[0].header_only:
            assert (header.room_size, header.payload_size) == (request.room_size, request.payload_size)
            assert len(frame) == HEADER_SIZE
        else:
            assert len(frame) == HEADER_SIZE + header.body_size
            frame[HEADER_SIZE : HEADER_SIZE + header.room_size].decode()
            frame[HEADER_SIZE + header.room_size :].decode()


@pytest.mark.parametrize("status", FAILURES)
def test_words_for_a_person_come_with_the_detail(status: Status) -> None:
    (frame,) = encode_refusal(CLASSIC, Header(0, 2, 0, 3), "", status, "it is {token} late")
    assert frame.decode() == f"ERROR: {REASONS[status]}: it is {{token}} late"
    assert encode_refusal(CLASSIC, Header(0, 2, 0, 3), "", status) == [f"ERROR: {REASONS[status]}".encode()]


def test_a_refusal_without_a_header_fits_the_one_recv_of_255_that_reads_it() -> None:
    (frame,) = encode_refusal(CLASSIC, Header(0, 2, 0, 3), "", Status.BAD_REQUEST, "部" * 300)
    assert len(frame) <= 255
    assert ("ERROR: Bad request: " + "部" * 300).startswith(frame.decode())


@pytest.mark.parametrize("room", ["部" * 255, "か\u3099" * 80, "a" + "部" * 100])
def test_a_room_name_too_long_to_repeat_is_cut_between_characters(room: str) -> None:
    for dialect in (TCRP_ROOM, TCRP_OK, TCRP_200):
        for frame in encode_refusal(dialect, Header(255, 1, 0, 5), room, Status.BAD_REQUEST):
            size = frame[0]
            assert 250 < size <= 255
            assert room.startswith(frame[HEADER_SIZE : HEADER_SIZE + size].decode())


# --- lists --------------------------------------------------------------------------------------------------------


@given(st.lists(names(), max_size=30))
@example(["it's", 'the "den"', "'\"", "\\", "a, b", "[x]", "\ufeff", "部屋1"])
@example([])
def test_a_join_list_is_pythons_own(rooms: list[str]) -> None:
    raw = encode_join_list(rooms)
    assert len(raw) <= LIST_LIMIT
    kept = ast.literal_eval(raw.decode())
    assert kept == rooms[len(rooms) - len(kept) :]
    assert raw == str(kept).encode()
    if len(kept) < len(rooms):
        assert len(str(rooms[len(rooms) - len(kept) - 1 :]).encode()) > LIST_LIMIT


def test_a_join_list_keeps_the_newest_rooms_and_all_that_fit() -> None:
    rooms = [f"room{number:04}" for number in range(1000)]
    assert ast.literal_eval(encode_join_list(rooms).decode())[-1] == "room0999"
    # 341 names of 8 characters in quotes, with ", " between them and brackets around: 4092 bytes.
    assert len(encode_join_list(rooms)) == 341 * 12
    exact = ["a" * (LIST_LIMIT - 1998 - 8), "b" * 1998]
    assert len(str(exact)) == LIST_LIMIT
    assert ast.literal_eval(encode_join_list(exact).decode()) == exact


@given(st.lists(names(), max_size=30))
def test_a_rooms_reply_is_a_frame_of_names_and_commas(rooms: list[str]) -> None:
    raw = encode_room_list(rooms)
    payload = raw[HEADER_SIZE:]
    assert Header.parse_untrusted(raw[:HEADER_SIZE]) == Header(0, 2, 1, len(payload))
    assert payload.decode() == ",".join(rooms)
