"""What was said during a pause of the broker comes at a pace that a client with a socket of default size can follow."""

import contextlib
import socket
import time

import pytest

from scenarios.cluster import Broker
from tests.support.legacy.plain import Tcrp
from tests.support.services import Gateway

MESSAGES, PAUSE_S = 2_000, 5.0
PATIENCE_S = 60.0


@pytest.mark.slow
def test_a_client_receives_all_that_was_said_while_the_broker_stood_still() -> None:
    with (
        Broker() as broker,
        Gateway(broker=broker, dialects=["tcrp"]) as gateway,
        Tcrp("alice", gateway.door("tcrp")) as alice,
        Tcrp("bob", gateway.door("tcrp")) as bob,
    ):
        assert alice.create("den").token
        assert bob.join("den").token
        for one in (alice, bob):
            one.say("here")
        assert len(_receive(bob, 1)) == 1
        broker.freeze()
        begun = time.monotonic()
        for number in range(MESSAGES):
            alice.say(f"line {number}")
            if (ahead_s := PAUSE_S * number / MESSAGES - (time.monotonic() - begun)) > 0.01:
                time.sleep(ahead_s)
        broker.resume()
        texts = [raw.decode().rpartition("line ")[2] for raw in _receive(bob, MESSAGES)]
    assert texts == [str(number) for number in range(MESSAGES)]


def _receive(client: Tcrp, count: int) -> list[bytes]:
    """Return the next datagrams, fewer if no more come; each takes as long as in a client that shows them."""
    sock, received = client._bind(), list[bytes]()
    sock.settimeout(PATIENCE_S if count == 1 else 3.0)
    with contextlib.suppress(socket.timeout):
        while len(received) < count:
            received.append(sock.recv(4096))
            time.sleep(0.00005)
    return received
