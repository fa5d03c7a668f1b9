"""An attacker without keys, who has a session's id and packets of its member, against the real service.

What it sends must get no answer, but a *retry* where the document says so, and change nothing for the member.
tests/gateway/sealed/test_attacks.py sends much more of it to the cores alone.
"""

import asyncio
import os
import random
import socket
from collections.abc import Iterator

import pytest

from tests.second_client.conftest import NewRoom
from tests.second_client.probe import Probe
from tests.second_client.session import CREATE, HEAD, RETRY, TAG, Line, enter
from tests.support.services import Gateway

SMALLEST = HEAD + TAG


@pytest.fixture
def attacker(service: Gateway) -> Iterator[socket.socket]:
    """A socket at another address than the member's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.connect(service.udp)
        made.setblocking(False)
        yield made


def goes_on(probe: Probe, said: int = 0) -> None:
    """The member is still served, nothing that it has not sent was answered, and it has said so many lines."""
    probe.send({"ping": 9})
    pong: Line = {}
    while pong.get("pong") != 9:
        packet = probe.packet()
        assert packet is not None
        for pong in probe.opened(packet):
            assert pong.keys().isdisjoint(("retry", "gone", "refused"))
    assert pong["last"] == probe.session.granted["offset"] + said


def test_nothing_that_was_replayed_forged_or_made_up_has_an_answer(probe: Probe, attacker: socket.socket) -> None:
    """Its `resume` with a cookie comes again, too; from its own address and from another."""
    probe.send({"say": "x" * 900, "number": 1})
    probe.until("from")
    dice = random.Random(1)
    cut = [packet[: dice.randrange(len(packet))] for packet in probe.sent]
    flipped = [bytearray(packet) for packet in probe.sent * 20]
    for packet in flipped:
        packet[dice.randrange(len(packet))] ^= 1 << dice.randrange(8)
    noise = [bytes((0, kind)) + name + os.urandom(size) for kind in range(8) for size in range(0, 1200, 100)
             for name in (probe.session.id, probe.session.id[:8], os.urandom(16))]  # fmt: skip
    for datagram in [*probe.sent, *cut, *map(bytes, flipped), *noise]:
        probe.socket.send(datagram)
        attacker.send(datagram)
    goes_on(probe, said=1)
    with pytest.raises(BlockingIOError):
        attacker.recv(4096)


def test_what_the_server_has_not_had_is_answered_with_a_smaller_retry(probe: Probe, attacker: socket.socket) -> None:
    """One that is of no use at the attacker's address."""
    withheld = probe.pack({"ping": 1})
    attacker.send(withheld)
    goes_on(probe)
    answer = attacker.recv(4096)
    assert (answer[1], len(answer)) == (RETRY, SMALLEST)
    assert len(answer) < len(withheld)
    attacker.send(answer)
    goes_on(probe)
    with pytest.raises(BlockingIOError):
        attacker.recv(4096)


def test_cookies_of_another_address(service: Gateway, probe: Probe) -> None:
    """A client's own `resume`, with the cookie that another address of it was given, is a resume without one."""
    with Probe(probe.session, service.udp) as here, Probe(probe.session, service.udp) as there:
        here.count, there.count = 1000, 2000
        here.send({"resume": {"cookie": "", "epoch": 1, "offset": 1, "next": 1}})
        cookie = here.until("retry")["retry"]
        assert list(there.resume(cookie)[0]) == ["retry"]
        here.count = there.count  # a resume is taken only with a higher count than the one before
        assert list(here.resume(cookie)[0]) == ["resumed"]


@pytest.mark.parametrize("suite", ["aes-128-gcm", "plain"])
def test_a_retry_is_smaller_than_what_it_answers(service: Gateway, new_room: NewRoom, suite: str) -> None:
    session = asyncio.run(enter(service.tcp["auto"], CREATE, new_room(), "alice", suites=(suite,)))
    with Probe(session, service.udp) as probe:
        for lines in ([], [{"ping": 7}], [{"ping": 77777777777}]):
            sent = probe.send(*lines)
            answer = probe.packet(0.1)
            assert answer is None or len(answer) < len(sent)
