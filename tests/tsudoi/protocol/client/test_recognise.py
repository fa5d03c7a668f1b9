"""tsudoi/protocol/client/recognise.py"""

import contextlib
import json
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.strategies import names, requests
from tests.test_documents import tables
from tsudoi.protocol.client.dialect import RequestForm
from tsudoi.protocol.client.dialects import (
    CLASSIC,
    DIALECTS,
    TCRP_202,
    TCRP_JSON,
    TCRP_OK,
    TCRP_ROOM,
    TCRP_SINGLE,
    TCRP_SUCCESS,
    TCRP_TWO_SOCKETS,
    TSUDOI,
)
from tsudoi.protocol.client.handshake import is_meant_as_object, parse_request_untrusted, serialize_request
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import AUTO, Rule, asks_for_rooms, recognise
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage

CREATE, JOIN = Operation.CREATE, Operation.JOIN


def ask(operation: int, room: str, payload: bytes, listed_before: bool = False, characters: bool = False) -> str:
    """The name of the dialect that is recognised, sizes counted in bytes or in characters."""
    room_size = len(room) if characters else len(room.encode())
    payload_size = len(payload.decode()) if characters else len(payload)
    header = Header(room_size, operation, 0, payload_size)
    return recognise(header, room.encode() + payload, listed_before).dialect.name


@given(requests(), st.booleans())
def test_any_request_is_recognised_as_some_dialect(request: tuple[Header, bytes], listed_before: bool) -> None:
    assert recognise(*request, listed_before).dialect in DIALECTS.values()


def test_auto_is_no_dialect() -> None:
    assert AUTO not in DIALECTS


JSON_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"user_name": "alice", "user_address": ["127.0.0.1", 50000]}, "tcrp-single"),
    ({"user_name": "alice", "udp_port": 50000}, "tcrp-two-sockets"),
    ({"user_name": "alice", "user_address": 1, "udp_port": 50000}, "tcrp-single"),
    ({"user_name": "alice", "password": None}, "tcrp-room"),
    ({"user_name": "alice"}, "tcrp-room"),
    ({"username": "alice", "ip": "127.0.0.1", "port": 50000, "password": ""}, "tcrp-202"),
    ({"username": "alice", "ip": "127.0.0.1"}, "tcrp-202"),
    ({"username": "alice", "port": 50000}, "tcrp-202"),
    ({"username": "alice", "password": ""}, "tcrp-json"),
    ({"username": "アリス"}, "tcrp-json"),
    ({"tsudoi": 1, "name": "alice", "password": None}, "tsudoi"),
    ({"tsudoi": 1, "username": "alice"}, "tsudoi"),
]


@pytest.mark.parametrize(("value", "dialect"), JSON_ROWS)
def test_a_json_object_is_recognised_by_its_keys(value: dict[str, Any], dialect: str) -> None:
    yes_or_no = (True, False)
    rooms = ("den", "部屋1", "部屋{1}", 'the "den"')
    for operation, room, in_characters, escaped in product((CREATE, JOIN), rooms, yes_or_no, yes_or_no):
        payload = json.dumps(value, ensure_ascii=escaped).encode()
        for listed in yes_or_no:
            assert ask(operation, room, payload, listed_before=listed, characters=in_characters) == dialect


@pytest.mark.parametrize("operation", [CREATE, JOIN])
@pytest.mark.parametrize("room", ["den", "部屋1"])
def test_a_json_string_is_tcrp_success(operation: int, room: str) -> None:
    for escaped in (True, False):
        payload = json.dumps("アリス", ensure_ascii=escaped).encode()
        assert ask(operation, room, payload) == "tcrp-success"
        assert ask(operation, room, payload, characters=True) == "tcrp-success"


@pytest.mark.parametrize("user", ["alice", "アリス", 'say "hi"', "123", "null", "[1]", "a{}", '"', "}", "「{"])
def test_a_plain_name_is_plain_whatever_it_holds(user: str) -> None:
    for room in ("den", "部屋1", 'the "den"', "{}"):
        assert ask(CREATE, room, user.encode()) == "classic"
        assert ask(JOIN, room, user.encode()) == "classic"
        assert ask(CREATE, room, user.encode(), characters=True) == "classic"
        assert ask(JOIN, room, user.encode(), characters=True) == "classic"


