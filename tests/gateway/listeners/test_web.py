"""gateway/listeners/web.py: real connections, and a gateway without a broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.listeners import http_connection, web
from gateway.listeners.options import HttpListener
from gateway.listeners.web import WebServer
from tests.gateway.web.surfing import rules_of
from tests.support.fakes import World
from tests.support.waiting import until

pytestmark = pytest.mark.uvloop

PATIENCE_S = 60.0
GET = b"GET /icon.svg HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def frame(text: str) -> bytes:
    """A client's frame of at most 125 bytes, masked with zeros."""
    raw = text.encode()
    return bytes((0x81, 0x80 | len(raw))) + bytes(4) + raw


class Client:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> int:
        """Send a request; return the status of the answer, 0 if the connection ends without one."""
        self.writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0
            lengths = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
            await self.reader.readexactly(int(lengths[0].split()[1]) if lengths else 0)
        return int(head.split()[1])

    async def ends(self) -> None:
        """Wait until the server ends the connection."""
        async with asyncio.timeout(PATIENCE_S):
            assert await self.reader.read() == b""


class Place:
    """A server and its port."""

    def __init__(self, **settings: Any) -> None:
        gateway = World(1).start_gateway().gateway
        for name, value in settings.items():
            setattr(gateway.settings, name, value)
        self.counters = gateway.counters
        self.server = WebServer(rules_of(gateway), (), lambda: None)
        self.port = 0
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        self.clients.append(client := Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return client


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Place]:
    place = Place(**settings)
    place.port = (await place.server.open(HttpListener("127.0.0.1", 0))).port
    try:
        yield place
    finally:
        await place.server.close(0.0)
        for client in place.clients:
            client.writer.transport.abort()
        await asyncio.sleep(0)
        assert place.server.connections == 0


async def test_a_connection_that_asks_for_nothing_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_S", 0.1)
    async with running() as place:
        client = await place.connect()
        assert [await client.ask(GET) for _ in range(3)] == [200, 200, 200]
        await client.ends()


async def test_a_connection_that_was_served_makes_room_for_another_of_its_address() -> None:
    async with running(address_connections=3, unlimited=()) as place:
        pages = [await place.connect() for _ in range(3)]
        for page in pages:
            assert await page.ask(GET) == 200
        sockets = [await place.connect() for _ in range(3)]
        assert [await each.ask(UPGRADE) for each in sockets] == [101, 101, 101]
        for page in pages:
            await page.ends()
        assert place.counters.web_connections_refused == 0
        refused = await place.connect()
        assert await refused.ask(UPGRADE) == 503
        assert place.counters.web_connections_refused == 1


async def test_a_client_that_is_turned_away_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "EVICT_AFTER_S", PATIENCE_S)
    with capture_logs() as lines:
        async with running(web_connections=1) as place:
            await place.connect()
            await until(lambda: place.server.connections == 1)
            for _ in range(2):
                await (await place.connect()).ends()
    (line,) = lines
    assert (line["event"], line["limit"]) == ("no connection is left: a new client is turned away", "--web-connections")


async def test_those_that_are_refused_make_no_room_for_more_than_an_address_may_have() -> None:
    async with running(address_connections=3, unlimited=()) as place:
        assert [await (await place.connect()).ask(UPGRADE) for _ in range(12)] == [101] * 3 + [503] * 9
        assert place.counters.web_connections_refused == 9


async def test_a_websocket_in_no_room_makes_room_for_another_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(address_connections=2, unlimited=()) as place:
        idle = [await place.connect() for _ in range(2)]
        assert [await each.ask(UPGRADE) for each in idle] == [101] * 2
        monkeypatch.setattr(web, "NO_ROOM_S", 0.0)
        assert await (await place.connect()).ask(UPGRADE) == 101
        await until(lambda: place.server.connections == 2)
        assert place.counters.web_connections_refused == 0


async def test_a_websocket_that_was_refused_a_place_in_a_room_makes_room_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "for_members", lambda most: 0)
    async with running(address_connections=1, unlimited=()) as place:
        refused = await place.connect()
        assert await refused.ask(UPGRADE) == 101
        early = await place.connect()
        assert await early.ask(UPGRADE) == 503
        early.writer.close()
        await until(lambda: place.server.connections == 1)
        refused.writer.write(frame('{"id":1,"connect":{"data":{"name":"eve"}}}'))
        refused.writer.write(frame('{"id":2,"subscribe":{"channel":"lair"}}'))
        async with asyncio.timeout(PATIENCE_S):
            await refused.reader.readuntil(b'"your address has its most connections"')
        assert await (await place.connect()).ask(UPGRADE) == 101


async def test_a_client_that_takes_no_answers_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_S", 0.2)
    monkeypatch.setattr(http_connection, "LINGER_S", 0.2)
    async with running() as place:
        client = await place.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(2_000):
            if client.writer.is_closing():
                break
            client.writer.write(GET.replace(b"icon.svg", b"page.css"))
            await asyncio.sleep(0)
        await until(lambda: place.server.connections == 0)


async def test_a_stop_ends_all_connections_and_tells_websockets_why() -> None:
    async with running() as place:
        page, socket = await place.connect(), await place.connect()
        assert await page.ask(GET) == 200
        assert await socket.ask(UPGRADE) == 101
        closing = asyncio.create_task(place.server.close(PATIENCE_S))
        await page.ends()
        async with asyncio.timeout(PATIENCE_S):
            assert (await socket.reader.read())[:4] == b"\x88\x12\x0b\xb9"  # 3001
        for client in (page, socket):
            client.writer.close()
        await closing
