"""What was said during a pause of the broker comes at a pace that a client with a socket of default size can follow."""

import time

import pytest

from scenarios.cluster import Broker
from tests.support.legacy.plain import Tcrp
from tests.support.legacy.wire import Address
from tests.support.services import Gateway
from tests.support.udp_relay import drain, new_udp_socket

MESSAGES, PAUSE_S = 2_000, 5.0
PATIENCE_S = 60.0
HOLDS = 270
"""Small datagrams that a socket of default size holds."""
STANDS_STILL_S = 0.05
"""A client of a busy machine may not run for so long."""


@pytest.mark.slow
def test_what_was_said_while_the_broker_stood_still_fits_into_a_socket_that_is_read_now_and_then() -> None:
    """By the kernel's times, not by a reader: this test may not run for longer than the client that it stands for."""
    came: list[tuple[float, str]] = []

    def take(at: float, raw: bytes, _source: Address) -> None:
        came.append((at, raw.decode().rpartition("line ")[2]))

    def receive(count: int) -> None:
        until = time.monotonic() + PATIENCE_S
        while len(came) < count and time.monotonic() < until:
            time.sleep(0.01)
            drain(bob._bind(), take)

    with (
        Broker() as broker,
        Gateway(broker=broker, dialects=["tcrp"]) as gateway,
        Tcrp("alice", gateway.listener("tcrp")) as alice,
        Tcrp("bob", gateway.listener("tcrp")) as bob,
    ):
        bob._udp = new_udp_socket()
        assert alice.create("den").token
        assert bob.join("den").token
        for one in (alice, bob):
            one.say("here")
        receive(1)
        came.clear()
        broker.freeze()
        begun = time.monotonic()
        for number in range(MESSAGES):
            alice.say(f"line {number}")
            if (ahead_s := PAUSE_S * number / MESSAGES - (time.monotonic() - begun)) > 0.01:
                time.sleep(ahead_s)
        broker.resume()
        receive(MESSAGES)
    assert [text for _, text in came] == [str(number) for number in range(MESSAGES)]
    times = [at for at, _ in came]
    # More than a socket holds take longer to come.
    shortest_s = min(later - earlier for earlier, later in zip(times, times[HOLDS:], strict=False))
    assert shortest_s > STANDS_STILL_S
