"""gateway/listeners/webhook.py: real connections, and a broker that answers when a test says so."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.join.key_forms import parse_shared_secret
from gateway.join.password_attempts import PasswordAttempts
from gateway.join.rate_keys import RateKeys
from gateway.join.signed_tokens import TokenVerifier
from gateway.join.token_keys import TokenKeys
from gateway.link.requests import OnAnswer
from gateway.link.routes import Routes
from gateway.listeners import http_connection, webhook
from gateway.listeners.options import HttpListener
from gateway.listeners.webhook import WebhookServer
from gateway.settings import Settings
from gateway.webhook.rules import Rules
from tests.gateway.webhook.conftest import SECRET, WALL, a_token
from tests.support.certificates import a_certificate
from tests.support.waiting import until
from tsudoi.protocol.backbone import Posted

pytestmark = pytest.mark.uvloop

PATIENCE_S = 60.0
POSTED = Posted("ci[bot]", 1, 7, True)
NOT_FOUND = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def a_post(body: bytes = b"hello", length: int | None = None) -> bytes:
    head = (
        f"POST /rooms/den/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {a_token(exp=WALL * 2)}\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


class Broker:
    """What the link would be: it keeps questions until a test answers them."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[OnAnswer] = asyncio.Queue()

    def is_any_alive(self, now: float) -> bool:
        return True

    def ask_about(self, room: str, post: Any, now: float, on_answer: OnAnswer) -> None:
        self.asked.put_nowait(on_answer)

    async def answer(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            (await self.asked.get())(POSTED, monotonic())


class Place:
    """A server, its broker and its port."""

    def __init__(self, tls: bool = False) -> None:
        settings, self.counters, self.broker = Settings(), Counters(), Broker()
        verifier = TokenVerifier(TokenKeys((parse_shared_secret(SECRET),)), required=False)
        rate_keys = RateKeys(settings)
        passwords = PasswordAttempts(settings, self.counters, rate_keys)
        rules = Rules(settings, self.counters, verifier, passwords, rate_keys)
        self.certificate = a_certificate() if tls else None
        self.server = WebhookServer(rules, cast(Routes, self.broker), lambda: None, self.certificate)
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = None if self.certificate is None else unverified()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        self.writers.append(writer)
        writer.write(data)
        return reader, writer


@asynccontextmanager
async def running(tls: bool = False) -> AsyncIterator[Place]:
    place = Place(tls)
    place.port = (await place.server.open(HttpListener("127.0.0.1", 0, tls, "webhook"))).port
    try:
        yield place
    finally:
        await place.server.close(0.0)
        for writer in place.writers:
            writer.transport.abort()
        await asyncio.sleep(0)
        assert place.server.connections == 0


async def statuses(reader: asyncio.StreamReader) -> list[int]:
    """Return the statuses of all answers until the server closes the connection."""
    async with asyncio.timeout(PATIENCE_S):
        data = await reader.read()
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


async def test_at_the_stop_the_last_request_is_answered_and_idle_connections_end() -> None:
    async with running() as place:
        asked, post = await place.connect(a_post())
        idle, other = await place.connect()
        await until(lambda: place.server.connections == 2 and not place.broker.asked.empty())
        closing = asyncio.create_task(place.server.close(PATIENCE_S))
        assert await statuses(idle) == []
        await place.broker.answer()
        assert await statuses(asked) == [200]
        for writer in (post, other):
            writer.close()
        await closing


async def test_at_the_stop_a_request_without_an_answer_is_waited_for_no_longer_than_the_grace() -> None:
    async with running() as place:
        _, writer = await place.connect(a_post())
        await until(lambda: not place.broker.asked.empty())
        await place.server.close(0.01)
        assert place.server.connections == 0
        # The answer comes to nobody.
        await place.broker.answer()
        writer.close()


async def test_a_slow_request_is_told_so_and_a_silent_connection_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_S", 0.05)
    async with running() as place:
        slow, _ = await place.connect(a_post(length=9))
        silent, _ = await place.connect()
        assert await statuses(slow) == [408]
        assert await statuses(silent) == []


class StuckTransport(asyncio.Transport):
    """The transport of a client that takes nothing."""

    is_read = True
    is_aborted = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5000)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def abort(self) -> None:
        self.is_aborted = True


