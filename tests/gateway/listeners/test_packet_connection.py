"""gateway/listeners/packet_connection.py: TCP connections that carry packets of version 2."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import cast

import pytest

from gateway.counters import Counters
from gateway.join.admission import AdmissionRules
from gateway.join.session_tokens import SessionTokens
from gateway.listeners import packet_connection, sockaddr
from gateway.listeners.options import Listener
from gateway.listeners.packet_connection import SLICE, UNSENT, PacketConnection, PacketConnections
from gateway.listeners.tcp import TCPServer
from gateway.sealed.carried import Carried
from gateway.sealed.link import SealedLink
from gateway.settings import Settings
from tests.support.fakes import ScriptedGateway
from tests.support.waiting import until
from tsudoi.protocol.sealed.packets import HEADER_SIZE, MAX_PACKET
from tsudoi.protocol.sealed.tcp_framing import framed

pytestmark = pytest.mark.uvloop

PACKET = bytes(range(HEADER_SIZE)) + b"the rest"
INDEX = 3


class FakeLink:
    """As much of a link as `Carried` looks at."""

    def __init__(self, address: bytes) -> None:
        self.listener, self.address = INDEX, address


class Stage:
    """A TCP listener, and what has come to it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.gateway = ScriptedGateway(settings or Settings(), now=monotonic())
        self.carried = Carried(INDEX)
        self.came: list[tuple[bytes, bytes]] = []
        self.ended: list[bytes] = []
        self.counters = self.gateway.counters
        gateway = self.gateway
        rules = AdmissionRules(gateway.settings, self.counters, gateway.core, SessionTokens(1), None)
        self.server = TCPServer(rules, lambda: None)
        self.server.packets = self.packets = PacketConnections(
            self.carried, self.counters, self._take, lambda: None, self.ended.append
        )

    def _take(self, listener: int, packet: bytes, address: bytes, now: float) -> None:
        assert listener == INDEX
        self.came.append((packet, address))

    def serve(self, address: bytes) -> None:
        """Serve a member over a connection."""
        self.carried.begin(cast(SealedLink, FakeLink(address)))


@asynccontextmanager
async def running(settings: Settings | None = None) -> AsyncIterator[tuple[Stage, Listener]]:
    stage = Stage(settings)
    listener = await stage.server.open(Listener("127.0.0.1", 0))
    try:
        yield stage, listener
    finally:
        await stage.server.close(0.0)


async def test_packets_come_with_the_address_of_their_connection_and_go_back_to_it() -> None:
    async with running() as (stage, listener):
        ends = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        for at, (_, writer) in enumerate(ends):
            writer.write(framed(PACKET + bytes((at,))))
            await until(lambda at=at: len(stage.came) == at + 1)  # type: ignore[misc]
        (_, first), (_, second) = stage.came
        assert first != second
        assert sockaddr.unpack(first) == ends[0][1].get_extra_info("sockname")
        stage.packets.send_to(second, b"x" * 40)
        stage.packets.send_many_to(second, [b"y" * 40, b"z" * 40])
        assert await ends[1][0].readexactly(3 * 42) == b"".join(map(framed, (b"x" * 40, b"y" * 40, b"z" * 40)))
        for _, writer in ends:
            writer.close()
        await until(lambda: sorted(stage.ended) == sorted((first, second)))
        assert len(stage.packets) == 0


async def test_packets_may_come_byte_by_byte() -> None:
    async with running() as (stage, listener):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        for byte in framed(PACKET) * 2:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.001)
        await until(lambda: [packet for packet, _ in stage.came] == [PACKET, PACKET])
        writer.close()


@pytest.mark.parametrize("first", [framed(PACKET), b""], ids=["later", "at first"])
async def test_a_size_out_of_bounds_ends_the_connection(first: bytes) -> None:
    async with running() as (stage, listener):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(first + (framed(PACKET) if not first else b"") + (MAX_PACKET + 1).to_bytes(2))
        assert await reader.read() == b""
        assert stage.counters.sealed_dropped["malformed"] == 1
        writer.close()


