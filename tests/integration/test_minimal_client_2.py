"""Run docs/minimal_client_2.py as a person does, and through a relay that loses a tenth of all datagrams."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import NewRoom
from tests.support.lossy_relay import LossyRelay
from tests.support.services import Gateway
from tests.support.typist import Start, typists

PROGRAM = Path(__file__).resolve().parents[2] / "docs" / "minimal_client_2.py"


@pytest.fixture
def start(gateway: Gateway) -> Iterator[Start]:
    tcp, udp = gateway.door("auto")
    with typists(PROGRAM, f"127.0.0.1:{tcp[1]}:{udp[1]}") as start:
        yield start


@pytest.fixture
def start_far_away(gateway: Gateway) -> Iterator[Start]:
    """The same, behind a bad network."""
    tcp, udp = gateway.door("auto")
    with (
        LossyRelay(("127.0.0.1", udp[1]), 0.1, doubling=0.1, seed=1) as relay,
        typists(PROGRAM, f"127.0.0.1:{tcp[1]}:{relay.port}") as start,
    ):
        yield start


def test_it_has_fewer_than_150_lines() -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) < 150


def test_two_of_them_chat(start: Start, new_room: NewRoom) -> None:
    room = new_room("部屋")
    alice = start("create", room, "アリス")
    alice.reads(f"You are in {room}, アリス.")
    bob = start("join", room, "bob")
    bob.reads(f"You are in {room}, bob.")
    bob.types("hello\nanybody here?")
    alice.reads("bob: hello")
    alice.reads("bob: anybody here?")
    alice.types("お茶をどうぞ")
    bob.reads("アリス: お茶をどうぞ")
    bob.types("/who")
    bob.reads_what_begins("  | アリス (host), silent for ")
    bob.presses_ctrl_d()
    assert bob.ends() == 0
    assert not bob.complaint


def test_each_line_comes_once_and_in_order_through_ten_percent_loss_both_ways(
    start_far_away: Start, new_room: NewRoom
) -> None:
    room = new_room("far")
    alice = start_far_away("create", room, "alice")
    alice.reads(f"You are in {room}, alice.")
    bob = start_far_away("join", room, "bob")
    bob.reads(f"You are in {room}, bob.")
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