@pytest.mark.parametrize("before", ["", " \r\n", "\u3000", "\ufeff", "\ufeff \ufeff"])
@pytest.mark.parametrize(
    "rest", ["", "}", '"a"', '"username":"alice","password":NaN}', "'username': 'alice'}", '"nick":1}']
)
def test_what_begins_as_an_object_is_nobodys_name(before: str, rest: str) -> None:
    payload = f"{before}{{{rest}".encode()
    for operation, room, listed_before in product((CREATE, JOIN), ("den", "部屋1", ""), (False, True)):
        assert ask(operation, room, payload, listed_before) == "tcrp-json"
        assert ask(operation, room, payload + b"\xc3\x50", listed_before) == "tcrp-json"
    for dialect in (TCRP_JSON, TCRP_ROOM, TSUDOI):
        with pytest.raises(MalformedMessage):
            parse_request_untrusted(dialect, Header(3, CREATE, 0, len(payload)), b"den" + payload)


@given(requests(), st.booleans())
def test_an_object_never_becomes_a_name(request: tuple[Header, bytes], listed_before: bool) -> None:
    dialect = recognise(*request, listed_before).dialect
    if dialect in (CLASSIC, TCRP_OK):
        with contextlib.suppress(MalformedMessage):
            assert not parse_request_untrusted(dialect, *request).user.strip().startswith("{")


@pytest.mark.parametrize("port", [b"\xc3\x50", b'""', b"{}", b"[]", b"\0\0", b"#*"])
def test_plain_after_a_room_list_is_tcrp_ok_whatever_its_port(port: bytes) -> None:
    for operation in (CREATE, JOIN):
        assert ask(operation, "den", b"alice" + port, listed_before=True) == "tcrp-ok"
        assert ask(operation, "部屋1", "アリス".encode() + port, listed_before=True) == "tcrp-ok"


@given(names(), names(), st.integers(32_768, 65_535))
@example("den", "alice", int.from_bytes("é".encode(), "big"))
def test_every_port_that_systems_give_out_is_seen_at_a_payloads_end(room: str, user: str, port: int) -> None:
    assume(not is_meant_as_object(user.encode()))
    assert ask(CREATE, room, user.encode() + port.to_bytes(2, "big"), listed_before=True) == "tcrp-ok"


@pytest.mark.parametrize("user", ["alice", "アリス", "bob2", "太郎", "x1", "김철수"])
def test_a_name_that_can_not_end_in_a_port_is_plain_after_a_room_list_too(user: str) -> None:
    assert ask(CREATE, "den", user.encode(), listed_before=True) == "classic"
    assert ask(JOIN, "部屋1", user.encode(), listed_before=True) == "classic"


@pytest.mark.parametrize("listed_before", [True, False])
def test_a_join_without_a_room_is_classic_and_without_anything_the_room_list(listed_before: bool) -> None:
    assert ask(JOIN, "", b"bob", listed_before) == "classic"
    assert ask(JOIN, "", b'"bob"', listed_before) == "classic"
    assert ask(JOIN, "", b"", listed_before) == "tcrp-ok"
    assert ask(JOIN, "den", b"", listed_before) == "classic"
    assert ask(CREATE, "den", b"", listed_before) == "classic"


def test_only_h32_0_2_0_0_asks_for_rooms() -> None:
    assert asks_for_rooms(Header(0, 2, 0, 0))
    assert asks_for_rooms(Header(0, 2, 1, 0))
    assert not any(
        map(asks_for_rooms, (Header(0, 1, 0, 0), Header(1, 2, 0, 0), Header(0, 2, 0, 1), Header(0, 3, 0, 0)))
    )


