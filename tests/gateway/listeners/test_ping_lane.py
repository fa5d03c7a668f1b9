"""gateway/listeners/ping_lane.py, and the kernel that runs its program"""

import asyncio
import socket
from types import SimpleNamespace

import pytest

from gateway.listeners import bpf, ping_lane
from gateway.listeners.options import Listener
from gateway.listeners.ping_lane import SHORTER, program
from gateway.listeners.sendmmsg import BATCH
from gateway.listeners.udp import UDPServer
from gateway.sealed.keys import SessionKeys
from tests.support.sockets import needs_ipv6
from tests.support.waiting import until
from tsudoi.protocol.errors import SettingError
from tsudoi.protocol.sealed.lines import UpLine, serialize
from tsudoi.protocol.sealed.packets import NO_RUN, Kind, serialize_header
from tsudoi.protocol.sealed.suites import AES_128_GCM, CHACHA20_POLY1305, PLAIN, cipher

PATIENCE_S = 30.0
KEYS = SessionKeys([bytes(32)])


def packet(line: bytes, suite: str = AES_128_GCM) -> bytes:
    session = KEYS.new(suite, 0, 0)
    header = serialize_header(Kind.BODY, session, NO_RUN, 1)
    return header + cipher(suite, KEYS.keys(session).up).encrypt(header[18:], line, header)


def test_no_other_line_is_as_short_as_a_ping() -> None:
    others = [
        UpLine(want=(0, 0)),
        UpLine(want=(0, 1)),
        UpLine(leave=True),
        UpLine(say="", number=1),
        UpLine(say="a", number=1),
    ]
    for suite in (AES_128_GCM, CHACHA20_POLY1305):
        assert min(len(packet(serialize(line), suite)) for line in others) == SHORTER
        assert len(packet(serialize(UpLine(ping=9_999)), suite)) == SHORTER - 1


def test_the_program_is_one_that_a_kernel_takes() -> None:
    steps = program()
    assert all(len(step) == 8 for step in steps)
    # Each jump leads to one of the two ends.
    for at, step in enumerate(steps):
        if step[0] in (0x15, 0x35):
            assert {at + 1 + step[2], at + 1 + step[3]} - {at + 1} <= {len(steps) - 2, len(steps) - 1}


def test_what_comes_before_the_program_is_there_is_not_received_late_from_the_socket_for_pings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attach = bpf.attach_reuseport

    def attach_late(sock: socket.socket, steps: list[bytes]) -> bool:
        for number in range(64):  # from so many ports that the kernel gives about half of them to each socket
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"line %d" % number, sock.getsockname())
        return attach(sock, steps)

    monkeypatch.setattr(bpf, "attach_reuseport", attach_late)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as main:
        main.bind(("127.0.0.1", 0))
        lane = ping_lane.open_beside(main)
        assert lane is not None
        with lane, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            ping = packet(serialize(UpLine(ping=1)))
            sender.sendto(ping, main.getsockname())
            lane.settimeout(PATIENCE_S)
            assert lane.recv(100) == ping


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_pings_wait_for_each_other_and_nothing_else_does(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping_lane, "REST_S", 3_600.0)
    pings = [packet(b'{"ping":%d}' % number) for number in range(1, 6)]
    others = [
        packet(b'{"leave":true}'),
        packet(b'{"say":"hello","number":1}', PLAIN),
        packet(b'{"ping":1}', PLAIN),
        b"\3\5denTOKENhello",
        b"",
        b"\0",
    ]
    batches: list[list[bytes]] = []
    server = UDPServer(
        0,
        Listener(host, 0),
        lambda _, batch, __: batches.append([data for data, _ in batch]),
        nothing,
    )
    assert server._lane is not None
    server.start()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((host, server.listener.port))
        client.send(pings[0])
        await until(lambda: batches == [pings[:1]])  # one that is alone waits for nobody
        for ping in pings[1:]:
            client.send(ping)
        for other in others:
            client.send(other)
        await until(lambda: sum(map(len, batches)) == 1 + len(others))
        assert [data for batch in batches[1:] for data in batch] == others
        server._lane._look()
        assert batches[-1] == pings[1:]
        # When none has come meanwhile, the next one waits for nobody again.
        server._lane._look()
        client.send(pings[0])
        await until(lambda: batches[-1] == pings[:1])
        server.stop_receiving()
        server.start()
        client.send(pings[0])
        count = len(batches)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(batches) == count
    server.close()


