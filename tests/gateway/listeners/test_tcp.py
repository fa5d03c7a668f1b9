"""gateway/listeners/tcp.py and connection.py"""

import asyncio
import re
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic, time

import jwt
import pytest
import uvloop
from structlog.testing import capture_logs

from gateway.join.admission import AdmissionRules
from gateway.join.key_forms import parse_shared_secret
from gateway.join.session_tokens import SessionTokens
from gateway.join.signed_tokens import TokenVerifier
from gateway.join.token_keys import TokenKeys
from gateway.listeners.options import Listener
from gateway.listeners.tcp import SPARE_DESCRIPTORS, TCPServer, connections_allowed
from gateway.listeners.webhook import CONNECTIONS as WEBHOOKS
from gateway.settings import Settings
from tests.support.fakes import ScriptedGateway, a_grant, room_name
from tests.support.sockets import needs_ipv6
from tests.support.waiting import until
from tsudoi.protocol.backbone import Create, Item, Join, ListRooms, Rooms
from tsudoi.protocol.backbone import Refused as Declined
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC, TCRP, TCRP_200, TCRP_JSON, TCRP_NO_TOKEN, TCRP_OK, TSUDOI
from tsudoi.protocol.client.handshake import serialize_request
from tsudoi.protocol.client.header import Header
from tsudoi.protocol.client.reply_decoder import AnswerReader, Granted, HandshakeRefused
from tsudoi.protocol.codes import EntryKind, LeaveReason, Operation, Rights, Status
from tsudoi.protocol.errors import MalformedMessage, SettingError
from tsudoi.protocol.names import hash_token

pytestmark = pytest.mark.uvloop

PATIENCE_S = 30.0
CREATE, JOIN = Operation.CREATE, Operation.JOIN


class Directory(ScriptedGateway):
    """A gateway whose broker grants every member, or answers as it is told."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, now=monotonic())
        self.answers = True
        self.rooms = ["den", "部屋1"]
        self.refusal: Declined | None = None
        self.token_hashes: list[bytes] = []
        self.entered: list[Create] = []
        self.asked_to_enter = asyncio.Event()

    def settle(self) -> None:
        """Answer what was asked."""
        self.now = monotonic()
        for request in self.asked(Create, Join, ListRooms):
            if isinstance(request.body, ListRooms):
                self.reply(request.id, Rooms(self.rooms))
                continue
            self.asked_to_enter.set()
            assert isinstance(request.body, Create)
            self.entered.append(request.body)
            if self.refusal is not None:
                self.reply(request.id, self.refusal)
            elif self.answers:
                assert isinstance(request.body, Create)
                self.token_hashes.append(request.body.token_hash)
                number = len(self.token_hashes)
                self.reply(request.id, a_grant(number, request.body.dialect, ip=request.body.ip))
        for room in self.members.rooms.values():
            if not room.confirmed:
                self.news(room=room.id, last=room.position)


@asynccontextmanager
async def running(
    dialect: str = "auto",
    settings: Settings | None = None,
    host: str = "127.0.0.1",
    verifier: TokenVerifier | None = None,
) -> AsyncIterator[tuple[Directory, Listener, TCPServer]]:
    """A TCP listener."""
    settings = settings or Settings(connections=500)  # more are not always allowed, and that is logged
    gateway = Directory(settings)
    rules = AdmissionRules(settings, gateway.counters, gateway.core, SessionTokens(1), verifier)
    server = TCPServer(rules, gateway.settle)
    listener = await server.open(Listener(host, 0, dialect))
    try:
        yield gateway, listener, server
    finally:
        await server.close(0.0)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        """The next segment; empty at the end."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(65_536)
            except ConnectionError:
                return b""

    async def answer(self, dialect: Dialect, operation: Operation) -> Granted | HandshakeRefused:
        """What the server says to a request."""
        reader = AnswerReader(dialect, operation)
        while segment := await self.read():
            answer = reader.feed_untrusted(segment)
            if answer is not None:
                return answer
        return reader.settle_untrusted()


