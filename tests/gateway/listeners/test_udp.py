"""gateway/listeners/udp.py"""

import asyncio
import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from time import time
from typing import Any

import pytest

from gateway.chat.members import Member, Room
from gateway.listeners import bpf, sendmmsg, sockaddr, udp
from gateway.listeners.bpf import attach_filter
from gateway.listeners.options import Listener
from gateway.listeners.prepared_recipients import PreparedRecipients
from gateway.listeners.sendmmsg import BATCH
from gateway.listeners.udp import UDPServer
from tests.support.fakes import a_grant, token_of
from tests.support.fragmenting import may_be_fragmented
from tests.support.sockets import needs_ipv6, take_all
from tests.support.waiting import until
from tsudoi.protocol.client.dialects import TCRP
from tsudoi.protocol.errors import SettingError

PATIENCE_S = 30.0


def nothing(*_: object) -> None:
    """Do nothing."""


class Kernel:
    """Has room for so many datagrams, then for none until there is room again."""

    def __init__(self) -> None:
        self.room = 10**9
        self._sendmmsg, self._sendto = sendmmsg._sendmmsg, sendmmsg._sendto

    def take(self, count: int) -> int:
        taken = min(count, self.room)
        self.room -= taken
        if not taken:
            ctypes.set_errno(errno.EAGAIN)
        return taken

    def sendmmsg(self, fd: int, headers: int, count: int, flags: int) -> int:
        return int(self._sendmmsg(fd, headers, taken, flags)) if (taken := self.take(count)) else -1

    def sendto(self, *arguments: Any) -> int:
        return int(self._sendto(*arguments)) if self.take(1) else -1


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(sendmmsg, "_sendmmsg", kernel.sendmmsg)
    monkeypatch.setattr(sendmmsg, "_sendto", kernel.sendto)
    return kernel


@pytest.fixture
def receivers() -> Iterator[list[socket.socket]]:
    sockets = []
    for _ in range(3):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE_S)
        sockets.append(sock)
    yield sockets
    for sock in sockets:
        sock.close()


def name_of(sock: socket.socket) -> bytes:
    return sockaddr.pack(*sock.getsockname())


def a_group(receivers: list[socket.socket]) -> Any:
    group = PreparedRecipients()
    for number, sock in enumerate(receivers):
        granted = a_grant(number)
        room = Room.from_grant(granted)
        group.add(Member.from_grant(granted, token_of(number), TCRP, bytes(4), room, 0.0), name_of(sock))
    return group


def heard(receivers: list[socket.socket]) -> list[list[bytes]]:
    """What each has got by now."""
    return [take_all(sock) for sock in receivers]


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_a_listener_hears_and_answers(host: str) -> None:
    batches: list[tuple[int, list[tuple[bytes, bytes]]]] = []
    server = UDPServer(7, Listener(host, 0), lambda listener, batch, _: batches.append((listener, batch)), nothing)
    assert server.bound.is_ipv6 == (host == "::1")
    assert server.listener.port
    server.start()
    family = socket.AF_INET6 if server.bound.is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.bind((host, 0))
        client.sendto(b"hello", (host, server.listener.port))
        await until(lambda: bool(batches))
        source = sockaddr.pack(host, client.getsockname()[1])
        assert batches == [(7, [(b"hello", source)])]
        server.send_to(source, b"hi")
        assert client.recvfrom(100)[0] == b"hi"
        server.stop_receiving()
        client.sendto(b"anybody?", (host, server.listener.port))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(batches) == 1
    assert server.failed == 0
    server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
async def test_routers_may_fragment_what_goes_to_ipv4_clients(host: str) -> None:
    with udp.bind_udp(Listener(host, 0)) as sock:
        assert may_be_fragmented(sock)


async def test_a_resting_listener_is_emptied_when_it_is_asked() -> None:
    got: list[bytes] = []
    drained: list[int] = []
    server = UDPServer(
        0,
        Listener("127.0.0.1", 0),
        lambda _, batch, __: got.extend(d for d, _ in batch),
        lambda: drained.append(len(got)),
    )
    server.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.listener.port))
        client.send(b"one")
        await until(lambda: drained == [1])
        server.rest()
        sent = [b"%d" % number for number in range(100)]
        for data in sent:
            client.send(data)
        for _ in range(20):
            await asyncio.sleep(0)
        assert got == [b"one"]
        assert server.receive() == 100
        assert server.receive() == 0
        assert (got[1:], drained) == (sent, [1])
        server.start()
        client.send(b"last")
        await until(lambda: drained == [1, 102])
        server.stop_receiving()
        server.start()
        client.send(b"anybody?")
        for _ in range(20):
            await asyncio.sleep(0)
        assert (server.receive(), got[-1]) == (0, b"last")
    server.close()


async def test_how_long_datagrams_have_waited_is_told_when_a_turn_has_left_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp, "DRAIN_BATCHES", 1)
    waits: list[float] = []
    server = UDPServer(0, Listener("127.0.0.1", 0), lambda _, __, waited_s: waits.append(waited_s), nothing)

    def leave_some() -> list[float]:
        """Return what is told of datagrams that are read five seconds after they came, in turns of a batch."""
        waits.clear()
        for _ in range(3 * BATCH - 1):
            client.send(b"hello")
        with monkeypatch.context() as later:
            later.setattr(sendmmsg, "time", lambda: time() + 5.0)
            while server.receive():
                pass
        return waits

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.listener.port))
        leave_some()  # from now on the kernel notes when they come
        first, *others = leave_some()
        assert first == 0.0
        assert len(others) == 2
        assert all(5.0 <= waited_s < PATIENCE_S for waited_s in others)
        assert leave_some()[0] == 0.0
    server.close()


