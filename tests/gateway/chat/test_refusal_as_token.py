"""gateway/chat/refusal_as_token.py, in a whole gateway without I/O."""

import pytest

from gateway.chat.refusal_as_token import EXIT_ADDRESSES, EXITS, EXITS_S
from gateway.listeners import sockaddr
from tests.gateway.chat.scripting import ALICE, BOB, send
from tests.support.fakes import ScriptedGateway, address_of
from tsudoi.protocol.backbone import Resume
from tsudoi.protocol.client.handshake import REASONS


def refused(
    room: str = "den", words: str = "ERROR: Room does not exist", text: str = "", *, chars: bool = False
) -> bytes:
    name = room.encode()
    return bytes((len(room) if chars else len(name), len(words))) + name + words.encode() + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        refused(),
        refused(text="bob: hello"),
        refused("部屋1"),
        refused("部屋1", chars=True),
        refused("部屋1", text="bob: hello there, how are you all", chars=True),
        refused(words="ERROR: Busy, try again"),
        refused(words="ERROR: Bad request: user name is longer than 255 bytes"),
    ],
)
def test_a_seed_client_with_a_refusal_for_its_token_is_told_to_end(gateway: ScriptedGateway, data: bytes) -> None:
    send(gateway, data, BOB, listener=0)
    *why, end = gateway.outbound.sent
    assert end == (0, BOB, b"exit!")
    assert len(why) == 1
    assert why[0][:2] == (0, BOB)
    assert why[0][2].removeprefix(b"ERROR: ").decode() in REASONS.values()
    assert why[0][2] in data
    assert gateway.counters.exit_answers == 1
    assert gateway.asked(Resume) == []


@pytest.mark.parametrize("data", [refused(words="ERROR: buy at example.org"), refused("d"), refused(words="ERROR: ")])
def test_an_exit_answer_repeats_only_our_own_refusals_and_is_no_longer_than_the_datagram(
    gateway: ScriptedGateway, data: bytes
) -> None:
    send(gateway, data, BOB, listener=0)
    assert gateway.outbound.sent == [(0, BOB, b"exit!")]
    assert gateway.counters.exit_answers == 1


def test_an_address_is_told_to_exit_once_a_second(gateway: ScriptedGateway) -> None:
    for _ in range(5):
        send(gateway, refused(), ALICE)
        send(gateway, refused(), BOB)
    assert [address for _, address, _ in gateway.outbound.sent] == [ALICE, ALICE, BOB, BOB]
    gateway.now += 0.99
    send(gateway, refused(), ALICE)
    assert len(gateway.outbound.sent) == 4
    gateway.now += 0.02
    send(gateway, refused(), ALICE)
    assert len(gateway.outbound.sent) == 6


def test_no_answer_is_larger_than_what_it_answers(gateway: ScriptedGateway) -> None:
    for size in range(2, 60):
        for number, words in enumerate(("x" * size, "Busy, try again" + "x" * size)):
            data = refused("d", "ERROR: " + words)[:size]
            gateway.outbound.sent.clear()
            send(gateway, data, address_of(100 * number + size))
            assert sum(len(payload) for _, _, payload in gateway.outbound.sent) <= len(data)


def test_how_many_addresses_are_remembered_for_that_is_bounded(gateway: ScriptedGateway) -> None:
    for number in range(EXIT_ADDRESSES + 10):
        send(gateway, refused(), sockaddr.pack("127.0.0.1", 1 + number % 60_000))
    assert gateway.counters.exit_answers == EXIT_ADDRESSES + 10
    send(gateway, refused(), sockaddr.pack("127.0.0.1", EXIT_ADDRESSES + 10))
    assert gateway.counters.exit_answers == EXIT_ADDRESSES + 10


def test_many_ports_of_one_address_share_a_limit(gateway: ScriptedGateway) -> None:
    for port in range(1, 1_000):
        send(gateway, refused(), sockaddr.pack("192.0.2.1", port))
    assert gateway.counters.exit_answers == EXITS
    gateway.now += 1.0
    for port in range(1_000, 1_010):
        send(gateway, refused(), sockaddr.pack("192.0.2.1", port))
    assert gateway.counters.exit_answers == EXITS + EXITS_S
