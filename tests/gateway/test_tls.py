"""gateway/net/tls.py and tls_transport.py"""

import asyncio
import gc
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

from gateway.config import Door, Settings, TlsFiles
from gateway.counters import Counters
from gateway.net import connection, tls
from gateway.net.tcp import TCPServer
from gateway.net.tls import HANDSHAKES_A_TURN, Credentials, Handshakes, load, rsa_bits
from gateway.net.tls_transport import TlsTransport
from tests.gateway.test_tcp import Client, Directory, until
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.dialects import DIALECTS, TCRP_NO_TOKEN, TSUDOI
from tsudoi.protocol.client.handshake import encode_room_list, serialize_request
from tsudoi.protocol.client.header import Header
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import SettingError
from tsudoi.protocol.names import MAX_NAME_SIZE, hash_token

PATIENCE_S = 5.0
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
) -> AsyncIterator[tuple[Directory, TCPServer, Door, Door]]:
    """A TLS door, and a plain one beside it."""
    gateway = Directory(settings or Settings())
    credentials = Credentials(files(folder, CA.issue_cert(HERE)))
    server = TCPServer(gateway.core, settings or Settings(), gateway.settle, None, credentials)
    secure = await server.open(Door(HERE, 0, dialect, tls=True))
    plain = await server.open(Door(HERE, 0, dialect))
    try:
        yield gateway, server, secure, plain
    finally:
        await server.close(0.0)


@asynccontextmanager
async def connected(door: Door, context: ssl.SSLContext | None) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(door.host, door.port, ssl=context)
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


def too_large(found: TlsFiles) -> None:
    found.certificate.write_bytes(bytes(tls.MAX_SIZE + 1))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (no_certificate, r"can not read the TLS certificate .*server\.pem: No such file"),
        (no_key, r"can not read the TLS key .*server\.key: No such file"),
        (not_pem, r"are no TLS certificate and key \(PEM\)"),
        (a_secret_of_all, r"others may read or write the TLS key .*: chmod 600"),
        (another_key, r"is not that of the certificate"),
        (with_passphrase, r"has a passphrase"),
        (too_large, r"has more than"),
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
def test_the_handshake_is_the_same_inside(tmp_path: Path, dialect: Dialect) -> None:
    async def answer(gateway: Directory, door: Door, context: ssl.SSLContext | None) -> bytes:
        async with connected(door, context) as client:
            client.writer.write(serialize_request(dialect, Operation.CREATE, "den", "alice"))
            await until(lambda: bool(gateway.token_hashes))
            said = await all_said(client)
        (token,) = [token for token in gateway.members.by_token if hash_token(token) == gateway.token_hashes[-1]]
        assert token in said
        return said.replace(token, bytes(len(token)))

    async def scenario() -> None:
        answers = []
        for secure in (True, False):
            async with running(tmp_path, dialect=dialect.name) as (gateway, _, over_tls, plain):
                door, context = (over_tls, trusting()) if secure else (plain, None)
                answers.append(await answer(gateway, door, context))
        assert answers[0] == answers[1]

    uvloop.run(scenario())


@BOTH_LOOPS
def test_who_never_finishes_has_a_place_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., None]
) -> None:
    """Half a TLS handshake counts like any connection, and there are no more of them than of those."""
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.3)

    async def scenario() -> None:
        async with running(tmp_path, Settings(connections=3)) as (gateway, server, door, _), AsyncExitStack() as stack:
            strangers = [await stack.enter_async_context(connected(door, None)) for _ in range(3)]
            strangers[1].writer.write(b"\x16\x03\x01\x02\x00\x01")
            await until(lambda: server.connections == 3)
            one_more = await stack.enter_async_context(connected(door, None))
            assert await all_said(one_more) == b""
            assert gateway.counters.connections_refused == 1
            for stranger in strangers:
                await all_said(stranger)
            await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 3
            client = await stack.enter_async_context(connected(door, trusting()))
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, "den", "alice"))
            assert await all_said(client)

    run(scenario())


def test_limits_of_an_address_count_before_the_handshake(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = Settings(address_connections=1, unlimited=())
        async with running(tmp_path, settings) as (gateway, server, door, _), connected(door, None):
            await until(lambda: server.connections == 1)
            async with connected(door, None) as second:
                assert await all_said(second) == b""
            assert gateway.counters.connections_refused == 1

    uvloop.run(scenario())


@BOTH_LOOPS
def test_a_plain_client_is_turned_away_at_once(tmp_path: Path, run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _), connected(door, None) as client:
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, "den", "alice"))
            await all_said(client)
            await until(lambda: gateway.counters.tls_failed == 1 and server.connections == 0)
            assert gateway.counters.handshakes == 0

    run(scenario())


