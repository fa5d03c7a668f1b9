"""Groups whose members get payloads of their own: each gets its own, in order, however they pass the kernel."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.chat.outbound import Fill
from gateway.listeners import segments
from gateway.listeners.options import Listener
from gateway.listeners.prepared_recipients import OwnRecipients
from gateway.listeners.sendmmsg import DatagramIo
from gateway.listeners.udp import UDPServer
from tests.support.sockets import take_all

from .test_sendmmsg import a_member, leave_room, name_of

RUNS = [(70, [100]), (70, [40, 40, 20]), (2, [1_000] * 70), (3, [30, 50, 50, 50, 7, 7, 1_400, 1_400])]
"""Members, and the sizes of what each gets: one, a burst, more than one burst takes, several bursts."""


def payload(slot: int, index: int, size: int) -> bytes:
    """Return what a slot gets: its number, the payload's, and filling."""
    return (slot.to_bytes(2, "big") + index.to_bytes(2, "big")).ljust(size, b".")


def filler(sizes: list[int]) -> Fill:
    def fill(start: int, end: int, first: int, last: int) -> bytes:
        indexes = range(start, end)
        return b"".join(payload(slot, index, sizes[index]) for slot in range(first, last) for index in indexes)

    return fill


@contextmanager
def receiving() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        receiver.bind(("127.0.0.1", 0))
        yield receiver


def by_slot(datagrams: list[bytes]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for datagram in datagrams:
        found.setdefault(int.from_bytes(datagram[:2], "big"), []).append(datagram)
    return found


def expected(slots: range, sizes: list[int]) -> dict[int, list[bytes]]:
    return {slot: [payload(slot, index, size) for index, size in enumerate(sizes)] for slot in slots}


@pytest.mark.parametrize(("members", "sizes"), RUNS)
def test_each_slot_gets_its_own_payloads_in_order(members: int, sizes: list[int]) -> None:
    async def play(receiver: socket.socket) -> list[bytes]:
        server = UDPServer(0, Listener("127.0.0.1", 0), lambda index, found, __: None, lambda: None)
        recipients = OwnRecipients()
        for number in range(members):
            recipients.add(a_member(number + 1), name_of(receiver))
        heard: list[bytes] = []
        for _ in range(2):  # what a burst has left behind does not reach other payloads, and the other way round
            server.send_filled(recipients, range(members), sizes, filler(sizes))
            heard += take_all(receiver)
            some = range(members // 2, members)
            server.send_filled(recipients, some, sizes[:1], filler(sizes))
            assert by_slot(take_all(receiver)) == expected(some, sizes[:1])
        server.close()
        return heard

    with receiving() as receiver:
        heard = by_slot(asyncio.run(play(receiver)))
    assert heard == {slot: own * 2 for slot, own in expected(range(members), sizes).items()}


def test_bursts_that_the_kernel_does_not_cut_go_one_by_one_from_then_on() -> None:
    so_no_check, sizes = 11, [40, 40, 20]  # without checksums the kernel cuts nothing (udp_send_skb in net/ipv4/udp.c)
    with receiving() as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, so_no_check, 1)
        io, recipients = DatagramIo(sock), OwnRecipients()
        for number in range(70):
            recipients.add(a_member(number + 1), name_of(receiver))
        done, left = io.send_filled(recipients, range(70), sizes, 0, filler(sizes))
        assert (done > 0, left, io.failed, io.largest_segment) == (True, [], 0, 39)
        assert by_slot(take_all(receiver)) == expected(range(done), sizes)
        assert io.send_filled(recipients, range(70), sizes, 0, filler(sizes)) == (0, [])


def test_bursts_go_on_beside_a_slot_whose_local_address_is_gone() -> None:
    sizes, gone = [40, 40, 20], bytes((192, 0, 2, 77))
    with receiving() as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        io, recipients = DatagramIo(sock), OwnRecipients()
        for number in range(5):
            recipients.add(a_member(number + 1), name_of(receiver) + (gone if number == 2 else b""))
        assert io.send_filled(recipients, range(5), sizes, 0, filler(sizes)) == (5, [])
        assert by_slot(take_all(receiver)) == expected(range(5), sizes)
        assert (io.failed, io.largest_segment) == (0, segments.LARGEST)


@pytest.mark.parametrize("sizes", [[40], [40, 40, 20]], ids=["one", "a burst"])
def test_what_the_kernel_has_no_room_for_is_left_over_in_order(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_room(5, monkeypatch)
    with receiving() as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        io, recipients = DatagramIo(sock), OwnRecipients()
        for number in range(7):
            recipients.add(a_member(number + 1), name_of(receiver))
        done, left = io.send_filled(recipients, range(7), sizes, 0, filler(sizes))
        assert done == 7
        assert {address for _, address in left} == {name_of(receiver)}
        assert by_slot(take_all(receiver)) == expected(range(5), sizes)
        assert by_slot([datagram for datagram, _ in left]) == expected(range(5, 7), sizes)
