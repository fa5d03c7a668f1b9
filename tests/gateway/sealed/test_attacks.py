"""What attackers send who have read all packets: it has no effect, no answer, and raises nothing."""

import random
from functools import partial
from types import SimpleNamespace

import pytest

from gateway.listeners import sockaddr
from gateway.listeners.flood_filter import FIRST_S, PATIENCE
from gateway.sealed.elsewhere import OPENED
from gateway.sealed.link import SealedLink
from gateway.sealed.numbered import WINDOW
from gateway.sealed.resuming import RESUMES, WINDOW_S
from gateway.settings import Settings
from tests.gateway.sealed.people import People, Person
from tests.gateway.sealed.test_lives import check, start
from tests.support.fakes import FakeGateway, World
from tsudoi.protocol.sealed.packets import Kind
from tsudoi.protocol.sealed.parts import divide
from tsudoi.protocol.sealed.suites import AES_128_GCM

ATTACKER = sockaddr.pack("198.51.100.9", 666)


APART_S = 5.0
"""Between two batches of an attack: by then the limits of what is looked at have recovered, and hide nothing."""


def changed(dice: random.Random, wire: list[bytes]) -> bytes:
    """Return a datagram that neither end has sent just now."""
    packet = bytearray(dice.choice(wire))
    match dice.randrange(8):
        case 0 | 1:
            pass  # a replay
        case 2 | 3:
            packet[dice.randrange(len(packet))] ^= 1 << dice.randrange(8)
        case 4:
            del packet[dice.randrange(len(packet)) :]
        case 5:
            packet += dice.randbytes(dice.randrange(1, 100) if dice.randrange(8) else 2_000)
        case 6:
            at = dice.choice((18, 24))
            packet[at : at + 6] = dice.randbytes(6)  # another run, or another count
        case 7:
            begin = bytes((0, dice.randrange(5))) + packet[2 : dice.choice((2, 18, 24, 30))]
            packet = bytearray(begin + dice.randbytes(dice.randrange(1_200)))
    return bytes(packet)


def attack(count: int) -> None:
    """Send half of so many datagrams to a gateway, and half to its clients: to the functions that the sockets call."""
    people = start(7, nodes=1)
    node, dice = people.world.nodes[0], random.Random(7)
    suites = ("aes-128-gcm", "chacha20-poly1305", "aes-128-gcm")
    everyone = [people.enter(node, "den", f"p{number}", suite) for number, suite in enumerate(suites)]
    people.run_until(lambda: all(person.client.is_resumed for person in everyone))
    for number in range(30):
        people.say(everyone[number % 3], f"line {number}" + "x" * (2_000 if number % 5 == 0 else 0))
        people.run(0.03)
    people.run(2.0)
    assert {packet[1] for packet in people.wire} == {Kind.BODY, Kind.PART}
    assert {packet[1] for packet in people.wire_down} == {Kind.BODY, Kind.PART, Kind.RETRY}
    gateway, addresses, now = node.gateway, list(people.people), people.world.now
    sources = [ATTACKER, *addresses, *addresses]
    before, sent, opened = _state(gateway, everyone), len(gateway.outbound.sent), gateway.counters.sealed_opened
    for number in range(0, count, 100):
        at = now + APART_S * number / 100
        up = [(changed(dice, people.wire), dice.choice(sources)) for _ in range(50)]
        gateway.core.handle_datagrams(0, up, at)
        for _ in range(50):
            person = dice.choice(everyone)
            person.client.receive(changed(dice, people.wire_down), now)
            assert not person.client.datagrams_to_send()
            assert not person.client.events()
    assert len(gateway.outbound.sent) == sent
    assert gateway.counters.sealed_opened == opened
    assert _state(gateway, everyone) == before
    assert gateway.counters.sealed_dropped["limited"] <= count / 1_000
    for person in everyone:
        people.say(person, "still here")
    people.settle()
    check(people.world, people, everyone)


def _state(gateway: FakeGateway, everyone: list[Person]) -> list[object]:
    """Return what a packet changes that is taken."""
    links = [(link.head, link.address, link.count, link.window.highest, link.parts) for link in _links(gateway)]
    members = [(link.member.seen, link.member.cursor, link.member.room.position) for link in _links(gateway)]
    clients = [(person.client.position, person.client._link._run, person.client.deadline) for person in everyone]
    return [links, members, clients, gateway.counters.silenced, gateway.outbound.filter]


