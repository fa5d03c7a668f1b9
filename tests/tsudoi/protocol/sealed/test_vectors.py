"""The bytes of version 2: tests/vectors/sealed.json. Keys, runs and cookies are fixed there."""

import json

from tests.support.each import each
from tests.tsudoi.protocol.vectors import Vector, data, frames, vectors
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.client.downlink_decoder import Said
from tsudoi.protocol.client.downlink_decoder import parse_down_untrusted as parse_datagram_untrusted
from tsudoi.protocol.client.handshake import Request, encode_grant, parse_request_untrusted
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import recognise
from tsudoi.protocol.sealed.grant import parse_grant_untrusted
from tsudoi.protocol.sealed.lines import Covered, DownLine, SaidLine, parse_down_untrusted
from tsudoi.protocol.sealed.packets import Kind, parse_untrusted, serialize_cookie_header, serialize_header
from tsudoi.protocol.sealed.parts import Parts, divide
from tsudoi.protocol.sealed.suites import check_of, cipher, has_valid_check
from tsudoi.protocol.sealed.tcp_framing import PacketReader, framed


@each(vectors("body"))
def test_a_body(vector: Vector) -> None:
    session, run, body = bytes.fromhex(vector["session"]), bytes.fromhex(vector["run"]), vector["body"].encode()
    key = cipher(vector["suite"], bytes.fromhex(vector["key"]))
    header = serialize_header(Kind.BODY, session, run, vector["count"])
    assert header + key.encrypt(run + vector["count"].to_bytes(6, "big"), body, header) == data(vector)
    packet = parse_untrusted(data(vector))
    assert (packet.kind, packet.session, packet.run, packet.count) == (Kind.BODY, session, run, vector["count"])
    assert key.decrypt(packet.nonce, packet.rest, packet.header) == body


def test_what_looks_like_a_line_is_none_and_an_unknown_array_is_ignored() -> None:
    (body,) = (vector["body"].encode() for name, vector in vectors("body").items() if "look like" in name)
    assert [line for line, _ in parse_down_untrusted(body)] == [
        Covered(44, 47),
        SaidLine(45, "41", 0, 0),
        SaidLine(46, "kept", 7, 9),
        DownLine(n=47, notice="renamed", text="bob is now called resumed."),
    ]
    sender, text = "kept", '{"kept":9}\n[1,2]'
    assert parse_datagram_untrusted(TSUDOI_2, "den", body.split(b"\n")[2]) == Said(sender, text, 46)


def test_messages_in_short() -> None:
    (body,) = (vector["body"].encode() for name, vector in vectors("body").items() if "in short" in name)
    assert [
        parse_datagram_untrusted(TSUDOI_2, "den", raw)
        for line, raw in parse_down_untrusted(body)
        if isinstance(line, SaidLine)
    ] == [
        *(Said("alice", text, n) for n, text in ((48, "やあ"), (49, "集い"), (50, '["hi"]'))),
        *(Said("bob", text, n) for n, text in ((51, "a"), (52, "b"))),
    ]


@each(vectors("parts"))
def test_a_body_in_parts(vector: Vector) -> None:
    key, parts, found = cipher(vector["suite"], bytes.fromhex(vector["key"])), Parts(), []
    made = divide(vector["body"].encode())
    assert len(made) == len(frames(vector)) > 1
    for number, (frame, part) in enumerate(zip(frames(vector), made, strict=True)):
        packet = parse_untrusted(frame)
        assert (packet.kind, packet.count) == (Kind.PART, vector["count"] + number)
        assert key.decrypt(packet.nonce, packet.rest, packet.header) == part
        found.append(parts.add_untrusted(packet.run, packet.count, part))
    assert found == [None] * (len(made) - 1) + [vector["body"].encode()]


@each(vectors("retry", "gone"))
def test_a_packet_without_a_body(vector: Vector) -> None:
    kind, key = Kind[vector["kind"].upper()], bytes.fromhex(vector["check"])
    header = serialize_cookie_header(kind, bytes.fromhex(vector["session"]), bytes.fromhex(vector["cookie"]))
    assert header + check_of(key, header) == data(vector)
    packet = parse_untrusted(data(vector))
    assert (packet.kind, packet.nonce.hex()) == (kind, vector["cookie"])
    assert has_valid_check(key, packet.header, packet.rest)


@each(vectors("over tcp"))
def test_packets_over_tcp(vector: Vector) -> None:
    packets = [bytes.fromhex(packet) for packet in vector["packets"]]
    assert b"".join(map(framed, packets)) == data(vector)
    reader = PacketReader()
    reader.feed(data(vector))
    assert [reader.next_untrusted() for _ in range(len(packets) + 1)] == [*packets, None]


def read(raw: bytes) -> Request:
    header = Header.parse_untrusted(raw[:HEADER_SIZE])
    assert recognise(header, raw[HEADER_SIZE:], False).dialect is TSUDOI_2
    return parse_request_untrusted(TSUDOI_2, header, raw[HEADER_SIZE:])


@each(vectors("sealed request"))
def test_a_request(vector: Vector) -> None:
    request = read(data(vector))
    assert [request.operation, request.room, request.user, request.password, list(request.suites)] == [
        vector[key] for key in ("operation", "room", "user", "password", "suites")
    ]
    assert request.language == vector["language"]


@each(vectors("sealed granted"))
def test_the_answer(vector: Vector) -> None:
    session = vector["session"]
    made = encode_grant(TSUDOI_2, read(bytes.fromhex(vector["request"])), "den", "bob", "", session)
    assert made == frames(vector)
    payload = made[1][HEADER_SIZE:]
    assert json.loads(payload) == session
    grant = parse_grant_untrusted(payload)
    assert (grant.session.hex(), grant.suite, grant.offset) == (session["session"], session["suite"], 2)