async def test_a_connection_that_serves_no_member_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_connection, "UNUSED_S", 0.3)
    async with running() as (stage, listener):
        idle, used = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        used[1].write(framed(PACKET))
        await until(lambda: len(stage.came) == 1)
        address = stage.came[0][1]
        link = cast(SealedLink, FakeLink(address))
        stage.carried.begin(link)
        begun = monotonic()
        idle[1].write(framed(PACKET))
        assert await idle[0].read() == b""
        assert monotonic() - begun >= 0.25
        assert len(stage.packets) == 1
        assert not used[0].at_eof()
        stage.carried.end(link)
        assert await used[0].read() == b""
        for _, writer in (idle, used):
            writer.close()


async def test_a_client_that_does_not_read_is_closed_before_much_waits_for_it() -> None:
    async with running() as (stage, listener):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            sock.connect(("127.0.0.1", listener.port))
            sock.sendall(framed(PACKET))
            await until(lambda: len(stage.came) == 1)
            address = stage.came[0][1]
            stage.serve(address)
            sent = 0
            was_behind = False
            while not stage.ended:
                stage.packets.send_to(address, bytes(MAX_PACKET))
                sent += MAX_PACKET
                await asyncio.sleep(0)
                was_behind = was_behind or stage.carried.is_behind(address)
                assert stage.server.held <= UNSENT + 2 * MAX_PACKET
                assert sent < 2**26
        assert was_behind
        assert stage.counters.sealed_slow == 1
        assert stage.server.held == 0
        assert stage.server.connections == 0


class FakeTransport:
    """Counts when it was paused."""

    def __init__(self) -> None:
        self.paused = False

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return "127.0.0.1", 5

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_one_connection_with_very_many_packets_takes_turns_with_others() -> None:
    came: list[bytes] = []
    packets = PacketConnections(
        Carried(INDEX), Counters(), lambda _, packet, *__: came.append(packet), lambda: None, lambda _: None
    )
    transport = FakeTransport()
    connection = packets.add(cast(asyncio.Transport, transport), lambda why: None, lambda: None)
    assert isinstance(connection, PacketConnection)
    connection.receive(framed(PACKET) * 200)
    assert len(came) == SLICE
    assert transport.paused
    await until(lambda: len(came) == 200 and not transport.paused)
    packets.end_all()


async def test_unused_connections_make_room_for_others_and_used_ones_do_not() -> None:
    async with running(Settings(address_connections=2, unlimited=())) as (stage, listener):
        first, second = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        first[1].write(framed(PACKET))
        await until(lambda: len(stage.came) == 1)
        stage.serve(stage.came[0][1])
        second[1].write(framed(PACKET))
        await until(lambda: len(stage.came) == 2)
        third = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await second[0].read() == b""
        assert not first[0].at_eof()
        for _, writer in (first, second, third):
            writer.close()


async def test_some_places_of_an_address_are_for_clients_in_no_room() -> None:
    async with running(Settings(address_connections=16, unlimited=())) as (stage, listener):

        async def carry() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            count = len(stage.came)
            ends = await asyncio.open_connection("127.0.0.1", listener.port)
            ends[1].write(framed(PACKET))
            await until(lambda: len(stage.came) == count + 1 or ends[0].at_eof())
            return ends

        carrying = [await carry() for _ in range(15)]
        *used, (_, last) = stage.came
        for _, address in used:
            stage.serve(address)
        carrying.append(await carry())  # in place of the one that serves no member
        assert await carrying[14][0].read() == b""
        assert last in stage.ended
        stage.serve(stage.came[-1][1])
        carrying.append(await carry())
        assert len(stage.came) == 16
        assert stage.counters.connections_refused == 1
        assert len(stage.packets) == 15
        for _, writer in carrying:
            writer.close()


async def test_a_request_with_an_empty_room_is_still_a_request() -> None:
    async with running() as (stage, listener):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(bytes((0, 2, 0)) + bytes(29))
        await until(lambda: bool(stage.gateway.routes.waiting) or bool(stage.counters.refusals))
        assert not stage.came
        assert len(stage.packets) == 0
        writer.close()