def _links(gateway: FakeGateway) -> list[SealedLink]:
    return [member.sealed for member in gateway.members.by_session.values() if member.sealed is not None]


def test_thirty_thousand_packets_of_attackers_do_nothing() -> None:
    attack(30_000)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_ten_million_packets_of_attackers_do_nothing() -> None:
    attack(10_000_000)


def test_a_session_from_the_air_lets_nobody_in() -> None:
    people = start(8, nodes=2)
    there = people.world.nodes[1]
    people.gather("alice")
    # Also at a gateway that does not serve it: the answer is a cookie for the attacker's address, and no longer.
    first = people.wire[0]
    sent = len(there.gateway.outbound.sent)
    there.gateway.core.handle_datagrams(0, [(first, ATTACKER)], people.world.now)
    ((_, address, answer),) = there.gateway.outbound.sent[sent:]
    assert address == ATTACKER
    assert len(answer) < len(first)
    # The attacker has a valid cookie, but can not seal it.
    keys = FakeGateway.keys
    forged = first[:24] + (99).to_bytes(6, "big") + answer[18:30] + bytes(60)
    there.gateway.core.handle_datagrams(0, [(forged, ATTACKER)], people.world.now)
    assert len(there.gateway.outbound.sent) == sent + 1
    assert keys.suite_of(first[2:18]) == AES_128_GCM
    assert keys.token(first[2:18]).encode() not in b"".join(people.wire)


