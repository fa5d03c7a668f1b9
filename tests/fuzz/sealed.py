"""Version 2 as it is fuzzed: its bytes at both ends, and a gateway with members whose keys the attacker has."""

import random

from gateway.sealed.keys import SessionKeys
from gateway.sealed.pings import Pings
from gateway.sealed.receive import SealedReceiver
from gateway.sealed.resuming import Resuming
from tests.fuzz.pieces import Pieces
from tests.support.fakes import FakeGateway, ScriptedGateway, a_grant, address_of
from tsudoi.protocol import backbone
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.sealed import lines, packets, parts, suites
from tsudoi.protocol.sealed.client import SealedClient
from tsudoi.protocol.sealed.client_link import Link
from tsudoi.protocol.sealed.grant import Grant, parse_grant_untrusted
from tsudoi.protocol.sealed.packets import NO_RUN, Kind, serialize_header
from tsudoi.protocol.sealed.tcp_framing import PacketReader, framed
from tsudoi.sealed_entry import EnterSealed

KEYS = SessionKeys([bytes(32)])
SESSION = bytes((3, 0, 0)) + bytes(13)
GRANT = Grant(SESSION, "plain", b"", b"", b"", "alice", 1, 1, 1)
STEP_S = 0.05


def codec(data: bytes) -> None:
    """What the codec reads, and a client of the suite `plain`, whose packets anybody can make."""
    choice, rest = data[:1], data[1:]
    match choice[0] % 7 if choice else 0:
        case 0:
            packet = packets.parse_untrusted(rest)
            assert packet.header + packet.rest == rest
            suites.open_untrusted(suites.cipher("aes-128-gcm", bytes(16)).decrypt, packet.nonce, rest, packet.header)
        case 1:
            lines.parse_up_untrusted(rest)
        case 2:
            lines.parse_down_untrusted(rest)
        case 3:
            found = parts.Parts()
            for kind, piece in Pieces(rest).each():
                found.add_untrusted(NO_RUN, kind, piece)
        case 4:
            KEYS.uncover_untrusted(rest, bytes(32))
            parse_grant_untrusted(rest)
        case 6:
            entry = EnterSealed(Operation.JOIN, "den", "alice", None, ("aes-128-gcm", "plain"))
            entry.feed(rest)
            entry.settle()
        case _:
            _client(rest)


def _client(data: bytes) -> None:
    client, now = SealedClient(GRANT, 0.0, random.Random(0)), 0.0
    client.say("hello", now)
    for count, (kind, piece) in enumerate(Pieces(data).each(), 1):
        now += STEP_S
        header = serialize_header(Kind(1 + (kind & 3)), SESSION, bytes((kind >> 6, *bytes(5))), count)
        client.receive(header + piece, now)
        client.tick(now)
        client.datagrams_to_send()
        client.events()


CODEC = (
    packets.parse_untrusted,
    suites.open_untrusted,
    lines.parse_up_untrusted,
    lines.parse_down_untrusted,
    lines._array_untrusted,
    parts.Parts.add_untrusted,
    parse_grant_untrusted,
    SessionKeys.uncover_untrusted,
    SealedClient._receive_untrusted,
    Link.open_untrusted,
    EnterSealed._take_grant_untrusted,
    EnterSealed._take_status_untrusted,
)


def over_tcp(data: bytes) -> None:
    """Packets on a TCP connection, whose bytes come in two pieces."""
    cut = data[0] if data else 0
    reader, found = PacketReader(), []
    for piece in (data[1 : 1 + cut], data[1 + cut :]):
        reader.feed(piece)
        while (packet := reader.next_untrusted()) is not None:
            found.append(packet)
    assert data[1:].startswith(b"".join(map(framed, found)))


OVER_TCP = (PacketReader.next_untrusted,)


def gateway(data: bytes) -> None:
    """A gateway with two members of version 2, whose clients send any bodies, and one of `classic`."""
    told = ScriptedGateway()
    told.enter(1, "classic", address=address_of(1))
    sessions = []
    for number in (2, 3):
        session = KEYS.new("plain", 0, 0)
        token = FakeGateway.keys.token(session).encode()
        member = told.core.enter(a_grant(number, "tsudoi-2"), token, told.now)
        told.core.link_session(member, session)
        assert member.sealed is not None
        member.sealed.bind(0, address_of(number), 1)
        told.core.streams.attach(member, member.sealed, told.now)
        told.core.streams.begin(member, 1, told.now)
        sessions.append(member.sealed)
    for count, (kind, part) in enumerate(Pieces(data).each(), 1):
        link = sessions[kind >> 3 & 1]
        header = serialize_header(Kind(1 + (kind >> 4 & 1)), link.session, link.run, count)
        match kind & 7:
            case 0 | 1 | 2 | 3:
                told.core.handle_datagrams(0, [(header + part, link.address)], told.now)
            case 4:
                told.core.handle_datagrams(0, [(header[:18] + part, address_of(9))], told.now)
            case 5:
                told.core.handle_datagrams(0, [(b"\0" + part, address_of(9))], told.now)
            case 6:
                told.core.handle_news("inproc://broker", backbone.room_topic(1) + part, told.now)
            case _:
                told.wait((kind >> 3) * STEP_S)
                told.repeat(told.now)
        told.listen()
    assert all(len(payload) <= 1_200 for _, address, payload in told.outbound.sent if payload[:1] == b"\0")


GATEWAY = (
    Pings.handle_untrusted,
    SealedReceiver.handle_untrusted,
    SealedReceiver._open_untrusted,
    Resuming.handle_untrusted,
    Resuming._open_untrusted,
)
