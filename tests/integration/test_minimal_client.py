"""Run docs/minimal_client.py, which docs/clients.md shows, as a person does."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scenarios.process import Output
from tests.integration.conftest import Enter, NewRoom
from tests.support.legacy.wire import PATIENCE_S
from tests.support.services import Gateway

PROGRAM = Path(__file__).resolve().parents[2] / "docs" / "minimal_client.py"


class Person:
    """The program with somebody who types at it."""

    def __init__(self, gateway: Gateway, command: str, room: str, name: str) -> None:
        tcp, udp = gateway.door("auto")
        # -I and -S: the standard library is there, and nothing else.
        python = [sys.executable, "-I", "-S", "-X", "utf8", str(PROGRAM)]
        self._heard, self._complaints = Output(self._has_ended), Output(self._has_ended)
        self._process = subprocess.Popen(
            [*python, command, room, name, f"{tcp[0]}:{tcp[1]}:{udp[1]}"],
            stdin=subprocess.PIPE,
            stdout=self._heard.fileno(),
            stderr=self._complaints.fileno(),
            encoding="utf-8",
        )

    def types(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def reads(self, line: str) -> None:
        assert self._heard.wait_for(lambda text: text == line, PATIENCE_S), (line, self._heard.text, self.complaint)

    def greeting(self) -> str:
        return self._heard.wait_for(lambda text: True, PATIENCE_S) or self.complaint

    def presses_ctrl_c(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def presses_ctrl_d(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def ends(self) -> int:
        return self._process.wait(PATIENCE_S)

    @property
    def complaint(self) -> str:
        self._complaints.wait_for(lambda line: False, 0.1 if self._process.poll() is None else PATIENCE_S)
        return self._complaints.text.rstrip("\n")

    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._heard.close()
        self._complaints.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


Start = Callable[[str, str, str], Person]


@pytest.fixture
def start(gateway: Gateway) -> Iterator[Start]:
    """Runs the program: `start(command, room, name)`."""
    with ExitStack() as stack:

        def run(command: str, room: str, name: str) -> Person:
            person = Person(gateway, command, room, name)
            stack.callback(person.close)
            return person

        yield run


def test_it_has_fewer_than_fifty_lines() -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) < 50


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
    room = new_room("den")
    alice = start("create", room, "alice")
    alice.reads(f"You are in {room}, alice.")
    bob = start("join", room, "bob")
    bob.reads(f"You are in {room}, bob.")
    bob.types("hello")
    alice.reads("bob: hello")
    alice.presses_ctrl_c()
    bob.reads("ホストのaliceがルームを退出しました．")
    assert [alice.ends(), bob.ends()] == [0, 0]
    assert not alice.complaint
    assert not bob.complaint


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