@pytest.mark.parametrize("grace_s", [0.0, 60.0])
def test_the_door_closes_while_handshakes_are_going_on(tmp_path: Path, grace_s: float) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (_, server, door, _), connected(door, None) as stranger:
            await until(lambda: server.connections == 1)
            async with asyncio.timeout(PATIENCE_S):
                await server.close(grace_s)
            await all_said(stranger)
            assert server.connections == 0
            with socket.socket() as probe:
                assert probe.connect_ex((door.host, door.port)) != 0

    uvloop.run(scenario())


def test_a_client_that_ends_its_half_has_ended_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _):
            async with connected(door, trusting()):
                await until(lambda: server.connections == 1)
            await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 0

    uvloop.run(scenario())
    assert not caplog.records


def test_a_renewed_certificate_is_shown_to_who_comes_next(tmp_path: Path) -> None:
    credentials = Credentials(files(tmp_path, CA.issue_cert(HERE)))
    before = credentials.context
    assert not credentials.renew(load(TlsFiles(tmp_path / "server.pem", tmp_path / "server.key")))
    assert credentials.renew(load(files(tmp_path, CA.issue_cert(HERE))))
    assert credentials.context is not before


# --- whose handshake is computed when -------------------------------------------------------------------------------


class Stranger:
    """One whose handshake goes on."""

    def __init__(self, name: int, steps: list[int]) -> None:
        self.name, self.steps = name, steps

    def shake_hands(self) -> None:
        self.steps.append(self.name)
        if self.name < 0:
            raise ZeroDivisionError

    def time_is_up(self) -> None:
        pass

    def abort(self) -> None:
        pass


def test_handshakes_that_come_at_once_take_turns_with_all_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        handshakes = Handshakes(Credentials(files(tmp_path, CA.issue_cert(HERE))), Counters())
        steps: list[int] = []
        for number in range(2 * HANDSHAKES_A_TURN + 1):
            handshakes.wait_turn(Stranger(number, steps))
        done: list[int] = []
        while not done or done[-1] < 2 * HANDSHAKES_A_TURN + 1:
            await asyncio.sleep(0)
            done.append(len(steps))
        assert done == [HANDSHAKES_A_TURN, 2 * HANDSHAKES_A_TURN, 2 * HANDSHAKES_A_TURN + 1]
        assert steps == sorted(steps)

    asyncio.run(scenario())


def test_a_fault_costs_the_one_that_met_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        handshakes = Handshakes(Credentials(files(tmp_path, CA.issue_cert(HERE))), Counters())
        steps: list[int] = []
        for number in (-1, 2, 3):
            handshakes.wait_turn(Stranger(number, steps))
        await until(lambda: steps == [-1, 2, 3])
        handshakes.wait_turn(Stranger(4, steps))
        await until(lambda: steps == [-1, 2, 3, 4])

    asyncio.run(scenario())


@BOTH_LOOPS
def test_many_who_come_at_once_all_get_in(
    tmp_path: Path, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKES_A_TURN", 1)
    context = trusting()

    async def comes(door: Door, number: int) -> bytes:
        async with connected(door, context) as client:
            client.writer.write(serialize_request(TSUDOI, Operation.CREATE, f"den{number}", "alice"))
            return await all_said(client)

    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _):
            said = await asyncio.gather(*(comes(door, number) for number in range(30)))
            assert all(said)
            assert len(gateway.token_hashes) == 30
            await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 0

    run(scenario())


@BOTH_LOOPS
def test_a_handshake_of_very_many_bytes_is_none(
    tmp_path: Path, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 60.0)
    hello = b"\x01" + (100_000).to_bytes(3, "big") + bytes(16_380)
    record = b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello

    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _), connected(door, None) as stranger:
            stranger.writer.write(record)
            await until(lambda: gateway.counters.tls_failed == 1 and server.connections == 0)

    run(scenario())


# --- what is inside ---------------------------------------------------------------------------------------------------


