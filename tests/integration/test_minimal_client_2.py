"""Run docs/minimal_client_2.py as a person does, and through a relay that loses a tenth of all datagrams."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.integration.conftest import NewRoom
from tests.support.services import Gateway
from tests.support.typist import Start, they_chat, two_in, typists
from tests.support.udp_relay import UdpFaults, relay_process

PROGRAM = Path(__file__).resolve().parents[2] / "docs" / "minimal_client_2.py"


@pytest.fixture
def start(gateway: Gateway) -> Iterator[Start]:
    tcp, udp = gateway.listener("auto")
    with typists(PROGRAM, f"127.0.0.1:{tcp[1]}:{udp[1]}") as start:
        yield start


@pytest.fixture
def start_far_away(gateway: Gateway) -> Iterator[Start]:
    """The same, behind a bad network."""
    tcp, udp = gateway.listener("auto")
    with (
        relay_process(udp, UdpFaults(drop=0.1, double=0.1, delay=1.0, delay_s=0.02)) as port,
        typists(PROGRAM, f"127.0.0.1:{tcp[1]}:{port}") as start,
    ):
        yield start


def test_it_has_fewer_than_150_lines() -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) < 150


def test_two_of_them_chat(start: Start, new_room: NewRoom) -> None:
    _, bob = they_chat(start, new_room("部屋"))
    bob.types("/who")
    bob.reads_what_begins("  | アリス (host), silent for ")
    bob.presses_ctrl_d()
    assert bob.ends() == 0
    assert not bob.complaint


def test_each_line_comes_once_and_in_order_through_ten_percent_loss_both_ways(
    start_far_away: Start, new_room: NewRoom
) -> None:
    alice, bob = two_in(start_far_away, new_room("far"))
    for number in range(30):
        alice.types(f"a{number}")
        bob.types(f"b{number}")
    alice.reads("bob: b29")
    bob.reads("alice: a29")
    assert [line for line in bob.lines if line.startswith("alice: ")] == [f"alice: a{number}" for number in range(30)]
    assert [line for line in alice.lines if line.startswith("bob: ")] == [f"bob: b{number}" for number in range(30)]
    assert not alice.complaint + bob.complaint


def test_a_refusal_is_told(start: Start, new_room: NewRoom) -> None:
    bob = start("join", new_room("nowhere"), "bob")
    assert bob.ends() == 1
    assert bob.complaint == "Refused: Room does not exist"


class HandMade:
    """A server by hand, for one client: it grants a session, and gets and sends packets."""

    SESSION = bytes(range(1, 17))

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.settimeout(60.0)
        self.address = f"127.0.0.1:{self.tcp.getsockname()[1]}:{self.udp.getsockname()[1]}"
        self.client: Any = None

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()

    def grant(self) -> None:
        connection = self.tcp.accept()[0]
        with connection, connection.makefile("rb") as sent:
            header = sent.read(32)
            sent.read(header[0] + int.from_bytes(header[3:], "big"))
            granted = {"session": self.SESSION.hex(), "name": "bob", "member": 1, "epoch": 1, "offset": 0}
            payload = json.dumps(granted).encode()
            connection.sendall(bytes((0, 2, 2)) + len(payload).to_bytes(29, "big") + payload)

    def get(self) -> tuple[dict[str, Any], int]:
        """Return the line of a packet, and the packet's count."""
        packet, self.client = self.udp.recvfrom(2048)
        return json.loads(packet[30:]), int.from_bytes(packet[24:30], "big")

    def retry(self, cookie: bytes) -> None:
        self.udp.sendto(b"\0\3" + self.SESSION + cookie + bytes(16), self.client)

    def tell(self, run: bytes, count: int, **line: Any) -> None:
        header = b"\0\1" + self.SESSION + run + count.to_bytes(6, "big")
        self.udp.sendto(header + json.dumps(line).encode(), self.client)


def test_a_retry_that_may_be_late_is_followed_by_a_ping_and_not_by_a_resume() -> None:
    server = HandMade()
    try:
        with typists(PROGRAM, server.address) as start:
            bob = start("join", "den", "bob")
            server.grant()
            asked, count = server.get()
            assert "resume" in asked
            resumed = {"to": count, "state": "complete", "epoch": 1, "offset": 0, "said": 0, "name": "bob"}
            server.tell(b"run001", 1, resumed=resumed)
            server.retry(b"late cookie!")
            since = monotonic()
            # A `resume` that was repeated meanwhile is no answer to it.
            while "ping" not in (line := server.get()[0]):
                assert line["resume"]["cookie"] == ""
            assert monotonic() - since > 0.4
            # The ping is repeated until it is answered; here the server does not serve the session after all.
            assert "ping" in server.get()[0]
            server.retry(b"fresh cookie")
            while "ping" in (line := server.get()[0]):
                pass
            assert line["resume"]["cookie"] == b"fresh cookie".hex()
            assert not bob.complaint
    finally:
        server.close()