async def test_a_client_that_takes_no_answers_is_not_read_either_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_S", 0.05)
    async with running() as place:
        connection, transport = webhook.WebhookConnection(place.server), StuckTransport()
        connection.connection_made(transport)
        connection.data_received(NOT_FOUND)
        for is_writable in (False, True, False):
            (connection.resume_writing if is_writable else connection.pause_writing)()
            assert transport.is_read is is_writable
        await until(lambda: transport.is_aborted)
        connection.connection_lost(None)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_connection_that_is_over_is_read_on_until_its_client_ends_it(
    monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    """It is not read while the broker is asked."""
    monkeypatch.setattr(http_connection, "LINGER_S", 2 * PATIENCE_S)
    async with running(tls) as place:
        reader, writer = await place.connect(a_post().replace(b"Host: a", b"Host: a\r\nConnection: close"))
        await until(lambda: not place.broker.asked.empty())
        writer.write(bytes(100_000))
        await place.broker.answer()
        assert await statuses(reader) == [200]
        writer.close()
        await until(lambda: place.server.connections == 0)


async def test_a_client_that_only_closes_its_half_gets_its_answer() -> None:
    async with running() as place:
        reader, writer = await place.connect(a_post())
        writer.write_eof()
        await place.broker.answer()
        assert await statuses(reader) == [200]


async def test_a_client_that_goes_while_the_broker_is_asked_leaves_nothing_behind() -> None:
    async with running() as place:
        _, writer = await place.connect(a_post())
        await until(lambda: not place.broker.asked.empty())
        writer.transport.abort()
        await place.broker.answer()
        await until(lambda: not place.server.connections)


async def test_one_connection_too_many_ends_the_one_that_waits_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "CONNECTIONS", 3)
    monkeypatch.setattr(http_connection, "EVICT_AFTER_S", 0.0)
    async with running() as place:
        asked, _ = await place.connect(a_post())
        await until(lambda: not place.broker.asked.empty())
        silent = []
        for number in range(2):
            silent.append(await place.connect())
            await until(lambda number=number: place.server.connections == 2 + number)  # type: ignore[misc]
        newest, _ = await place.connect(NOT_FOUND)
        assert await statuses(silent[0][0]) == []
        async with asyncio.timeout(PATIENCE_S):
            assert (await newest.readuntil(b"\r\n")).startswith(b"HTTP/1.1 404")
        assert place.counters.webhook_connections_refused == 1
        await place.broker.answer()
        async with asyncio.timeout(PATIENCE_S):
            assert (await asked.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_one_connection_too_many_ends_itself_while_all_others_are_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "CONNECTIONS", 1)
    monkeypatch.setattr(http_connection, "EVICT_AFTER_S", PATIENCE_S)
    async with running() as place:
        first, writer = await place.connect()
        await until(lambda: place.server.connections == 1)
        second, _ = await place.connect()
        with suppress(ConnectionResetError):
            assert await statuses(second) == []
        writer.write(NOT_FOUND)
        async with asyncio.timeout(PATIENCE_S):
            assert (await first.readuntil(b"\r\n")).startswith(b"HTTP/1.1 404")


class Logger:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **values: Any) -> None:
        self.lines.append(values)

    def debug(self, event: str, **values: Any) -> None:
        assert "why" not in values


async def test_refusals_are_logged_with_their_reason_but_not_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "logger", logger := Logger())

    async with running() as place:
        for number in range(40):
            place.server.log("192.0.2.1", 401, "", "no token")
            place.server.log(f"198.51.100.{number}", 403, "den", "not for this room")
        place.server.log("192.0.2.1", 200, "den", "")
    assert [line["status"] for line in logger.lines if line["ip"] == "192.0.2.1"] == [401]
    assert 20 <= len(logger.lines) < 40


async def test_each_reason_of_an_address_is_logged_and_a_room_if_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "logger", logger := Logger())

    async with running() as place:
        place.server.log("192.0.2.1", 403, "", "the token is not for this room")
        place.server.log("192.0.2.1", 403, "den", "banned")
    assert [(line["why"], line.get("room")) for line in logger.lines] == [
        ("the token is not for this room", None),
        ("banned", "den"),
    ]
