"""gateway/steering.py, and the kernel that runs its program"""

import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Door
from gateway.net.udp import bind_udp
from gateway.process.workers import steer
from gateway.steering import CROWD, CROWDED_ROOMS, Steering, program, worker_of
from tsudoi.protocol.names import looks_like_token

WORKERS = 3


@given(st.text(max_size=20), st.integers(1, 64))
def test_tokens_of_a_room_lead_to_one_worker(room: str, workers: int) -> None:
    steering = Steering(workers)
    tokens = [steering.new_token(room).encode() for _ in range(20)]
    assert all(looks_like_token(token) for token in tokens)
    assert len(set(tokens)) == len(tokens)
    assert len({worker_of(token, workers) for token in tokens}) == 1


def test_rooms_are_spread_over_workers_and_so_is_a_crowd() -> None:
    steering = Steering(WORKERS)

    def spread(rooms: Iterator[str]) -> Counter[int]:
        return Counter(worker_of(steering.new_token(room).encode(), WORKERS) for room in rooms)

    rooms = spread(f"room {number}" for number in range(600))
    assert min(rooms[worker] for worker in range(WORKERS)) > 100
    steering.entered("den", CROWD)
    assert len(spread("den" for _ in range(100))) == 1
    steering.entered("den", CROWD + 1)
    crowd = spread("den" for _ in range(600))
    assert min(crowd[worker] for worker in range(WORKERS)) > 100
    # Many crowded rooms: the first is steered again.
    for number in range(CROWDED_ROOMS):
        steering.entered(f"crowd {number}", CROWD + 1)
    assert len(spread("den" for _ in range(100))) == 1


def test_all_digits_are_used_evenly() -> None:
    """What a token's beginning tells is the worker, and nothing else."""
    steering = Steering(2)
    beginnings = Counter(steering.new_token(f"room {number}")[:2] for number in range(20_000))
    assert len(beginnings) == 256
    assert max(beginnings.values()) < 4 * min(beginnings.values())


def test_the_program_is_one_that_a_kernel_takes() -> None:
    steps = program(2)
    assert all(len(step) == 8 for step in steps)
    # Each jump leads to a step of the program; the last one is reached by all that is too short.
    for at, step in enumerate(steps):
        if step[0] in (0x35, 0x3D):
            assert at + 1 + step[3] == len(steps) - 1


@pytest.fixture
def group() -> Iterator[list[socket.socket]]:
    """Sockets of workers at one port."""
    if sys.platform != "linux":
        pytest.skip("another kernel")
    with ExitStack() as stack:
        door, sockets = Door("127.0.0.1", 0), list[socket.socket]()
        for _ in range(WORKERS):
            sock = stack.enter_context(bind_udp(door, is_shared=True))
            sock.setblocking(False)
            door = Door("127.0.0.1", sock.getsockname()[1])
            sockets.append(sock)
        yield sockets


def came_to(group: list[socket.socket]) -> list[tuple[int, bytes]]:
    """(worker, datagram) of all that has come."""
    found = []
    for worker, sock in enumerate(group):
        for _ in count():
            try:
                found.append((worker, sock.recv(4096)))
            except BlockingIOError:
                break
    return found


def test_the_kernel_brings_datagrams_to_the_worker_of_their_token(group: list[socket.socket]) -> None:
    assert steer(group)
    steering, sent = Steering(WORKERS), []
    for number in range(60):
        room = f"部屋{number}" if number % 2 else "r" * (number * 4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(3):
                token = steering.new_token(room).encode()
                data = bytes((len(room.encode()), 32)) + room.encode() + token + b"text" * (number % 3)
                assert client.sendto(data, group[0].getsockname())
                sent.append((worker_of(token, WORKERS), data))
    assert sorted(came_to(group)) == sorted(sent)


def test_what_holds_no_token_is_spread_and_none_of_it_lost(group: list[socket.socket]) -> None:
    assert steer(group)
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for data in (b"", b"x", b"\xff\xff\xff\xff", b"\x05\x20den"):
                client.sendto(data, group[0].getsockname())
        found = came_to(group)
    assert len(found) == 160
    assert len({worker for worker, _ in found}) == WORKERS


def test_a_socket_that_shares_its_port_with_nobody_can_not_steer() -> None:
    with bind_udp(Door("127.0.0.1", 0)) as alone:
        assert not steer([alone])
