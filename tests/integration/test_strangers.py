"""What may come in from anywhere: it must cost little, be answered with nothing, and disturb no chat."""

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.integration.conftest import Cluster, Enter, NewRoom
from tests.support.legacy.company import Company
from tests.support.legacy.wire import CREATE, JOIN, PATIENCE_S, Address, Counts, datagram, header
from tests.support.services import ALL_LISTENERS

SEED = 20
"""The same nonsense each time; a new seed finds new things, but not here."""

LARGEST = 65507
"""Bytes that fit one UDP datagram."""


class Stranger:
    """Connections and datagrams of nobody; all end with the context."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)

    def connect(self, address: Address, *parts: bytes) -> socket.socket:
        """Open a connection, send `parts`, and leave it as it is."""
        connection = self._stack.enter_context(socket.create_connection(address, PATIENCE_S))
        with suppress(ConnectionError):  # closed before it was all sent: that is a fair answer
            for part in parts:
                connection.sendall(part)
        return connection

    def reset(self, address: Address, *parts: bytes) -> None:
        """The same, and then break it off without the usual end."""
        connection = self.connect(address, *parts)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with ExitStack() as stack:
        yield Stranger(stack)


@pytest.fixture
def company(cluster: Cluster, client: Enter, new_room: NewRoom) -> Company:
    """Two who chat across both gateways."""
    company = Company(new_room("部屋"))
    company.create(client("classic", "アリス", cluster.a))
    company.join(client("tcrp-json", "ボブ", cluster.b))
    company.chat()
    return company


def heard_nothing(stranger: Stranger) -> None:
    with pytest.raises(BlockingIOError):
        stranger.udp.recv(LARGEST)


OPENINGS = {
    "silence": (),
    "half a header": (header(3, CREATE, 0, 5)[:16],),
    "a header alone": (header(3, CREATE, 0, 5),),
    "2^29 bytes promised": (header(3, CREATE, 0, 2**29), b"den", b"x" * 1000),
    "all that 29 bytes can promise": (header(3, CREATE, 0, 2**232 - 1), b"den", b"x" * 1000),
    "no such operation": (header(3, 9, 0, 5), b"denalice"),
    "a state that is ours to say": (header(3, CREATE, 2, 5), b"denalice"),
    "no names": (header(0, CREATE, 0, 0),),
    "not UTF-8": (header(3, CREATE, 0, 5), b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"),
    "control characters": (header(3, CREATE, 0, 5), b"d\x1bnal\0ce"),
    "deep JSON": (header(3, JOIN, 0, 100_000), b"den", b"[" * 100_000),
    "half of JSON": (header(3, JOIN, 0, 10), b"den", b'{"username'),
    "JSON of other types": (header(3, JOIN, 0, 31), b"den", b'{"username":[1],"password":{},"'),
    "a web browser": (b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",),
}


def test_openings_do_not_disturb_a_chat(cluster: Cluster, stranger: Stranger, company: Company, client: Enter) -> None:
    chance = random.Random(SEED)
    for dialect in ALL_LISTENERS:
        listener = cluster.a.listener(dialect).tcp
        for opening in OPENINGS.values():
            stranger.connect(listener, *opening)
            stranger.reset(listener, *opening)
        for number in range(10):
            numbers = (chance.randrange(256), chance.randrange(4), chance.randrange(3), chance.randrange(300))
            head = header(*numbers) if number % 2 else chance.randbytes(32)
            stranger.reset(listener, head + chance.randbytes(chance.randrange(600)))
    company.chat()
    company.join(client("classic", "キャロル", cluster.a))
    company.chat()
    cluster.a.check_log()


def test_random_datagrams_are_answered_with_nothing(cluster: Cluster, stranger: Stranger, company: Company) -> None:
    chance = random.Random(SEED)
    token = company.members[0].token
    for number in range(300):
        nonsense = (
            chance.randbytes(chance.randrange(200)),
            datagram(company.room, chance.randbytes(16).hex().encode(), "let me in", Counts.BYTES),
            datagram(company.room, chance.randbytes(chance.randrange(256)), "let me in", Counts.BYTES),
            datagram("別の部屋", token, "I am somebody", Counts.BYTES),
            datagram(company.room, token, "", Counts.BYTES)[: chance.randrange(2 + len(company.room.encode()) + 32)],
        )
        stranger.udp.sendto(nonsense[number % len(nonsense)], cluster.a.udp)
        if number % 25 == 0:
            # Also waits until all that has been read: a queue that overflows would prove nothing.
            company.say(company.members[0], f"undisturbed: {number}")
    stranger.udp.sendto(chance.randbytes(LARGEST), cluster.a.udp)
    stranger.udp.sendto(b"", cluster.a.udp)
    company.chat()
    heard_nothing(stranger)
    cluster.a.check_log()


def test_a_members_nonsense_is_its_own(cluster: Cluster, company: Company) -> None:
    """Bytes that are not text reach the others as text, or not at all."""
    alice, bob = company.members
    for tail in (b"\xff\xfe", "半".encode()[:2], b"\x1b[2J", b"\0", b"\xed\xa0\x80"):
        alice.send_raw(alice.datagram("") + b"x" + tail)
    alice.say("end")
    heard = bob.hear_line(bob.line(alice.name, "end"))
    for each in heard:
        assert each.shown.startswith(f"{alice.name}: ")
        assert "\x1b" not in each.shown
        assert "\0" not in each.shown
    cluster.a.check_log()