async def test_many_datagrams_come_in_batches_in_order() -> None:
    got: list[bytes] = []
    server = UDPServer(0, Listener("127.0.0.1", 0), lambda _, batch, __: got.extend(d for d, _ in batch), nothing)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        sent = [b"%d" % number for number in range(500)]
        for data in sent:
            client.sendto(data, ("127.0.0.1", server.listener.port))
        server.start()
        await until(lambda: len(got) == 500)
        assert got == sent
    server.close()


async def test_what_finds_no_room_goes_later_and_before_what_comes_after_it(
    receivers: list[socket.socket], kernel: Kernel
) -> None:
    server = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing)
    group = a_group(receivers)
    kernel.room = 2
    server.fan_out(group, [b"1"], [-1])
    # There is room again, but what waits goes first.
    kernel.room = 10**9
    server.fan_out(group, [b"2"], [0])
    server.send_to(name_of(receivers[2]), b"3")
    assert heard(receivers) == [[b"1"], [b"1"], []]
    rest: list[list[bytes]] = [[], [], []]

    def all_came() -> bool:
        for got, more in zip(rest, heard(receivers), strict=True):
            got += more
        return sum(map(len, rest)) == 4

    await until(all_came)
    assert rest == [[], [b"2"], [b"1", b"2", b"3"]]
    server.send_to(name_of(receivers[0]), b"4")
    assert heard(receivers)[0] == [b"4"]
    assert server.dropped == 0
    server.close()


async def test_what_waits_is_sent_when_the_listener_closes(receivers: list[socket.socket], kernel: Kernel) -> None:
    server = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing)
    kernel.room = 0
    server.fan_out(a_group(receivers), [b"1"], [1])
    kernel.room = 10**9
    server.close()
    assert heard(receivers) == [[b"1"], [], [b"1"]]


async def test_what_waits_is_bounded_and_the_newest_is_dropped(
    receivers: list[socket.socket], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "OUTBOX", 4)
    server = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing)
    group = a_group(receivers)
    kernel.room = 0
    server.fan_out(group, [b"1"], [-1])
    server.fan_out(group, [b"2"], [-1])
    server.send_to(name_of(receivers[0]), b"3")
    assert server.dropped == 3
    kernel.room = 10**9
    server.close()
    assert heard(receivers) == [[b"1", b"2"], [b"1"], [b"1"]]


async def test_a_taken_address_is_a_setting_error_of_one_line(receivers: list[socket.socket]) -> None:
    host, port = receivers[0].getsockname()
    with pytest.raises(SettingError, match=rf"^can not listen on UDP {host}:{port}: Address already in use$"):
        UDPServer(0, Listener(host, port), nothing, nothing)


def one_step(returned: int) -> list[bytes]:
    return [bpf.step(bpf.RETURN, number=returned)]


async def test_what_a_filter_drops_is_told_apart_from_what_found_no_room() -> None:
    server = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.listener.port))

        def send(count: int) -> None:
            for _ in range(count):
                client.send(b"x" * 1_000)

        server.filter(one_step(0))
        send(5)
        assert (server.filtered, server.overflowed) == (5, 0)
        # Another takes its place, then none.
        server.filter(one_step(0))
        send(2)
        server.filter([])
        assert (server.filtered, server.receive()) == (7, 0)
        send(3)
        assert (server.filtered, server.overflowed, server.receive()) == (7, 0, 3)
        while not server.overflowed:
            send(1_000)
        lost = server.overflowed
        server.filter(one_step(0))
        send(4)
        assert (server.filtered, server.overflowed) == (11, lost)
    server.close()


async def test_a_filter_that_another_left_in_a_socket_is_taken_out() -> None:
    with udp.bind_udp(Listener("127.0.0.1", 0)) as inherited:
        assert attach_filter(inherited, one_step(0))
        listener = Listener(*inherited.getsockname())
        server = UDPServer(0, listener, nothing, nothing, os.dup(inherited.fileno()))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", inherited.getsockname())
        assert server.receive() == 1
        server.close()


def test_bursts_that_the_kernel_refused_are_logged_once_and_tried_again(
    receivers: list[socket.socket], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(udp, "BURSTS_AGAIN_S", 0.05)
    so_no_check = 11  # without checksums the kernel cuts nothing (udp_send_skb in net/ipv4/udp.c)

    async def play() -> None:
        server, payloads = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing), [b"one", b"two", b"six"]
        for refuses in (1, 1, 0):
            server._sock.setsockopt(socket.SOL_SOCKET, so_no_check, refuses)
            server.send_many_to(name_of(receivers[0]), payloads)
            assert take_all(receivers[0]) == payloads
            assert (server._io.largest_segment < 3) == refuses
            await until(lambda: server._io.largest_segment > 3)
        server.close()

    asyncio.run(play())
    assert capsys.readouterr().out.count("one by one") == 1
