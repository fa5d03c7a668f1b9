"""gateway/listeners/reuseport_routing.py, and the kernel that runs its program"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.join.session_tokens import SessionTokens, worker_of
from gateway.listeners.options import Listener
from gateway.listeners.ping_lane import SHORTER
from gateway.listeners.reuseport_routing import program, route_by_token
from gateway.listeners.udp import bind_udp
from gateway.sealed.keys import SessionKeys
from tests.support.sockets import take_all

WORKERS = 3


def test_the_program_is_one_that_a_kernel_takes() -> None:
    steps = program(2)
    assert all(len(step) == 8 for step in steps)
    # Each jump leads to a step of the program; the last one is reached by all that is too short for a token.
    jumps = [(at + 1 + step[2], at + 1 + step[3]) for at, step in enumerate(steps) if step[0] in (0x15, 0x35, 0x3D)]
    assert max(map(max, jumps)) == len(steps) - 1
    assert [max(both) for both in jumps].count(len(steps) - 1) == 2


@pytest.fixture
def group() -> Iterator[list[socket.socket]]:
    """Sockets of workers at one port, and then those for their pings."""
    with ExitStack() as stack:
        listener, sockets = Listener("127.0.0.1", 0), list[socket.socket]()
        for _ in range(2 * WORKERS):
            sock = stack.enter_context(bind_udp(listener, is_shared=True))
            sock.setblocking(False)
            listener = Listener("127.0.0.1", sock.getsockname()[1])
            sockets.append(sock)
        yield sockets


def came_to(group: list[socket.socket]) -> list[tuple[int, bytes]]:
    """(worker, datagram) of all that has come."""
    return [(worker, data) for worker, sock in enumerate(group) for data in take_all(sock)]


def test_the_kernel_brings_datagrams_to_the_worker_of_their_token(group: list[socket.socket]) -> None:
    assert route_by_token(group)
    tokens, sent = SessionTokens(WORKERS), []
    for number in range(60):
        room = f"部屋{number}" if number % 2 else "r" * (number * 4 + 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(3):
                token = tokens.new(room).encode()
                data = bytes((len(room.encode()), 32)) + room.encode() + token + b"text" * (number % 3)
                assert client.sendto(data, group[0].getsockname())
                sent.append((worker_of(token, WORKERS), data))
    assert sorted(came_to(group)) == sorted(sent)


def test_the_kernel_brings_packets_of_version_2_to_the_worker_of_their_room(group: list[socket.socket]) -> None:
    assert route_by_token(group)
    tokens, keys, sent = SessionTokens(WORKERS), SessionKeys([bytes(32)]), []
    for number in range(60):
        routing = tokens.routing(f"room{number}")
        packet = bytes((0, 1)) + keys.new("aes-128-gcm", 7, routing) + bytes(60)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(packet, group[0].getsockname())
        sent.append((worker_of(tokens.new(f"room{number}").encode(), WORKERS), packet))
    assert sorted(came_to(group)) == sorted(sent)


def test_the_kernel_brings_pings_to_the_second_socket_of_their_worker(group: list[socket.socket]) -> None:
    assert route_by_token(group)
    keys, sent = SessionKeys([bytes(32)]), []
    for routing in range(60):
        suite = ("aes-128-gcm", "chacha20-poly1305", "plain")[routing % 3]
        packet = (bytes((0, 1)) + keys.new(suite, 7, routing)).ljust(SHORTER - routing % 2, b".")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(packet, group[0].getsockname())
        is_ping = suite != "plain" and len(packet) < SHORTER
        sent.append((routing % WORKERS + WORKERS * is_ping, packet))
    assert sorted(came_to(group)) == sorted(sent)


def test_what_holds_no_token_is_spread_and_none_of_it_lost(group: list[socket.socket]) -> None:
    assert route_by_token(group)
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for data in (b"", b"x", b"\xff\xff\xff\xff", b"\x05\x20den"):
                client.sendto(data, group[0].getsockname())
        found = came_to(group)
    assert len(found) == 160
    assert len({at % WORKERS for at, _ in found}) == WORKERS


def test_what_comes_before_the_program_is_there_is_not_received_late(group: list[socket.socket]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"before", group[0].getsockname())
        assert route_by_token(group)
        client.sendto(b"after", group[0].getsockname())
    assert [data for _, data in came_to(group)] == [b"after"]


def test_a_socket_that_shares_its_port_with_nobody_can_not_be_routed() -> None:
    with bind_udp(Listener("127.0.0.1", 0)) as alone:
        assert not route_by_token([alone])