async def test_pings_are_read_when_the_process_wakes_up_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    server, waits = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing), list[float]()
    lane = server._lane
    assert lane is not None
    monkeypatch.setattr(lane, "_loop", SimpleNamespace(call_later=lambda wait_s, _: waits.append(wait_s)))
    monkeypatch.setattr(lane, "_receive", lambda: 1)
    for now in (100.125, 100.2499, 100.2501, 100.24):
        monkeypatch.setattr(ping_lane, "monotonic", lambda now=now: now)
        lane._look()
    assert waits == pytest.approx([0.375, 0.2501, 0.2499, 0.26])
    monkeypatch.undo()
    server.close()


async def test_how_long_pings_have_waited_is_told_when_a_turn_has_left_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping_lane, "BATCHES", 1)
    waits: list[float] = []
    server = UDPServer(0, Listener("127.0.0.1", 0), lambda _, __, waited_s: waits.append(waited_s), nothing)
    lane, ping = server._lane, packet(b'{"ping":1}')
    assert lane is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.listener.port))
        for _ in range(2):  # the kernel notes when they come from the first time on
            waits.clear()
            for _ in range(2 * BATCH - 1):
                client.send(ping)
            while lane._receive():
                pass
    assert waits[0] == 0.0
    assert 0.0 < waits[1] < PATIENCE_S
    server.close()


def nothing(*_: object) -> None:
    """Do nothing."""


def into(got: list[bytes]) -> UDPServer:
    """Return a listener that adds what it receives to a list."""
    take = lambda _, batch, __: got.extend(data for data, _ in batch)  # noqa: E731
    return UDPServer(0, Listener("127.0.0.1", 0), take, nothing)


async def test_after_more_pings_than_a_turn_takes_the_others_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping_lane, "REST_S", 3_600.0)
    monkeypatch.setattr(ping_lane, "BATCHES", 1)
    ping = packet(b'{"ping":1}')
    got: list[bytes] = []
    server = into(got)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.listener.port))
        for _ in range(300):
            client.send(ping)
        server.start()
        await until(lambda: len(got) == 300)
    server.close()


async def test_the_address_is_refused_to_others_as_ever() -> None:
    server = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing)
    with pytest.raises(SettingError, match=r"Address already in use$"):
        UDPServer(0, server.listener, nothing, nothing)
    server.close()
    UDPServer(0, server.listener, nothing, nothing).close()


async def test_what_a_filter_drops_is_counted_for_both_sockets() -> None:
    server = UDPServer(0, Listener("127.0.0.1", 0), nothing, nothing)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.listener.port))
        server.filter([bpf.step(bpf.RETURN, number=0)])
        client.send(packet(b'{"ping":1}'))
        client.send(b"something else")
        assert (server.filtered, server.overflowed) == (2, 0)
        server.filter([])
        client.send(packet(b'{"ping":1}'))
        assert (server.filtered, server.overflowed) == (2, 0)
    server.close()


async def test_without_such_programs_pings_come_as_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "attach_reuseport", lambda sock, program: False)
    got: list[bytes] = []
    server = into(got)
    assert server._lane is None
    server.start()
    sent = [packet(b'{"ping":%d}' % number) for number in range(20)]
    for port in range(20):  # whatever its address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(sent[port], ("127.0.0.1", server.listener.port))
    await until(lambda: sorted(got) == sorted(sent))
    server.close()
