"""gateway/listeners/tls.py"""

import asyncio
import contextlib
import datetime
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trustme
import uvloop
from structlog.testing import capture_logs

from gateway.explain.other_protocols import TLS_RECORD
from gateway.join.admission import AdmissionRules
from gateway.join.session_tokens import SessionTokens
from gateway.listeners.handshake_turns import HandshakeTurns
from gateway.listeners.options import Listener, TlsFiles
from gateway.listeners.tcp import TCPServer
from gateway.listeners.tls import Certificate, load
from gateway.listeners.tls_layer import Broken, TlsLayer
from gateway.settings import Settings
from tests.gateway.listeners.test_tcp import Client, Directory
from tests.support.waiting import until
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.dialects import DIALECTS, TCRP_NO_TOKEN, TSUDOI
from tsudoi.protocol.client.handshake import encode_room_list, serialize_request
from tsudoi.protocol.client.header import Header
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import SettingError
from tsudoi.protocol.names import MAX_NAME_SIZE, hash_token

PATIENCE_S = 30.0
HERE = "127.0.0.1"
CA = trustme.CA()
BOTH_LOOPS = pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])


def files(folder: Path, certificate: trustme.LeafCert, key: trustme.LeafCert | None = None) -> TlsFiles:
    """A certificate and a key as an administrator leaves them."""
    folder.mkdir(exist_ok=True)
    found = TlsFiles(folder / "server.pem", folder / "server.key")
    certificate.cert_chain_pems[0].write_to_path(found.certificate)
    (key or certificate).private_key_pem.write_to_path(found.key)
    found.key.chmod(0o600)
    return found


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


@asynccontextmanager
async def running(
    folder: Path, settings: Settings | None = None, dialect: str = "auto"
) -> AsyncIterator[tuple[Directory, TCPServer, Listener, Listener]]:
    """A TLS listener, and a plain one beside it."""
    gateway = Directory(settings or Settings())
    certificate = Certificate(files(folder, CA.issue_cert(HERE)))
    rules = AdmissionRules(gateway.settings, gateway.counters, gateway.core, SessionTokens(1), None)
    server = TCPServer(rules, gateway.settle, certificate)
    secure = await server.open(Listener(HERE, 0, dialect, tls=True))
    plain = await server.open(Listener(HERE, 0, dialect))
    try:
        yield gateway, server, secure, plain
    finally:
        await server.close(0.0)


@asynccontextmanager
async def connected(listener: Listener, context: ssl.SSLContext | None) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(listener.host, listener.port, ssl=context)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def all_said(client: Client) -> bytes:
    said = b""
    while segment := await client.read():
        said += segment
    return said


def test_a_certificate_is_taken_with_its_key(tmp_path: Path) -> None:
    context, shown = load(files(tmp_path, CA.issue_cert(HERE)))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert shown.startswith(b"-----BEGIN CERTIFICATE")


def no_certificate(found: TlsFiles) -> None:
    found.certificate.unlink()


def no_key(found: TlsFiles) -> None:
    found.key.unlink()


def not_pem(found: TlsFiles) -> None:
    found.certificate.write_text("hello\n")


def a_secret_of_all(found: TlsFiles) -> None:
    found.key.chmod(0o644)


def another_key(found: TlsFiles) -> None:
    found.key.write_bytes(CA.issue_cert(HERE).private_key_pem.bytes())


