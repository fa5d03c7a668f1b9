"""A stolen token shown from another machine, and datagrams of strangers: a real gateway, and a second address of this
machine that is not a loopback address, as those all count as one host."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.chat.refusal_as_token import REFUSALS
from tests.attacks.watch import Person, enter
from tests.support.services import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

PATIENCE_S = 10.0
MOVE_AFTER_S = 2.0


def heard(udp: socket.socket, patience_s: float = PATIENCE_S) -> bytes:
    """The next datagram, empty if none comes."""
    return udp.recv(65_536) if select.select((udp,), (), (), patience_s)[0] else b""


@pytest.fixture(scope="module")
def elsewhere() -> str:
    """This machine's address on its network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.connect(("192.0.2.1", 9))  # sends nothing
        except OSError as exc:
            pytest.skip(f"this machine has no address but its loopback ones: {exc}")
        return str(udp.getsockname()[0])


@dataclass
class Room:
    """Alice and Bob, on this machine, and strangers, who are not."""

    place: tuple[str, int]
    """Where the gateway is for who is not on this machine."""
    alice: Person
    bob: Person
    strangers: ExitStack = field(default_factory=ExitStack)

    def stranger(self) -> socket.socket:
        udp = self.strangers.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind((self.place[0], 0))
        udp.setblocking(False)
        return udp

    def all_is_read(self) -> None:
        """What strangers sent before has been dealt with: the gateway reads its socket in order."""
        mark = f"mark {time.monotonic()}"
        self.alice.say(mark)
        assert mark.encode() in heard(self.bob.udp)


@pytest.fixture
def room(elsewhere: str, tmp_path: Path) -> Iterator[Room]:
    flags = ("--move-after", str(MOVE_AFTER_S), "--check-ip", "strict")
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(*flags, data=tmp_path, host="0.0.0.0"))
        listener = gateway.listener("auto", "127.0.0.1")
        alice, bob = (
            Person(listener, "den", name, enter(listener, at, "den", name)) for at, name in ((1, "alice"), (2, "bob"))
        )
        stack.callback(alice.udp.close)
        stack.callback(bob.udp.close)
        found = Room((elsewhere, listener.udp[1]), alice, bob)
        stack.enter_context(found.strangers)
        # Their first datagrams have told where they are once one of each has been heard by the other.
        found.all_is_read()
        found.bob.say("here")
        assert b"here" in heard(found.alice.udp)
        yield found


def test_a_stolen_token_neither_hears_nor_speaks_while_its_member_does(room: Room) -> None:
    thief, stolen = room.stranger(), bytes((3, len(room.bob.token))) + b"den" + room.bob.token
    began = time.monotonic()
    room.bob.say("it is me")
    assert b"it is me" in heard(room.alice.udp)
    for text in (b"", b"I am bob"):
        thief.sendto(stolen + text, room.place)
    room.all_is_read()
    assert heard(thief, 0) == b""
    # Only after a silence may bob be somewhere else; until then he is not heard from there, and stays who he was.
    while not (told := heard(room.alice.udp, 0.05)):
        thief.sendto(stolen + b"moved", room.place)
        assert time.monotonic() - began < PATIENCE_S
    assert b"moved" in told
    assert time.monotonic() - began >= MOVE_AFTER_S


def test_strangers_get_no_answer_that_is_larger_than_what_they_sent(room: Room) -> None:
    unknown = b"\3\x20den" + b"0" * 32
    for sent in (b"", b"x", b"\0\0", b"\xff" * 2, b"x" * 1_400, unknown, unknown + b"hello", unknown * 100):
        stranger = room.stranger()
        stranger.sendto(sent, room.place)
        room.all_is_read()
        assert heard(stranger, 0) == b"", sent


def test_who_shows_a_refusal_for_a_token_is_told_to_end_in_no_more_bytes(room: Room) -> None:
    for refusal in REFUSALS:
        stranger, sent = room.stranger(), bytes((3, len(refusal))) + b"den" + refusal
        stranger.sendto(sent, room.place)
        answer = heard(stranger)
        room.all_is_read()
        answers = [answer] + [more for _ in range(3) if (more := heard(stranger, 0))]
        assert answer
        assert sum(map(len, answers)) <= len(sent)