@asynccontextmanager
async def connected(listener: Listener, request: bytes = b"") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    try:
        writer.write(request)
        await writer.drain()
        yield Client(reader, writer)
    finally:
        writer.close()


async def until_closed(client: Client) -> None:
    while await client.read():
        pass


@asynccontextmanager
async def never_reading(listener: Listener, request: bytes) -> AsyncIterator[socket.socket]:
    """A client that asks, and takes no more of the answer than its system does."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (listener.host, listener.port))
        await loop.sock_sendall(sock, request)
        yield sock


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_a_client_gets_a_token_that_only_it_and_the_gateway_know(host: str) -> None:
    async with running(host=host) as (gateway, listener, _):
        async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as client:
            granted = await client.answer(TSUDOI, CREATE)
            assert isinstance(granted, Granted)
            assert re.fullmatch("[0-9a-f]{32}", granted.token)
            assert gateway.token_hashes == [hash_token(granted.token.encode())]
            assert list(gateway.members.by_token) == [granted.token.encode()]
            await until_closed(client)
        assert gateway.counters.handshakes_admitted == 1
        assert gateway.published() == []


async def test_frames_come_in_segments_of_their_own() -> None:
    request = serialize_request(TCRP_200, CREATE, "den", "alice")
    async with running("tcrp-200") as (_, listener, _), connected(listener, request) as client:
        first = await client.read()
        began = monotonic()
        second = await client.read()
        assert first.endswith(b"200")
        assert len(second) > 32
        assert monotonic() - began >= TCRP_200.pause_s * 0.9


async def test_a_request_counted_in_characters_may_come_in_three_segments() -> None:
    async with running("tcrp") as (gateway, listener, _), connected(listener) as client:
        for part in (Header(3, 1, 0, 3).serialize(), "部屋1".encode(), "アリス".encode()):
            client.writer.write(part)
            await client.writer.drain()
            await asyncio.sleep(0.005)
        assert isinstance(await client.answer(TCRP, CREATE), Granted)
        assert gateway.counters.handshakes_admitted == 1


async def test_a_classic_client_reads_the_list_and_chooses() -> None:
    request = serialize_request(CLASSIC, JOIN, "", "bob")
    async with running("classic") as (_, listener, _), connected(listener, request) as client:
        assert await client.read() == "['den', '部屋1']".encode()
        client.writer.write("部屋1".encode())
        assert re.fullmatch(b"[0-9a-f]{32}", await client.read())


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Declined(Status.ROOM_EXISTS, ""), Status.ROOM_EXISTS),
        (Declined(Status.BAD_REQUEST, "words"), Status.BAD_REQUEST),
        (Declined(99, ""), Status.BAD_REQUEST),
    ],
)
async def test_a_refusal_is_told(refusal: Declined, status: Status) -> None:
    async with running() as (gateway, listener, _):
        gateway.refusal = refusal
        async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as client:
            answer = await client.answer(TSUDOI, CREATE)
            assert isinstance(answer, HandshakeRefused)
            assert answer.status == status
            await until_closed(client)
        assert sum(gateway.counters.refusals.values()) == 1
        assert gateway.members.by_token == {}


async def test_while_the_broker_is_away_clients_are_told_to_try_again() -> None:
    async with running() as (gateway, listener, _):
        gateway.answers = False
        async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as client:
            await gateway.asked_to_enter.wait()
            # The question is given up.
            gateway.wait(gateway.settings.request_timeout_s)
            answer = await client.answer(TSUDOI, CREATE)
            assert isinstance(answer, HandshakeRefused)
            assert answer.status == Status.BUSY


async def test_a_member_whose_client_went_before_its_token_came_does_not_stay() -> None:
    async with running("tcrp-200") as (gateway, listener, _):
        async with connected(listener, serialize_request(TCRP_200, CREATE, "den", "alice")) as client:
            await client.read()
            # Reset rather than closed: half a connection may still want its answer.
            linger = struct.pack("ii", 1, 0)
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while not (items := gateway.published()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert items == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.LEFT)]


async def test_a_port_announced_before_or_after_the_token_is_where_datagrams_go() -> None:
    async with running("tcrp-ok") as (gateway, listener, _):
        request = serialize_request(TCRP_OK, CREATE, "den", "alice", None, 50_000)
        async with connected(listener, request) as client:
            assert isinstance(await client.answer(TCRP_OK, CREATE), Granted)
        (located,) = gateway.published()
        assert located.text == "127.0.0.1 50000 0"
    async with running("tcrp-json") as (gateway, listener, _):
        async with connected(listener, serialize_request(TCRP_JSON, CREATE, "den", "alice")) as client:
            assert isinstance(await client.answer(TCRP_JSON, CREATE), Granted)
            client.writer.write(b"\xc3\x50")
            await until_closed(client)
        (located,) = gateway.published()
        assert located.text == "127.0.0.1 50000 0"


async def test_connections_that_say_nothing_end_in_time() -> None:
    settings = Settings(first_byte_s=0.05, request_s=0.05)
    async with running(settings=settings) as (_, listener, _):
        async with connected(listener) as silent:
            assert await silent.read() == b""
        async with connected(listener, b"\3\1") as slow:
            assert await slow.read() == b""


async def test_who_has_been_silent_for_longest_makes_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.listeners.tcp.EVICT_AFTER_S", 0.0)
    async with running(settings=Settings(connections=2)) as (gateway, listener, _):
        async with connected(listener) as first, connected(listener, b"\3"):
            async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as third:
                assert isinstance(await third.answer(TSUDOI, CREATE), Granted)
            assert await first.read() == b""
        assert gateway.counters.connections_evicted == 1
        assert gateway.counters.connections_refused == 0


async def test_a_full_address_closes_its_longest_silent_connection() -> None:
    settings = Settings(unlimited=(), address_connections=2)
    async with running(settings=settings) as (gateway, listener, _):
        async with connected(listener) as first, connected(listener, b"\3") as second:
            async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as third:
                assert isinstance(await third.answer(TSUDOI, CREATE), Granted)
            assert await first.read() == b""
            async with connected(listener), connected(listener):
                assert await second.read() == b""
        assert gateway.counters.connections_evicted == 2
        assert gateway.counters.connections_refused == 0


async def test_an_address_that_asks_too_often_is_answered_busy_once() -> None:
    settings = Settings(unlimited=(), address_rate=0.1)
    async with running(settings=settings) as (gateway, listener, _):
        answers: list[type] = []
        for number in range(4):
            async with connected(listener, serialize_request(TSUDOI, CREATE, f"den{number}", "alice")) as client:
                try:
                    answers.append(type(await client.answer(TSUDOI, CREATE)))
                except MalformedMessage:
                    answers.append(type(None))
        assert answers == [Granted, HandshakeRefused, type(None), type(None)]
        assert len(gateway.entered) == 1
        assert gateway.counters.handshakes_limited == 3


async def test_requests_on_a_connection_that_stays_open_count_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    # Three at once, and nothing comes back while this runs.
    monkeypatch.setattr("gateway.join.quotas.BURST_S", 3_000.0)
    monkeypatch.setattr("gateway.join.quotas.BUSY_ANSWER_S", 3_000.0)
    settings = Settings(unlimited=(), address_rate=0.001)
    async with running("tcrp-no-token", settings) as (gateway, listener, server):
        gateway.refusal = Declined(Status.ROOM_NOT_FOUND, "")
        request = serialize_request(TCRP_NO_TOKEN, JOIN, "den", "alice")
        async with connected(listener) as told, connected(listener) as closed:
            await until(lambda: server.connections == 2)
            statuses = []
            for client in (told, told, told, closed):
                client.writer.write(request)
                answer = await client.answer(TCRP_NO_TOKEN, JOIN)
                assert isinstance(answer, HandshakeRefused)
                statuses.append(answer.status)
            # Of each connection the first one is free: it was counted when it was opened.
            assert statuses == [Status.ROOM_NOT_FOUND, Status.ROOM_NOT_FOUND, Status.BUSY, Status.ROOM_NOT_FOUND]
            assert await told.read() == b""
            closed.writer.write(request)
            assert await closed.read() == b""
        assert len(gateway.entered) == 3
        assert gateway.counters.handshakes_limited == 2


HALF = Header(3, 1, 0, 9_000).serialize() + b"den"


async def handshakes(dialect: str, *conversations: tuple[bytes, bool]) -> None:
    """Let clients send these bytes, one after the other; each reads to the end, or closes at once."""
    async with running(dialect) as (_, listener, server):
        for data, reads in conversations:
            async with connected(listener, data) as client:
                if reads:
                    await until_closed(client)
            await until(lambda: server.connections == 0)


def test_each_connection_is_one_line_whatever_came_of_it() -> None:
    create = serialize_request(CLASSIC, CREATE, "den", "alice")
    refused = Header(3, 7, 0, 5).serialize() + b"denalice"
    with capture_logs() as lines:
        uvloop.run(
            handshakes(
                "auto",
                (create, True),
                (refused, True),
                (create[:-1], False),
                (b"GET / HTTP/1.1\r\n", False),
                (b"", False),
            )
        )
    assert all(line["event"] == "handshake" for line in lines)
    assert [(line["outcome"], line["log_level"]) for line in lines] == [
        ("created", "info"),
        ("refused: Bad request: operation 7 is neither create (1) nor join (2)", "info"),
        ("no whole request: the client closed the connection", "info"),
        ("no whole request: the client closed the connection", "info"),
        ("no request: the client closed the connection", "info"),
    ]
    assert [line["hint"].partition(" ")[0] for line in lines] == ["read", "the", "room", "this", "the"]
    assert "HTTP (GET)" in lines[3]["hint"]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d\d+=auto", line["listener"]) for line in lines)
    assert all(line["source_port"] > 0 for line in lines)


def test_whoever_holds_most_is_cut_off_and_not_who_speaks_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.listeners.tcp.HELD", 10_000)

    async def scenario() -> None:
        async with running() as (gateway, listener, server):
            async with (
                connected(listener, HALF + b"x" * 6_000) as most,
                connected(listener, HALF + b"x" * 3_925) as other,
            ):
                await until(lambda: server.held == 9_925 + 2 * len(HALF))
                async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as client:
                    assert isinstance(await client.answer(TSUDOI, CREATE), Granted)
                assert await most.read() == b""
                assert gateway.counters.buffers_full == 1
                other.writer.write(b"x" * 5_000)
                await until(lambda: server.held == 8_925 + len(HALF))
                async with connected(listener, HALF + b"x" * 6_000):
                    # Said a moment ago: not said again.
                    assert await other.read() == b""
                assert gateway.counters.buffers_full == 2
            await until(lambda: server.held == 0)

    with capture_logs() as lines:
        uvloop.run(scenario())
    said = [line["event"] for line in lines if line["log_level"] not in ("debug", "info")]
    assert said == ["too many bytes are held for TCP clients: the one with the most is cut off"]


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_what_is_answered_is_not_held_any_more(run: Callable[..., None]) -> None:
    request = serialize_request(CLASSIC, JOIN, "", "bob")

    async def scenario() -> None:
        async with running("classic") as (_, listener, server):
            async with connected(listener, request + b"\xff" * 9) as client:
                assert await client.read() == "['den', '部屋1']".encode()
                # It reads and chooses for as long as it likes.
                assert server.held == len(request) + 9 + len("bob")
            await until(lambda: server.held == 0)
        async with running("tcrp-no-token") as (gateway, listener, server):
            gateway.refusal = Declined(Status.ROOM_NOT_FOUND, "")
            async with connected(listener, serialize_request(TCRP, JOIN, "den", "bob")) as client:
                assert isinstance(await client.answer(TCRP_NO_TOKEN, JOIN), HandshakeRefused)
                assert (server.held, server.connections) == (0, 1)

    run(scenario())


async def test_what_is_said_meanwhile_is_held() -> None:
    async with running("tcrp-no-token") as (gateway, listener, server):
        gateway.answers = False
        request = serialize_request(TCRP, JOIN, "den", "bob")
        async with connected(listener, request) as client:
            await gateway.asked_to_enter.wait()
            client.writer.write(bytes(3_000))
            await until(lambda: server.held == 3_000 + len(request) + len("denbob"))


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_an_answer_that_is_not_taken_is_held(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with running() as (gateway, listener, server):
            gateway.rooms = ["x" * 1_000_000] * 8  # more than the system takes for us
            loop = asyncio.get_running_loop()
            async with never_reading(listener, Header(0, 2, 0, 0).serialize()) as lazy:
                await until(lambda: server.held > 100_000)
                # One that reads after all gets all of it.
                read = 0
                while part := await loop.sock_recv(lazy, 2**20):
                    read += len(part)
                assert read > 8_000_000
                assert server.held == 0
        # Another gateway, as the first has had no word of its broker meanwhile.
        async with running() as (gateway, listener, server):
            gateway.rooms = ["x" * 1_000_000] * 8
            async with never_reading(listener, Header(0, 2, 0, 0).serialize()):
                await until(lambda: server.held > 100_000)
                monkeypatch.setattr("gateway.listeners.tcp.HELD", server.held * 5 // 4)
                async with never_reading(listener, Header(0, 2, 0, 0).serialize()):
                    await until(lambda: gateway.counters.buffers_full == 1 and server.connections == 1)

    run(scenario())


async def test_one_connection_too_many_is_closed_at_once() -> None:
    async with running(settings=Settings(connections=2)) as (gateway, listener, _):
        async with connected(listener, b"\3"), connected(listener, b"\3"), connected(listener) as third:
            assert await third.read() == b""
            assert gateway.counters.connections_refused == 1
        async with connected(listener, serialize_request(TSUDOI, CREATE, "den", "alice")) as client:
            for _ in range(100):
                if await client.read():
                    break
                await asyncio.sleep(0.01)


async def test_that_no_connection_is_left_is_logged_once() -> None:
    with capture_logs() as lines:
        async with running(settings=Settings(connections=1)) as (gateway, listener, _), connected(listener, b"\3"):
            for _ in range(3):
                async with connected(listener) as refused:
                    assert await refused.read() == b""
            assert gateway.counters.connections_refused == 3
    (line,) = [line for line in lines if line["event"] == "no connection is left: a new client is turned away"]
    assert (line["limit"], line["ip"], line["open"]) == ("--connections", "127.0.0.1", 1)


async def test_an_address_that_listed_rooms_is_remembered_for_what_it_asks_next() -> None:
    async with running("auto") as (gateway, listener, _):
        async with connected(listener, Header(0, 2, 0, 0).serialize()) as client:
            assert (await client.read()).endswith("den,部屋1".encode())
            await until_closed(client)
        async with connected(listener, serialize_request(TCRP_OK, CREATE, "den", "alice", None, 50_000)) as client:
            assert isinstance(await client.answer(TCRP_OK, CREATE), Granted)
        (member,) = gateway.members.by_token.values()
        assert member.dialect is TCRP_OK


async def test_closing_the_listener_ends_who_has_not_asked_and_lets_who_has_finish() -> None:
    async with running("tcrp-200") as (_, listener, server):
        request = serialize_request(TCRP_200, CREATE, "den", "alice")
        async with connected(listener) as silent, connected(listener, request) as client:
            first = await client.read()
            assert first.endswith(b"200")
            await server.close(0.6)
            server.look()  # the gateway goes on looking while it drains
            assert len(await client.read()) > 32
            assert await silent.read() == b""
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection(listener.host, listener.port)


@pytest.mark.parametrize("turns", range(3))
async def test_a_client_that_is_accepted_while_the_listener_closes_is_not_overlooked(turns: int) -> None:
    """Its connection is made some turns of the event loop after it was accepted."""
    async with running() as (gateway, listener, server):
        with socket.create_connection((listener.host, listener.port)) as client:
            client.sendall(serialize_request(TSUDOI, CREATE, "den", "alice"))
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.close(0.6)
            entered = len(gateway.entered)
            for _ in range(10):
                await asyncio.sleep(0)
            assert (server.connections, len(gateway.entered)) == (0, entered)


async def test_a_taken_address_is_a_setting_error_of_one_line() -> None:
    async with running() as (_, listener, server):
        with pytest.raises(SettingError, match=rf"^can not listen on TCP {listener}: Address already in use$"):
            await server.open(listener)


async def test_bytes_of_any_kind_end_in_a_refusal() -> None:
    async with running() as (gateway, listener, _):
        for raw in (b"\xff" * 40, b"GET / HTTP/1.1\r\nHost: " + room_name(1).encode() * 9 + b"\r\n\r\n", bytes(64)):
            async with connected(listener, raw) as client:
                assert (await client.read()).startswith(b"ERROR: Bad request")
        assert gateway.counters.refusals["bad_request"] == 3


async def test_a_signed_token_is_checked_at_the_listener() -> None:
    secret = b"a secret of at least thirty-two bytes"
    claims = {"name": "alice", "rooms": ["den"], "moderator": True, "exp": time() + 60}
    token = jwt.encode(claims, secret)
    verifier = TokenVerifier(TokenKeys((parse_shared_secret(secret),)), required=True)
    async with running(verifier=verifier) as (gateway, listener, _):
        for user, room, reason in (
            ("alice", "den", "Wrong password: a token is needed here"),
            (token, "lab", "Wrong password: the token is not for this room"),
            (f"{token[:-4]}AAAA", "den", "Wrong password: the token is not signed by a key that is known here"),
        ):
            async with connected(listener, serialize_request(TSUDOI, JOIN, room, user)) as client:
                assert await client.answer(TSUDOI, JOIN) == HandshakeRefused(Status.WRONG_PASSWORD, reason)
        assert gateway.counters.refusals["token_refused"] == 3
        assert gateway.entered == []
        async with connected(listener, serialize_request(TSUDOI, JOIN, "den", token, "moon")) as client:
            assert isinstance(await client.answer(TSUDOI, JOIN), Granted)
        (asked,) = gateway.entered
        assert (asked.user, asked.password, asked.rights) == ("alice", "moon", Rights.VERIFIED | Rights.MODERATOR)


async def test_an_address_with_too_many_connections_takes_the_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.listeners.tcp.EVICT_AFTER_S", 0.0)
    settings = Settings(unlimited=(), connections=3, address_connections=2)
    async with running(settings=settings) as (gateway, listener, server):
        reader, writer = await asyncio.open_connection(listener.host, listener.port, local_addr=("127.0.0.2", 0))
        async with connected(listener) as first, connected(listener):
            await until(lambda: server.connections >= 3)
            async with connected(listener):
                assert await first.read() == b""
            assert not reader.at_eof()
        writer.close()
        assert (gateway.counters.connections_evicted, gateway.counters.connections_refused) == (1, 0)


def test_connections_are_no_more_than_descriptors_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(300, 1_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    assert connections_allowed(Settings(connections=20, web_connections=10), True) >= 20
    assert limits == [(300, 1_000)]
    assert connections_allowed(Settings(connections=120, web_connections=300), True) >= 120
    assert limits[1:] == [(120 + 300 + WEBHOOKS + SPARE_DESCRIPTORS, 1_000)]
    assert connections_allowed(Settings(), True) == 1_000 - SPARE_DESCRIPTORS
    assert limits[2:] == [(1_000, 1_000)]


def test_a_limit_of_open_files_that_is_too_low_for_all_listeners_together_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_000, 1_000))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)  # else this process keeps that limit
    with capture_logs() as lines:
        connections_allowed(Settings(connections=500, web_connections=500), False)
    assert lines == []
    with capture_logs() as lines:
        connections_allowed(Settings(connections=500, web_connections=500), True)
    (line,) = lines
    assert (line["limit"], line["needed"]) == (1_000, 500 + 500 + WEBHOOKS + SPARE_DESCRIPTORS)
    assert "--web-connections" in line["event"]