@pytest.mark.parametrize(
    "dialect",
    [CLASSIC, TCRP_ROOM, TCRP_JSON, TCRP_SUCCESS, TCRP_SINGLE, TCRP_TWO_SOCKETS, TCRP_202, TSUDOI],
    ids=lambda d: d.name,
)
@given(names(), names(), st.sampled_from((CREATE, JOIN)))
def test_what_a_dialects_own_client_sends_is_recognised(
    dialect: Any, room: str, user: str, operation: Operation
) -> None:
    raw = serialize_request(dialect, operation, room, user, port=50000)
    header, body = Header.parse_untrusted(raw[:HEADER_SIZE]), raw[HEADER_SIZE:]
    found = recognise(header, body, False).dialect
    looks_like_json = dialect.request is RequestForm.PLAIN and user[0] in '{"'
    assert found is dialect or looks_like_json
    parse_request_untrusted(dialect, header, body)


@pytest.mark.parametrize("operation", [CREATE, JOIN])
def test_ambiguous_requests_are_classic_to_create_and_to_join(operation: Operation) -> None:
    for dialect in DIALECTS.values():
        if dialect.request is RequestForm.PLAIN and dialect is not TCRP_OK:
            raw = serialize_request(dialect, operation, "den", "alice")
            assert recognise(Header.parse_untrusted(raw[:HEADER_SIZE]), raw[HEADER_SIZE:], False).dialect is CLASSIC


EXAMPLES: dict[Rule, tuple[int, str, bytes, bool, str]] = {
    Rule.ROOM_LIST: (JOIN, "", b"", False, "room list"),
    Rule.TSUDOI: (CREATE, "den", b'{"tsudoi":1,"name":"a"}', False, "tsudoi"),
    Rule.DAMAGED_TSUDOI: (CREATE, "den", b'{"tsudoi":2,"name":"a"', False, "tsudoi"),
    Rule.USER_ADDRESS: (CREATE, "den", b'{"user_name":"a","user_address":1}', False, "tcrp-single"),
    Rule.UDP_PORT: (CREATE, "den", b'{"user_name":"a","udp_port":1}', False, "tcrp-two-sockets"),
    Rule.USER_NAME: (CREATE, "den", b'{"user_name":"a"}', False, "tcrp-room"),
    Rule.PORT_OR_IP: (CREATE, "den", b'{"username":"a","ip":""}', False, "tcrp-202"),
    Rule.USERNAME: (CREATE, "den", b'{"username":"a"}', False, "tcrp-json"),
    Rule.BRACE: (CREATE, "den", b"{'username': 'a'}", False, "tcrp-json"),
    Rule.JOIN_WITHOUT_ROOM: (JOIN, "", b"a", False, "classic"),
    Rule.JSON_STRING: (CREATE, "den", b'"a"', False, "tcrp-success"),
    Rule.ENDS_IN_PORT: (CREATE, "den", b"a\xc3\x50", True, "tcrp-ok"),
    Rule.PLAIN: (CREATE, "den", b"a", False, "classic"),
}
"""Rule → operation, room, payload, whether the address has listed the rooms, the dialect in the document."""


def test_a_damaged_request_of_tsudoi_with_single_quotes_is_refused_in_words() -> None:
    payload = str({"tsudoi": 1, "name": "a"}).encode()
    header = Header(3, CREATE, 0, len(payload))
    assert recognise(header, b"den" + payload, False) == (TSUDOI, Rule.DAMAGED_TSUDOI)


@pytest.mark.parametrize("rule", Rule)
def test_the_reason_is_the_rule_that_found_the_dialect(rule: Rule) -> None:
    operation, room, payload, listed_before, _ = EXAMPLES[rule]
    header = Header(len(room), operation, 0, len(payload))
    assert recognise(header, room.encode() + payload, listed_before).rule is rule


def test_the_rules_are_those_of_the_document_in_its_order() -> None:
    (rows,) = [
        table[2:]
        for table in tables("PROTOCOL.md")
        if table[0] == ["request", "dialect"] and "room list" in table[2][1]
    ]
    for rule, row in zip(Rule, rows, strict=True):
        assert EXAMPLES[rule][-1] in row[1]
