"""A member that floods: it is silenced, the others are not, and it is heard again when it has stopped."""

import contextlib
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from scenarios.ports import steady_port
from tests.attacks.watch import Person, enter
from tests.integration.test_health import ask
from tests.support.services import Gateway

PATIENCE_S = 60.0


def counter(port: int, row: str) -> float:
    """A number of /metrics."""
    return next(float(line.split()[-1]) for line in ask(port, "/metrics")[1].splitlines() if line.startswith(row))


def heard(udp: socket.socket) -> bytes:
    return udp.recv(65_536) if select.select((udp,), (), (), 0.05)[0] else b""


def until_it_hears(person: Person, text: str, meanwhile: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while text.encode() not in heard(person.udp):
        assert time.monotonic() < deadline, f"waited in vain for {text}"
        meanwhile()


def test_a_member_that_floods_is_silenced_and_the_others_are_not(tmp_path: Path) -> None:
    port = steady_port()
    http = f"127.0.0.1:{port}"
    flags = ("--http", http, "--rate", "50", "--burst", "10")
    with Gateway(*flags, data=tmp_path) as gateway:
        listener = gateway.listener("auto")
        alice, bob, mallory = (
            Person(listener, "den", name, enter(listener, operation, "den", name))
            for operation, name in ((1, "alice"), (2, "bob"), (2, "mallory"))
        )

        def shout() -> None:
            for _ in range(300):
                with contextlib.suppress(BlockingIOError):
                    mallory.say("spam")

        dropped = 'tsudoi_gateway_dropped_total{reason="silenced"}'
        deadline = time.monotonic() + PATIENCE_S
        while counter(port, dropped) < 1_000:
            assert time.monotonic() < deadline
            shout()
        assert counter(port, 'tsudoi_gateway_dropped_total{reason="kernel_buffer"}') == 0
        assert counter(port, 'tsudoi_gateway_limited_total{what="flood"}') >= 1
        assert gateway.stderr.wait_for(lambda line: "a member floods" in line and "mallory" in line, PATIENCE_S)
        for number in range(5):
            alice.say(f"number {number}")
            until_it_hears(bob, f"number {number}", shout)
        until_it_hears(bob, "sorry", lambda: mallory.say("sorry"))
        for person in (alice, bob, mallory):
            person.udp.close()
