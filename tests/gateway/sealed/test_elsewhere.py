"""gateway/sealed/elsewhere.py, alone and in a whole gateway without I/O."""

import os

from gateway.chat.receive import LATE_S
from gateway.sealed.elsewhere import CONNECTION, MUTE_S, OPENED, OPENED_S, SOURCES, VAIN, VAIN_S, Elsewhere
from tests.gateway.sealed.people import People
from tests.gateway.sealed.test_attacks import ATTACKER, sealed
from tests.gateway.sealed.test_lives import check, start


def flood(elsewhere: Elsewhere, source: bytes, now: float) -> int:
    """Send packets in vain until the source is ignored; return how many these were."""
    count = 0
    while not elsewhere.is_muted(source, now):
        elsewhere.in_vain(source, now)
        count += 1
    return count


def test_few_packets_of_a_session_are_opened_a_second() -> None:
    elsewhere = Elsewhere()
    assert [elsewhere.may_open(b"one", b"", 1.0) for _ in range(50)].count(True) == OPENED
    assert elsewhere.may_open(b"another", b"", 1.0)
    assert [elsewhere.may_open(b"one", b"", 2.0) for _ in range(50)].count(True) == OPENED_S
    assert [elsewhere.may_open(b"one", b"by TCP", 2.0) for _ in range(50)].count(True) == CONNECTION


def test_a_source_is_ignored_for_a_moment_after_too_many_packets_in_vain() -> None:
    elsewhere = Elsewhere()
    assert flood(elsewhere, b"source", 1.0) == VAIN + 1
    assert not elsewhere.is_muted(b"another", 1.0)
    assert elsewhere.is_muted(b"source", 1.0 + 0.9 * MUTE_S)
    assert not elsewhere.is_muted(b"source", 1.0 + MUTE_S)
    assert flood(elsewhere, b"source", 1.0 + MUTE_S) == VAIN_S * MUTE_S + 1


def test_no_more_than_so_many_sources_are_remembered() -> None:
    elsewhere = Elsewhere()
    sources = [number.to_bytes(16, "big") for number in range(SOURCES + 1)]
    for source in sources:
        flood(elsewhere, source, 1.0)
    known = [elsewhere.is_muted(source, 1.0) for source in sources]
    assert SOURCES * 0.95 < sum(known) <= SOURCES
    assert known == sorted(known), "the first ones are forgotten"
    assert max(len(elsewhere._muted), len(elsewhere._vain)) <= SOURCES


def test_nothing_is_remembered_of_clients_that_rest() -> None:
    people = start(15, nodes=1)
    people.gather("alice")
    resuming = people.world.nodes[0].gateway.core.sealed.resuming
    assert len(resuming._elsewhere._opened) == len(resuming._counts) == 1
    people.run(20.0)
    assert len(resuming._elsewhere._opened) == len(resuming._elsewhere._vain) == len(resuming._counts) == 0


def made_up(people: People, source: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """Return packets with sessions that this service has not made."""
    return [(people.wire[0][:5] + os.urandom(9) + people.wire[0][14:], source) for _ in range(count)]


def test_a_source_that_floods_is_ignored_unless_a_run_is_served_there() -> None:
    people = start(14, nodes=1)
    node = people.world.nodes[0]
    alice, bob = people.gather("alice", "bob")
    gateway, dropped = node.gateway, node.gateway.counters.sealed_dropped
    for source in (ATTACKER, alice.address):
        unknown, limited = dropped["unknown"], dropped["limited"]
        gateway.core.handle_datagrams(0, made_up(people, source, 1_000), people.world.now)
        assert (dropped["unknown"] - unknown, dropped["limited"] - limited) == (VAIN + 1, 1_000 - VAIN - 1)
        # Also a packet that would open.
        elsewhere = [(data, source) for data, _ in sealed(bob, b'{"ping": 1}')]
        sent = len(gateway.outbound.sent)
        gateway.core.handle_datagrams(0, elsewhere, people.world.now)
        assert len(gateway.outbound.sent) == sent
        assert dropped["limited"] - limited == 1_000 - VAIN
    # An attacker has sent as if from Alice's address.
    opened = gateway.counters.sealed_opened
    gateway.core.handle_datagrams(0, sealed(alice, b'{"ping": 1}'), people.world.now)
    assert gateway.counters.sealed_opened == opened + 1
    people.say(alice, "still here")
    people.settle()
    check(people.world, people, [alice, bob])


def test_a_client_comes_to_an_address_from_which_an_attacker_seems_to_flood() -> None:
    people = start(15, nodes=1)
    node = people.world.nodes[0]
    alice, bob = people.gather("alice", "bob")
    people.move(alice)
    node.gateway.core.handle_datagrams(0, made_up(people, alice.address, 1_000), people.world.now)
    people.say(bob, "is it you?")
    people.say(alice, "it is")
    people.settle()
    check(people.world, people, [alice, bob])


def test_a_gateway_that_is_behind_passes_over_what_its_clients_repeat() -> None:
    people = start(16, nodes=1)
    node = people.world.nodes[0]
    (alice,) = people.gather("alice")
    gateway, now = node.gateway, people.world.now
    counters = gateway.counters
    opened, unknown = counters.sealed_opened, counters.unknown_tokens
    late = [*sealed(alice, b'{"ping": 1}'), (b"\3\5denTOKENhello", ATTACKER)]
    gateway.core.handle_datagrams(0, late, now, LATE_S)
    assert (counters.sealed_dropped["late"], counters.sealed_opened) == (1, opened)
    assert counters.unknown_tokens == unknown + 1  # version 1 repeats nothing
    gateway.core.handle_datagrams(0, sealed(alice, b'{"ping": 1}'), now, 0.9 * LATE_S)
    assert counters.sealed_opened == opened + 1
    people.say(alice, "still here")
    people.settle()
    check(people.world, people, [alice])


def test_a_packet_that_was_kept_back_is_not_answered() -> None:
    """Else an attacker who has kept some could have a session resume whenever it likes."""
    people = start(16, nodes=1)
    node = people.world.nodes[0]
    (alice,) = people.gather("alice")
    kept_back = sealed(alice, b'{"ping": 1}')
    people.move(alice)
    people.say(alice, "from elsewhere")
    people.settle()
    sent = len(node.gateway.outbound.sent)
    node.gateway.core.handle_datagrams(0, kept_back, people.world.now)
    assert len(node.gateway.outbound.sent) == sent