def test_no_nonce_repeats_though_random_bytes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker that can make a client resume, again and again, gets it as many runs as it likes."""
    monkeypatch.setattr("gateway.sealed.link.secrets", SimpleNamespace(token_bytes=bytes))
    people = start(9, nodes=2)
    alice = people.enter(people.world.nodes[0], "den", "alice")
    for number in range(6):
        alice.client.go_to(number % 2, 2, people.world.now)
        people.move(alice)
        people.run_until(lambda: alice.client.is_resumed)
        people.say(alice, "hello")
        people.run(0.6)
    runs = {nonce[20:26] for nonce in people.nonces if nonce.startswith(b"down")}
    assert len(runs) >= 6


def sealed(person: Person, *bodies: bytes) -> list[tuple[bytes, bytes]]:
    """Return packets of a client's run, as it could send them, with its address."""
    link = person.client._link
    packets = []
    for body in bodies:
        link._seal(Kind.BODY, body)
        packets.append((link.out.pop().data, person.address))
    return packets


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"ping": 1}', id="pings"),
        pytest.param(b'{"ping":1}', id="pings as clients write them"),
        pytest.param(b'{"want": [0, 100]}', id="wants"),
        pytest.param(b'{"say": "x", "number": 1}', id="what is kept already"),
        pytest.param(b'{"say": "x", "number": 1000}', id="what waits for lines before it"),
        pytest.param(b'{"resume": {"epoch": 1, "offset": 0, "next": 1, "cookie": "00"}}', id="resumes"),
        pytest.param(b"{}", id="lines of no kind"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_member_that_floods_is_shut_out_by_the_kernel_for_a_while(line: bytes) -> None:
    people = start(10, nodes=1)
    node = people.world.nodes[0]
    alice, mallory = people.gather("alice", "mallory")
    people.say(mallory, "the first")
    people.settle()
    gateway, now = node.gateway, people.world.now
    gateway.core.handle_datagrams(0, sealed(mallory, *[line] * (2 * PATIENCE + 200)), now)
    assert gateway.counters.silenced == 1
    assert gateway.outbound.filter == gateway.core.flooding.filter.program() != []
    people.say(alice, "still here")
    people.run(FIRST_S + 1.0)
    assert not gateway.outbound.filter
    people.say(mallory, "sorry")
    people.settle()
    check(people.world, people, [alice, mallory])


def _is_kept(gateway: FakeGateway, number: int) -> bool:
    (link,) = _links(gateway)
    sender = link.member.sender
    return sender is not None and sender.numbered is not None and sender.numbered.kept >= number


def in_parts(person: Person, number: int) -> list[tuple[bytes, bytes]]:
    """Return a long numbered line as the four packets of its client."""
    parts = divide(b'{"say": "%s", "number": %d}' % (b"x" * 3_600, number))
    assert len(parts) == 4
    packets = []
    for part in parts:
        person.client._link._seal(Kind.PART, part)
        packets.append((person.client._link.out.pop().data, person.address))
    return packets


def test_many_long_lines_are_no_flood_but_parts_without_their_others_are() -> None:
    free = 1e6
    world = World(12, settings=Settings(rate=free, burst=free, address_messages=free, room_rate=free))
    people = People(world)
    node = people.attach(world.start_gateway())
    (alice,) = people.gather("alice")
    gateway, began = node.gateway, world.now
    for first in range(1, PATIENCE, WINDOW):
        for number in range(first, first + WINDOW):
            gateway.core.handle_datagrams(0, in_parts(alice, number), began)  # all at once, for what counts floods
        people.run_until(partial(_is_kept, gateway, first + WINDOW - 1))
    assert gateway.counters.silenced == 0
    for number in range(2_000, 2_000 + PATIENCE):
        gateway.core.handle_datagrams(0, in_parts(alice, number)[1:], world.now)
    assert gateway.counters.silenced == 1


def test_packets_from_elsewhere_shut_no_member_out_and_few_are_opened() -> None:
    people = start(11, nodes=1)
    node = people.world.nodes[0]
    (alice,) = people.gather("alice")
    gateway, now = node.gateway, people.world.now
    packets = [data for data, _ in sealed(alice, *[b'{"ping": 1}'] * 5_000)]
    gateway.core.handle_datagrams(0, [(data + b"x", ATTACKER) for data in packets], now)
    dropped = gateway.counters.sealed_dropped
    assert 0 < dropped["forged"] <= OPENED
    assert dropped["forged"] + dropped["limited"] == len(packets)
    # Made-up sessions take no place among those that are counted.
    ports = [sockaddr.pack("198.51.100.9", port) for port in range(1_000, 6_000)]
    made_up = [(data[:5] + b"made up" + data[12:], port) for data, port in zip(packets, ports, strict=True)]
    gateway.core.handle_datagrams(0, made_up, now)
    assert dropped["unknown"] == len(packets)
    assert gateway.counters.silenced == 0
    assert not gateway.outbound.filter
    people.say(alice, "still here")
    people.settle()
    people.move(alice)
    people.say(alice, "and here")
    people.settle()
    check(people.world, people, [alice])


def test_a_client_returns_by_tcp_through_a_flood_of_its_session() -> None:
    people = start(14, nodes=1)
    gateway, now = people.world.nodes[0].gateway, people.world.now
    (alice,) = people.gather("alice")
    connection, cookie = sockaddr.pack("198.51.100.7", 40_000), ""

    def hear(listener: int) -> list[bytes]:
        """Flood, send a `resume` of the client's, and return what it is answered."""
        flood = [(data + b"x", sockaddr.pack("198.51.100.9", port)) for data, _ in flooding for port in range(100)]
        gateway.core.handle_datagrams(0, flood, now)
        resume = b'{"resume": {"epoch": 1, "offset": 0, "next": 1, "cookie": "%s"}}' % cookie.encode()
        sent = len(gateway.outbound.sent)
        gateway.core.handle_datagrams(listener, [(data, connection) for data, _ in sealed(alice, resume)], now)
        people.world.flush(people.world.nodes[0])
        people.run(0.1)
        return [data for _, address, data in gateway.outbound.sent[sent:] if address == connection]

    flooding = sealed(alice, b'{"ping": 1}')
    assert hear(0) == []
    (retry,) = hear(gateway.core.sealed_sender.carried.listener)
    assert retry[1] == Kind.RETRY
    cookie = retry[18:30].hex()
    assert hear(gateway.core.sealed_sender.carried.listener)[0][1] == Kind.BODY


def test_a_member_that_resumes_all_the_time_is_served_from_time_to_time_and_then_as_before() -> None:
    people = start(9, nodes=1)
    node = people.world.nodes[0]
    alice, bob = people.gather("alice", "bob")
    counters, began = node.gateway.counters, people.world.now
    before = counters.sealed_resumes
    for number in range(300):
        people.move(alice)
        people.run(0.02)
        if number % 10 == 0:
            people.say(bob, f"line {number}")
    lasted_s = people.world.now - began
    assert counters.sealed_resumes - before <= RESUMES * (lasted_s // WINDOW_S + 2)
    assert counters.sealed_dropped["limited"] > 3
    people.say(alice, "still here")
    people.settle()
    check(people.world, people, [alice, bob])