@BOTH_LOOPS
def test_an_answer_that_is_not_taken_is_held(tmp_path: Path, run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _):
            gateway.rooms = ["x" * 1_000_000] * 8  # more than the system takes for us
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, (door.host, door.port))
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
    """Beyond some bytes nothing is read meanwhile, neither from the socket nor of what has come from there."""
    monkeypatch.setattr(connection, "UNREAD", 100)
    first, second = (
        serialize_request(TCRP_NO_TOKEN, Operation.JOIN, "den", user) for user in ("alice", "b" * MAX_NAME_SIZE)
    )

    async def scenario() -> None:
        async with running(tmp_path, dialect="tcrp-no-token") as (gateway, server, door, _):
            gateway.answers = False
            async with connected(door, trusting()) as client:
                client.writer.write(first)
                await gateway.asked_to_enter.wait()
                for part in (second[:150], second[150:200], second[200:]):
                    client.writer.write(part)
                await until(lambda: server.held >= 150 + len("denalice"))
                gateway.now += gateway.settings.request_timeout_s
                gateway.tick()
                await until(lambda: len(gateway.entered) == 2)
                assert gateway.entered[1].user == "b" * MAX_NAME_SIZE

    run(scenario())


class Raw(asyncio.Transport):
    """A socket's transport."""

    def __init__(self) -> None:
        super().__init__({"peername": (HERE, 1)})
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0


def test_who_takes_nothing_is_not_read_from(tmp_path: Path) -> None:
    """Whatever it says meanwhile might want an answer: of TLS itself, if of nothing else."""

    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _):
            credentials = Credentials(files(tmp_path, CA.issue_cert(HERE)))
            raw, served = Raw(), connection.Connection(server, door)
            transport = TlsTransport(Handshakes(credentials, gateway.counters), served)
            transport.connection_made(raw)
            reading = []
            for step in (
                transport.pause_writing,
                transport.pause_reading,
                transport.resume_writing,
                transport.resume_reading,
            ):
                step()
                reading.append(raw.reading)
            assert reading == [False, False, False, True]
            transport.connection_lost(None)

    asyncio.run(scenario())


@BOTH_LOOPS
def test_who_never_says_goodbye_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., None]
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.5)

    def hears_all(door: Door, sock: socket.socket) -> ssl.SSLSocket:
        sock.connect((door.host, door.port))
        secure = trusting().wrap_socket(sock, server_hostname=HERE)
        secure.sendall(Header(0, 2, 0, 0).serialize())
        while secure.recv(4_096):
            pass
        return secure

    async def scenario() -> None:
        async with running(tmp_path) as (gateway, server, door, _):
            with socket.socket() as sock, await asyncio.to_thread(hears_all, door, sock):
                await until(lambda: server.connections == 0)
            assert gateway.counters.tls_failed == 0

    run(scenario())


@BOTH_LOOPS
def test_what_a_connection_took_is_free_when_it_ends(tmp_path: Path, run: Callable[..., None]) -> None:
    """At once, and not when somebody looks for circles: a library that encrypts holds much."""

    def transports() -> int:
        return sum(isinstance(each, TlsTransport) for each in gc.get_objects())

    async def scenario() -> None:
        async with running(tmp_path) as (_, server, door, _):
            for context in (trusting(), None):
                async with connected(door, context) as client:
                    client.writer.write(serialize_request(TSUDOI, Operation.CREATE, "den", "alice"))
                    await all_said(client)
                await until(lambda: server.connections == 0 and transports() == 0)

    gc.collect()
    gc.disable()
    try:
        run(scenario())
    finally:
        gc.enable()


# --- the key ----------------------------------------------------------------------------------------------------------


def with_rsa(folder: Path, bits: int) -> TlsFiles:
    folder.mkdir(exist_ok=True)
    found = TlsFiles(folder / "server.pem", folder / "server.key")
    command = ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-subj", "/CN=here"]
    command += ["-out", str(found.certificate), "-keyout", str(found.key)]
    subprocess.run(command, capture_output=True, check=True)
    found.key.chmod(0o600)
    return found


def test_a_large_rsa_key_is_told_of(tmp_path: Path) -> None:
    for found, bits in (
        (files(tmp_path / "ec", CA.issue_cert(HERE)), 0),
        (with_rsa(tmp_path / "1024", 1_024), 0),
        (with_rsa(tmp_path / "2048", 2_048), 2_048),
        (with_rsa(tmp_path / "3072", 3_072), 3_072),
    ):
        shown = found.certificate.read_bytes()
        assert rsa_bits(shown) == rsa_bits(b"of this server:\n" + shown + CA.cert_pem.bytes()) == bits
    assert rsa_bits(b"hello") == 0
    with capture_logs() as lines:
        credentials = Credentials(TlsFiles(tmp_path / "2048" / "server.pem", tmp_path / "2048" / "server.key"))
        assert lines == []
        credentials.renew(load(found))
        credentials.renew(load(found))
    (line,) = lines
    assert (line["log_level"], line["bits"]) == ("warning", 3_072)
