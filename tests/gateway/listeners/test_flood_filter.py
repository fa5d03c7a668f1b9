"""gateway/listeners/flood_filter.py, and the kernel that runs its program"""

import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest

from gateway.listeners import bpf
from gateway.listeners.flood_filter import (
    FILTERED,
    FIRST_S,
    FLOODERS,
    FORGIVEN_S,
    LONGEST_S,
    PATIENCE,
    PATIENCE_AGAIN,
    FloodFilter,
)
from tests.support.fakes import token_of
from tests.support.sockets import needs_ipv6, take_all

ROOM = "部屋".encode()
OTHERS = (b"", b"x", b"\0\0", b"\xff\xff", bytes((len(ROOM), 32)) + ROOM, b"\3\x20den" + b"0" * 32 + b"hello")


def datagram(token: bytes, text: bytes = b"", room: bytes = ROOM) -> bytes:
    return bytes((len(room), len(token))) + room + token + text


def session_of(member: int) -> bytes:
    return bytes((1, 0, 0)) + member.to_bytes(13, "big")


def packet(session: bytes, kind: int = 1, rest: bytes = b"") -> bytes:
    return bytes((0, kind)) + session + bytes(12) + rest


def flood(flood_filter: FloodFilter, member: int, now: float, mark: bytes = b"") -> float:
    """Count datagrams of a member until it is one too many, then shut it out; return for how long."""
    while not flood_filter.is_flood(member, now):
        pass
    return flood_filter.shut_out(member, mark or token_of(member), now) - now


def test_a_flood_is_what_goes_on_though_it_is_passed_over() -> None:
    flood_filter = FloodFilter()
    assert not any(flood_filter.is_flood(1, 5.0) for _ in range(PATIENCE))
    assert flood_filter.is_flood(1, 5.0)
    assert not flood_filter.is_flood(2, 5.0)
    # As much a second is borne for ever.
    assert not any(flood_filter.is_flood(2, 6.0 + number / PATIENCE) for number in range(3 * PATIENCE))


def test_each_time_is_longer_until_it_is_forgiven() -> None:
    flood_filter, now, lengths = FloodFilter(), 0.0, []
    for _ in range(7):
        lengths.append(flood(flood_filter, 1, now))
        # What still stands in line when it begins is no further flood.
        assert not any(flood_filter.is_flood(1, now + lengths[-1] / 2) for _ in range(2 * PATIENCE))
        now += lengths[-1]
    assert lengths[0] == FIRST_S
    assert lengths[-1] == LONGEST_S
    assert all(later in (2 * earlier, LONGEST_S) for earlier, later in pairwise(lengths))
    assert flood(flood_filter, 1, now + FORGIVEN_S - 1.0) == LONGEST_S
    assert flood(flood_filter, 1, now + LONGEST_S + 2 * FORGIVEN_S) == FIRST_S


def test_a_member_that_was_shut_out_is_borne_less_until_it_is_forgiven() -> None:
    flood_filter = FloodFilter()
    until = flood(flood_filter, 1, 0.0)
    assert not any(flood_filter.is_flood(1, until) for _ in range(PATIENCE_AGAIN))
    assert flood_filter.is_flood(1, until)
    assert not any(flood_filter.is_flood(1, until + FORGIVEN_S) for _ in range(PATIENCE))


def test_there_is_a_program_while_somebody_is_silenced() -> None:
    flood_filter = FloodFilter()
    assert (flood_filter.tick(0.0), flood_filter.program()) == (False, [])
    flood(flood_filter, 1, 1.0)
    assert flood_filter.program()
    assert not flood_filter.tick(1.0 + FIRST_S / 2)
    assert flood_filter.program()
    assert flood_filter.tick(1.0 + FIRST_S)
    assert flood_filter.program() == []


def test_many_who_flood_are_known_and_some_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.listeners.flood_filter.PATIENCE", 10)
    flood_filter = FloodFilter()
    flood(flood_filter, 0, 0.0)
    for member in range(1, FLOODERS + 1):
        flood(flood_filter, member, 1.5)
    assert len(flood_filter._filtered) == FILTERED
    assert flood(flood_filter, FLOODERS, 3.0) == 2 * FIRST_S
    assert flood(flood_filter, 0, 3.0) == FIRST_S


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def bound(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in request.param else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((request.param, 0))
        sock.setblocking(False)
        yield sock


def passed(bound: socket.socket, *datagrams: bytes) -> list[bytes]:
    """Of these datagrams, those that come through."""
    with socket.socket(bound.family, socket.SOCK_DGRAM) as sender:
        for data in datagrams:
            sender.sendto(data, bound.getsockname())
    return take_all(bound)


@pytest.mark.parametrize("count", [1, 2, FILTERED])
def test_the_kernel_drops_what_silenced_members_send_and_nothing_else(bound: socket.socket, count: int) -> None:
    flood_filter = FloodFilter()
    for member in range(1, count + 1):
        flood(flood_filter, member, 0.0)
    program = flood_filter.program()
    assert bpf.attach_filter(bound, program)
    dropped = [
        data
        for member in range(1, count + 1)
        for data in (datagram(token_of(member)), datagram(token_of(member), b"x"))
    ]
    tokens = [token_of(number) for number in range(count + 1, count + 20)]
    # One bit is another token.
    tokens += [bytes((*token_of(1)[:at], token_of(1)[at] ^ 64)) + token_of(1)[at + 1 :] for at in range(20, 32)]
    kept = [datagram(token, text) for token in tokens for text in (b"", b"hello")]
    kept += [*OTHERS, datagram(token_of(1)[:31]), b"\0\x20" + datagram(token_of(1))[1:], b"x" + datagram(token_of(1))]
    # With whatever room's name.
    dropped += [datagram(token_of(count), room=b"x" * size) for size in (0, 1, 100, 255)]
    assert passed(bound, *dropped, *kept, *dropped) == kept
    assert bpf.attach_filter(bound, ())
    assert passed(bound, *dropped, *kept) == [*dropped, *kept]


def test_the_kernel_drops_the_packets_of_silenced_sessions_and_nothing_else(bound: socket.socket) -> None:
    flood_filter = FloodFilter()
    flood(flood_filter, 1, 0.0, session_of(1))
    flood(flood_filter, 2, 0.0)
    flood(flood_filter, 3, 0.0, session_of(3))
    assert bpf.attach_filter(bound, flood_filter.program())
    dropped = [packet(session_of(number), kind, rest) for number in (1, 3) for kind in (1, 2) for rest in (b"", b"x")]
    dropped.append(datagram(token_of(2)))
    kept = [packet(session_of(number), kind) for number in (2, 4) for kind in (1, 2)]
    # One bit is another session.
    kept += [
        packet(session_of(1)[:at] + bytes((session_of(1)[at] ^ 64,)) + session_of(1)[at + 1 :]) for at in range(4, 16)
    ]
    kept += [*OTHERS, packet(session_of(1))[:17], datagram(token_of(1))]
    assert passed(bound, *dropped, *kept, *dropped) == kept
