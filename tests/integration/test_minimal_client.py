"""Run docs/minimal_client.py, which docs/clients.md shows, as a person does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Enter, NewRoom
from tests.support.services import Gateway
from tests.support.typist import Start, they_chat, two_in, typists

PROGRAM = Path(__file__).resolve().parents[2] / "docs" / "minimal_client.py"


@pytest.fixture
def start(gateway: Gateway) -> Iterator[Start]:
    tcp, udp = gateway.listener("auto")
    with typists(PROGRAM, f"{tcp[0]}:{tcp[1]}:{udp[1]}") as start:
        yield start


def test_it_has_fewer_than_fifty_lines() -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) < 50


def test_two_of_them_chat(start: Start, new_room: NewRoom) -> None:
    they_chat(start, new_room("部屋"))


@pytest.mark.parametrize("dialect", ["classic", "tcrp-json"])
def test_it_chats_with_clients_of_other_dialects(
    start: Start, client: Enter, gateway: Gateway, new_room: NewRoom, dialect: str
) -> None:
    room = new_room("mixed")
    alice = start("create", room, "alice")
    alice.reads(f"You are in {room}, alice.")
    bob = client(dialect, "bob", gateway)
    bob.join(room)
    bob.say("hello")
    alice.reads("bob: hello")


def test_when_the_host_presses_ctrl_c_the_room_is_closed_and_all_programs_end(start: Start, new_room: NewRoom) -> None:
    alice, bob = two_in(start, new_room("den"))
    bob.types("hello")
    alice.reads("bob: hello")
    alice.presses_ctrl_c()
    bob.reads("ホストのaliceがルームを退出しました．")
    assert [alice.ends(), bob.ends()] == [0, 0]
    assert not alice.complaint
    assert not bob.complaint


def test_a_program_whose_user_types_that_it_leaves_ends(start: Start, new_room: NewRoom) -> None:
    room = new_room("den")
    alice, bob = two_in(start, room)
    bob.types("/leave")
    assert bob.ends() == 0
    start("join", room, "bob").reads(f"You are in {room}, bob.")
    alice.types("/leave")
    assert alice.ends() == 0
    start("create", room, "carol").reads(f"You are in {room}, carol.")


def test_a_guest_who_presses_ctrl_d_has_left(start: Start, new_room: NewRoom) -> None:
    room = new_room("den")
    start("create", room, "alice").reads(f"You are in {room}, alice.")
    bob = start("join", room, "bob")
    bob.reads(f"You are in {room}, bob.")
    bob.presses_ctrl_d()
    assert bob.ends() == 0
    # His name is free again, as soon as his last datagram has overtaken a TCP connection.
    newcomers = (start("join", room, "bob").greeting() for _ in range(10))
    assert f"You are in {room}, bob." in newcomers


def test_a_refusal_is_told(start: Start, new_room: NewRoom) -> None:
    bob = start("join", new_room("nowhere"), "bob")
    assert bob.ends() == 1
    assert bob.complaint == "Refused: Room does not exist"