def with_passphrase(found: TlsFiles) -> None:
    command = ["openssl", "pkey", "-in", str(found.key), "-aes128", "-passout", "pass:hush"]
    found.key.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (no_certificate, r"can not read .*server\.pem for TLS: No such file"),
        (no_key, r"can not read .*server\.key for TLS: No such file"),
        (not_pem, r"are no TLS certificate and key \(PEM\)"),
        (a_secret_of_all, r"others may read or write the TLS key .*: chmod 600"),
        (another_key, r"is not that of the certificate"),
        (with_passphrase, r"has a passphrase"),
    ],
)
def test_what_can_not_be_used_is_said_in_one_line(tmp_path: Path, harm: Callable[[TlsFiles], None], words: str) -> None:
    found = files(tmp_path, CA.issue_cert(HERE))
    harm(found)
    with pytest.raises(SettingError, match=words) as caught:
        load(found)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "dialect", [dialect for dialect in DIALECTS.values() if dialect.port is PortPlace.NOWHERE], ids=lambda one: one.name
)
@pytest.mark.uvloop
async def test_the_handshake_is_the_same_inside(tmp_path: Path, dialect: Dialect) -> None:
    async def answer(gateway: Directory, listener: Listener, context: ssl.SSLContext | None) -> bytes:
        async with connected(listener, context) as client:
            client.writer.write(serialize_request(dialect, Operation.CREATE, "den", "alice"))
            await until(lambda: bool(gateway.token_hashes))
            said = await all_said(client)
        (token,) = [token for token in gateway.members.by_token if hash_token(token) == gateway.token_hashes[-1]]
        assert token in said
        return said.replace(token, bytes(len(token)))

    answers = []
    for secure in (True, False):
        async with running(tmp_path, dialect=dialect.name) as (gateway, _, over_tls, plain):
            listener, context = (over_tls, trusting()) if secure else (plain, None)
            answers.append(await answer(gateway, listener, context))
    assert answers[0] == answers[1]


@BOTH_LOOPS
def test_who_never_finishes_has_a_place_for_a_while(tmp_path: Path, run: Callable[..., None]) -> None:
    """Half a TLS handshake counts like any connection, and there are no more of them than of those."""

    async def scenario() -> None:
        async with (
            running(tmp_path, Settings(connections=3, request_s=0.3)) as (gateway, server, listener, _),
            AsyncExitStack() as stack,
        ):
            strangers = [await stack.enter_async_context(connected(listener, None)) for _ in range(3)]
            strangers[1].writer.write(b"\x16\x03\x01\x02\x00\x01")
            await until(lambda: server.connections == 3)
            one_more = await stack.enter_async_context(connected(listener, None))
            assert await all_said(one_more) == b""
            assert gateway.counters.connections_refused == 1
            for stranger in strangers:
                await all_said(stranger)
            await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 3
            client = await stack.enter_async_context(connected(listener, trusting()))
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, "den", "alice"))
            assert await all_said(client)

    run(scenario())


@pytest.mark.uvloop
async def test_limits_of_an_address_count_before_the_handshake(tmp_path: Path) -> None:
    settings = Settings(address_connections=1, unlimited=())
    async with running(tmp_path, settings) as (gateway, server, listener, _), connected(listener, None) as first:
        await until(lambda: server.connections == 1)
        async with connected(listener, None):
            assert await all_said(first) == b""
        assert (gateway.counters.connections_evicted, gateway.counters.connections_refused) == (1, 0)


def test_the_log_says_that_a_client_spoke_no_tls(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, _, secure, _), connected(secure, None) as client:
            ports.append(client.writer.get_extra_info("sockname")[1])
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, "den", "alice"))
            await until(lambda: gateway.counters.tls_failed == 1)

    ports: list[int] = []
    with capture_logs() as lines:
        uvloop.run(scenario())
    (line,) = [line for line in lines if line["event"] == "handshake"]
    assert line["outcome"].startswith("no TLS handshake: ")
    assert line["hint"].startswith("the listener speaks TLS")
    assert [line["source_port"]] == ports


@BOTH_LOOPS
def test_a_plain_client_is_turned_away_at_once(tmp_path: Path, run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, listener, _), connected(listener, None) as client:
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, "den", "alice"))
            await all_said(client)
            await until(lambda: gateway.counters.tls_failed == 1 and server.connections == 0)
            assert gateway.counters.handshakes_admitted == 0

    run(scenario())


@pytest.mark.uvloop
async def test_the_listener_closes_while_handshakes_are_going_on(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, server, listener, _), connected(listener, None) as stranger:
        await until(lambda: server.connections == 1)
        async with asyncio.timeout(PATIENCE_S):
            await server.close(0.0)
        await all_said(stranger)
        assert server.connections == 0
        with socket.socket() as probe:
            assert probe.connect_ex((listener.host, listener.port)) != 0


def test_a_client_that_ends_its_half_has_ended_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, listener, _):
            async with connected(listener, trusting()):
                await until(lambda: server.connections == 1)
            await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 0

    uvloop.run(scenario())
    assert not caplog.records


def test_a_renewed_certificate_is_shown_to_who_comes_next(tmp_path: Path) -> None:
    certificate = Certificate(files(tmp_path, CA.issue_cert(HERE)))
    before = certificate.context
    assert not certificate.replace(load(TlsFiles(tmp_path / "server.pem", tmp_path / "server.key")))
    assert certificate.replace(load(files(tmp_path, CA.issue_cert(HERE))))
    assert certificate.context is not before


def test_it_is_known_when_the_certificate_that_is_shown_expires(tmp_path: Path) -> None:
    first, renewed = (datetime.datetime(year, 1, 2, tzinfo=datetime.UTC) for year in (2090, 2091))
    certificate = Certificate(files(tmp_path, CA.issue_cert(HERE, not_after=first)))
    assert certificate.expires_at == first.timestamp()
    certificate.replace(load(files(tmp_path, CA.issue_cert(HERE, not_after=renewed))))
    assert certificate.expires_at == renewed.timestamp()


def test_it_is_known_why_clients_refuse_a_certificate(tmp_path: Path) -> None:
    begins, ends = (datetime.datetime(year, 1, 2, tzinfo=datetime.UTC) for year in (2090, 2091))
    certificate = Certificate(files(tmp_path, CA.issue_cert(HERE, not_before=begins, not_after=ends)))
    assert not certificate.why_refused(begins.timestamp())
    assert certificate.why_refused(begins.timestamp() - 1) == "it is not valid before 2090-01-02 00:00 UTC"
    assert certificate.why_refused(ends.timestamp() + 1) == "it has expired at 2091-01-02 00:00 UTC"


async def test_handshakes_that_come_at_once_begin_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn, begun = 0, list[int]()

    def begin(*_: object) -> bytes:
        begun.append(turn)
        raise Broken("no TLS")

    monkeypatch.setattr(TlsLayer, "receive", begin)
    async with running(tmp_path) as (_, server, listener, _), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(listener, None)) for _ in range(10)]
        await until(lambda: server.connections == len(clients))
        assert begun == []
        for client in clients:
            client.writer.write(b"\x16")
        async with asyncio.timeout(PATIENCE_S):
            while len(begun) < len(clients):
                turn += 1
                await asyncio.sleep(0)
        assert len(set(begun)) == len(clients)


@BOTH_LOOPS
def test_records_that_say_nothing_end_the_connection(tmp_path: Path, run: Callable[..., None]) -> None:
    """A greeting in many pieces stands for all of them: Python's client sends no key updates."""
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(inside, outside, server_hostname=HERE).do_handshake()
    hello = outside.read()[5:]

    async def scenario() -> None:
        async with running(tmp_path) as (gateway, _, listener, _), connected(listener, None) as client:
            for piece in (hello[:4], *(bytes((each,)) for each in hello[4:])):
                client.writer.write(TLS_RECORD + b"\x01" + len(piece).to_bytes(2) + piece)
            said = await all_said(client)
            await until(lambda: gateway.counters.tls_failed == 1)
            assert not said.startswith(TLS_RECORD), "the greeting was taken"

    run(scenario())


@BOTH_LOOPS
def test_a_client_that_goes_before_its_turn_keeps_no_place_and_costs_no_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., None]
) -> None:
    monkeypatch.setattr(TlsLayer, "receive", lambda *_: pytest.fail("it had a turn"))
    waiting: list[Callable[[], None]] = []
    monkeypatch.setattr(HandshakeTurns, "add", lambda _self, _address, act: waiting.append(act))

    async def scenario() -> None:
        async with running(tmp_path, Settings(request_s=600.0)) as (_, server, listener, _):
            async with connected(listener, None) as client:
                client.writer.write(TLS_RECORD + b"\x01\x02\x00\x01\x00\x01\xfc")
                await until(lambda: waiting)
            await until(lambda: server.connections == 0)
            waiting.pop()()

    run(scenario())


@BOTH_LOOPS
def test_many_who_come_at_once_all_get_in(tmp_path: Path, run: Callable[..., None]) -> None:
    context = trusting()

    async def comes(listener: Listener, number: int) -> bytes:
        async with connected(listener, context) as client:
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, f"den{number}", "alice"))
            return await all_said(client)

    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, listener, _):
            said = await asyncio.gather(*(comes(listener, number) for number in range(30)))
            assert all(said)
            assert len(gateway.token_hashes) == 30
            await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 0

    run(scenario())


# --- what is inside ---------------------------------------------------------------------------------------------------


@BOTH_LOOPS
def test_an_answer_that_is_not_taken_is_held(tmp_path: Path, run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, listener, _):
            gateway.rooms = ["x" * 1_000_000] * 8  # more than the system takes for us
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, (listener.host, listener.port))
                # A reader with a limit takes no more than that before it is read from.
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=trusting(), server_hostname=HERE, limit=65_536
                )
                writer.write(Header(0, 2, 0, 0).serialize())
                await until(lambda: server.held > 100_000)
                async with asyncio.timeout(PATIENCE_S):
                    assert await reader.read(-1) == encode_room_list(gateway.rooms)
                await until(lambda: server.held == 0)
                writer.close()
                await until(lambda: server.connections == 0)

    run(scenario())


@BOTH_LOOPS
def test_what_is_said_while_an_answer_is_awaited_is_read_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., None]
) -> None:
    """Beyond some bytes the socket is not read meanwhile."""
    monkeypatch.setattr("gateway.listeners.connection.UNREAD", 100)
    first, second = (
        serialize_request(TCRP_NO_TOKEN, Operation.JOIN, "den", user) for user in ("alice", "b" * MAX_NAME_SIZE)
    )

    async def scenario() -> None:
        async with running(tmp_path, dialect="tcrp-no-token") as (gateway, server, listener, _):
            gateway.answers = False
            async with connected(listener, trusting()) as client:
                client.writer.write(first)
                await gateway.asked_to_enter.wait()
                for part in (second[:150], second[150:200], second[200:]):
                    client.writer.write(part)
                await until(lambda: server.held >= 150 + len("denalice"))
                gateway.wait(gateway.settings.request_timeout_s)
                # The first question was asked again meanwhile.
                await until(lambda: gateway.entered[-1].user == "b" * MAX_NAME_SIZE)

    run(scenario())


@BOTH_LOOPS
def test_who_never_says_goodbye_is_let_go(tmp_path: Path, run: Callable[..., None]) -> None:
    settings = Settings(request_s=0.5)

    def hears_all(listener: Listener) -> ssl.SSLSocket:
        while True:
            sock = socket.create_connection((listener.host, listener.port))
            try:
                secure = trusting().wrap_socket(sock, server_hostname=HERE)
                secure.sendall(Header(0, 2, 0, 0).serialize())
                while secure.recv(4_096):
                    pass
                return secure
            except OSError:  # on a busy machine the limit may be over before the handshake is
                sock.close()

    async def scenario() -> None:
        async with running(tmp_path, settings) as (gateway, server, listener, _):
            with await asyncio.to_thread(hears_all, listener):
                failed = gateway.counters.tls_failed
                await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == failed

    run(scenario())
