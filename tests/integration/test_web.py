"""Members by WebSocket, with a client library that we did not write: real processes, `centrifuge-python`."""

import asyncio
import contextlib
import http.client
import json
import re
import secrets
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from centrifuge import (
    Client,
    ClientEventHandler,
    DisconnectedContext,
    ErrorContext,
    PublicationContext,
    SubscribedContext,
    SubscriptionErrorContext,
    SubscriptionEventHandler,
    UnsubscribedContext,
)
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import tsudoi
from gateway.listeners.web import PAGE_FOLDER
from scenarios.ports import steady_port
from tests.integration.test_webhook import Issuer
from tests.support.patched_brokers import TrimmingBroker
from tests.support.services import HEAR_S, Broker, Gateway, at
from tests.support.services import hear as hear_up_to
from tests.support.waiting import until
from tsudoi.ops import web_files
from tsudoi.protocol.web.codes import Close, Error

HERE = "127.0.0.1"
WEB = ("--notices", "on", "--web", f"{HERE}:0")
CLIENTS = Path(__file__).resolve().parents[2] / "docs" / "clients.md"
LINES = 30
"""Of each member while a gateway is killed."""


class Heard(SubscriptionEventHandler):  # type: ignore[misc]
    """What a subscription tells its application."""

    def __init__(self) -> None:
        self.pubs: list[tuple[int, dict[str, Any]]] = []
        self.subscribed: list[SubscribedContext] = []
        self.ended: list[UnsubscribedContext] = []
        self.errors: list[SubscriptionErrorContext] = []

    async def on_publication(self, ctx: PublicationContext) -> None:
        self.pubs.append((ctx.pub.offset, ctx.pub.data))

    async def on_subscribed(self, ctx: SubscribedContext) -> None:
        self.subscribed.append(ctx)

    async def on_unsubscribed(self, ctx: UnsubscribedContext) -> None:
        self.ended.append(ctx)

    async def on_error(self, ctx: SubscriptionErrorContext) -> None:
        self.errors.append(ctx)

    def texts(self) -> list[str]:
        """The texts of messages, in the order in which they came."""
        return [data["text"] for _, data in self.pubs if "from" in data]


class Events(ClientEventHandler):  # type: ignore[misc]
    """What a client tells its application."""

    def __init__(self) -> None:
        self.closed: list[DisconnectedContext] = []
        self.errors: list[ErrorContext] = []

    async def on_disconnected(self, ctx: DisconnectedContext) -> None:
        self.closed.append(ctx)

    async def on_error(self, ctx: ErrorContext) -> None:
        self.errors.append(ctx)


class Person:
    """A client that this project did not write, in one room."""

    def __init__(self, address: tuple[str, int], name: str, *, scheme: str = "ws", **options: Any) -> None:
        self.events, self.heard = Events(), Heard()
        url = f"{scheme}://{address[0]}:{address[1]}/connection/websocket"
        data = {"name": name, "session": secrets.token_hex(16)}
        self.client = Client(url, self.events, data=data, max_reconnect_delay=0.5, proxy=None, **options)
        self._last = 0

    async def enter(self, room: str, **data: Any) -> "Person":
        self.room = self.client.new_subscription(room, self.heard, data=data or None, max_resubscribe_delay=0.5)
        await self.client.connect()
        await self.room.subscribe()
        async with asyncio.timeout(HEAR_S):
            await self.room.ready()
        return self

    async def say(self, text: str) -> None:
        """Say a line, again until it is known to be kept."""
        self._last += 1
        await self.say_as(text, self._last)

    async def say_as(self, text: str, number: int) -> None:
        async with asyncio.timeout(HEAR_S):
            while True:
                with contextlib.suppress(Exception):
                    await self.room.publish({"text": text, "number": number}, timeout=0.5)
                    return
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def people(*persons: Person) -> AsyncIterator[None]:
    """Disconnect them at the end."""
    try:
        yield
    finally:
        for person in persons:
            await person.client.disconnect()
        # The library closes its sockets in tasks of its own.
        await until(lambda: not any(person.client._background_tasks for person in persons))
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Shared:
    """A service that tests share, each in rooms of its own."""

    gateway: Gateway
    metrics: str
    """Where they are."""

    def count(self, name: str) -> float:
        """Return one of its counters."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=HEAR_S) as response:
            lines = response.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"tsudoi_gateway_{name}_total "))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    metrics = f"{HERE}:{steady_port()}"
    flags = ("--web-origin", "https://chat.example", "--http", metrics)
    with Gateway(*WEB, *flags, data=tmp_path_factory.mktemp("web")) as gateway:
        yield Shared(gateway, metrics)


def address_of(gateway: Gateway) -> tuple[str, int]:
    (address,) = gateway.addresses("web")
    return address


def test_clients_of_another_make_chat_with_members_by_datagrams(shared: Shared) -> None:
    async def scenario(gateway: Gateway) -> None:
        alice, bob = (Person(address_of(gateway), name) for name in ("alice", "ボブ"))
        async with people(alice, bob), await tsudoi.create("部屋1", name="carol", server=at(gateway)) as carol:
            await alice.enter("部屋1")
            await bob.enter("部屋1")
            await alice.say("from a browser")
            await hear_up_to(carol, "from a browser")
            await carol.say("from a terminal")
            await until(lambda: "from a terminal" in bob.heard.texts())
            await bob.say("/msg carol 内緒")
            async with asyncio.timeout(HEAR_S):
                async for event in carol:
                    if isinstance(event, tsudoi.Private):
                        assert (event.sender, event.text) == ("ボブ", "内緒")
                        break
            assert alice.heard.texts() == bob.heard.texts() == ["from a browser", "from a terminal"]
            offsets = [offset for offset, _ in alice.heard.pubs if offset]
            assert offsets == sorted(set(offsets))
            assert [person.name for person in await carol.who()] == ["carol", "alice", "ボブ"]
            present = await alice.room.presence()
            assert present.clients["carol"].conn_info["host"] is True
            history = await bob.room.history(limit=100)
            assert [pub.data["text"] for pub in history.publications if "from" in pub.data] == alice.heard.texts()
            await bob.room.unsubscribe()
            await until(lambda: any(data.get("notice") == "left" for _, data in alice.heard.pubs))

    asyncio.run(scenario(shared.gateway))


@pytest.mark.parametrize("how", ["one command", "a broker of its own"])
async def test_after_a_killed_gateway_nothing_is_lost_and_nothing_doubled(tmp_path: Path, how: str) -> None:
    """The gateway is killed while three members speak; each says its line again until it knows that it is kept."""
    with contextlib.ExitStack() as stack:
        web = ("--web", f"{HERE}:{steady_port()}")
        if how == "one command":
            gateway = stack.enter_context(Gateway(*web, data=tmp_path / "data", steady=True))
        else:
            broker = stack.enter_context(Broker(tmp_path / "rooms.sqlite"))
            gateway = stack.enter_context(Gateway(*web, broker=broker, steady=True))
        port = address_of(gateway)
        persons = [Person(port, name) for name in ("alice", "bob", "carol")]
        async with people(*persons):
            for person in persons:
                await person.enter("den", create=True)
            before = [person.heard.subscribed[0].data["name"] for person in persons]

            async def speak(person: Person, name: str) -> None:
                for number in range(LINES):
                    await person.say(f"{name} {number}")
                    await asyncio.sleep(0.01)

            async def kill() -> None:
                await until(lambda: len(persons[0].heard.texts()) >= LINES // 2)
                gateway.kill()
                await asyncio.to_thread(gateway.start)

            await asyncio.gather(kill(), *(speak(person, name) for person, name in zip(persons, before, strict=True)))
            everything = sorted(f"{name} {number}" for name in before for number in range(LINES))
            for person in persons:
                await until(lambda person=person: len(person.heard.texts()) >= len(everything))  # type: ignore[misc]
                assert sorted(person.heard.texts()) == everything
                assert person.heard.texts() == persons[0].heard.texts()
                again = person.heard.subscribed[1:]
                assert again
                assert all(ctx.was_recovering and ctx.recovered for ctx in again)
                assert {ctx.data["name"] for ctx in again} <= set(before)
                offsets = [offset for offset, _ in person.heard.pubs if offset]
                assert offsets == sorted(set(offsets))


async def test_a_gap_is_told_truthfully(tmp_path: Path) -> None:
    with (
        TrimmingBroker(tmp_path / "rooms.sqlite", "--log-entries", "100") as broker,
        Gateway(*WEB, broker=broker) as gateway,
    ):
        alice, bob = Person(address_of(gateway), "alice"), Person(address_of(gateway), "bob")
        async with people(alice, bob):
            await alice.enter("den", create=True)
            await bob.enter("den")
            await bob.say("before")
            await until(lambda: "before" in alice.heard.texts())
            last = alice.heard.pubs[-1][0]
            await alice.client.disconnect()
            alice.heard.pubs.clear()
            for first in range(0, 300, 100):  # in several turns: the log's last one stays whole
                said = (bob.room.publish({"text": f"{first + n}"}, timeout=HEAR_S) for n in range(100))
                await asyncio.gather(*said)
            async with asyncio.timeout(HEAR_S):
                while (await bob.room.history(limit=1)).publications[0].offset <= last + 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)  # the log is trimmed now and then
            await alice.client.connect()
            await alice.room.ready()
            found = alice.heard.subscribed[-1]
            assert found.was_recovering
            assert not found.recovered
            lost = found.data["lost"]
            assert lost["from"] == last + 1
            await until(lambda: "299" in alice.heard.texts())
            assert alice.heard.pubs[0][0] == lost["to"] + 1
            count = lost["to"] - lost["from"] + 1
            assert alice.heard.texts() == [f"{number}" for number in range(count, 300)]


def test_the_page_is_served_and_other_pages_may_not_connect(shared: Shared) -> None:
    async def scenario(gateway: Gateway) -> None:
        host, port = address_of(gateway)
        url = f"ws://{host}:{port}/connection/websocket"

        def fetch() -> tuple[int, str]:
            with urllib.request.urlopen(f"http://{host}:{port}/", timeout=HEAR_S) as response:
                assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
                return response.status, response.read().decode()

        def fetch_all() -> list[int]:
            """Ask for all files by one connection."""
            connection = http.client.HTTPConnection(host, port, timeout=HEAR_S)
            connection.connect()
            kept, found = connection.sock, []
            for path in web_files.load(PAGE_FOLDER):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                found.append(response.status)
                assert connection.sock is kept
            connection.close()
            return found

        assert set(await asyncio.to_thread(fetch_all)) == {200}
        status, page = await asyncio.to_thread(fetch)
        assert status == 200
        assert "<title>tsudoi</title>" in page
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://evil.example", proxy=None)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        for origin in (f"http://{host}:{port}", "https://chat.example"):
            async with connect(url, origin=origin, proxy=None) as socket:  # type: ignore[arg-type]
                await socket.send('{"id":1,"connect":{"data":{"name":"alice"}}}')
                assert '"id":1,"connect"' in str(await socket.recv())

    asyncio.run(scenario(shared.gateway))


async def test_a_signed_token_stands_for_the_name(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    flags = ("--auth-secret", str(issuer.secret), "--auth", "required")
    with Gateway(*WEB, *flags, data=tmp_path / "data") as gateway:
        host = Person(address_of(gateway), "", token=issuer.token("alice"))
        bob = Person(address_of(gateway), "bob", token="eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl")
        carol = Person(address_of(gateway), "carol")
        async with people(host, bob, carol):
            await host.enter("den", create=True)
            assert host.heard.subscribed[0].data["name"] == "alice"
            for person in (bob, carol):
                room = person.client.new_subscription("den", person.heard)
                await person.client.connect()
                await room.subscribe()
                await until(lambda person=person: person.heard.ended)  # type: ignore[misc]
                assert person.heard.ended[0].code == Error.PERMISSION_DENIED
                assert not person.heard.subscribed


async def test_by_tls_and_with_workers(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert(HERE)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    flags = ("--web", f"{HERE}:0,tls=on", *files)
    with Gateway(*flags, "--workers", "2", data=tmp_path / "data") as gateway:
        persons = [Person(address_of(gateway), f"m{n}", scheme="wss", ssl_context=context) for n in range(6)]
        async with people(*persons):
            for person in persons:
                await person.enter("den", create=True)
            for person in persons:
                await person.say("hello")
            await until(lambda: all(len(person.heard.texts()) == 6 for person in persons))


async def test_clients_are_told_to_come_back_when_the_server_stops(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        host, port = address_of(gateway)
        async with connect(f"ws://{host}:{port}/connection/websocket", proxy=None) as socket:
            await socket.send('{"id":1,"connect":{"data":{"name":"alice"}}}')
            await socket.recv()
            stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == Close.SHUTDOWN
        await stopping


STOPPED = 100


async def stop_reading(
    address: tuple[str, int], name: str, room: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Enter a room as one that never reads."""
    slow = socket.socket()
    slow.setblocking(False)
    # What it does not read waits at the gateway, and not here.
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    await asyncio.get_running_loop().sock_connect(slow, address)
    reader, writer = await asyncio.open_connection(sock=slow, limit=1)
    writer.write(
        b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    for about in ({"id": 1, "connect": {"data": {"name": name}}}, {"id": 2, "subscribe": {"channel": room}}):
        text = json.dumps(about).encode()
        # Masked with zeros.
        writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
    return reader, writer


def test_those_who_stop_reading_at_once_are_closed_and_counted_and_the_others_hear_all(shared: Shared) -> None:
    """A hundred at the same time, in one room; members of it, and of another room, miss nothing meanwhile."""

    async def scenario(address: tuple[str, int]) -> None:
        alice, bob, carol, dave = (Person(address, name) for name in ("alice", "bob", "carol", "dave"))
        async with people(alice, bob, carol, dave):
            await alice.enter("slow", create=True)
            await bob.enter("slow")
            await carol.enter("elsewhere", create=True)
            await dave.enter("elsewhere")
            stopped = [await stop_reading(address, f"s{number}", "slow") for number in range(STOPPED)]
            names = {f"s{number}" for number in range(STOPPED)}
            await until(lambda: names <= {data.get("name") for _, data in alice.heard.pubs})
            # Fewer than a connection may send at once.
            texts = [f"{number} " + "x" * 3_700 for number in range(480)]
            for said in range(0, len(texts), 40):
                wave = texts[said : said + 40]
                await asyncio.gather(*(alice.room.publish({"text": text}, timeout=HEAR_S) for text in wave))
                await carol.say(f"meanwhile {said}")
                await until(lambda said=said: len(bob.heard.texts()) >= said + 40)  # type: ignore[misc]
                await until(lambda said=said: f"meanwhile {said}" in dave.heard.texts())  # type: ignore[misc]
            assert bob.heard.texts() == texts
            assert dave.heard.texts() == [f"meanwhile {said}" for said in range(0, len(texts), 40)]
            # They are closed: the end comes after what the system still holds.
            async with asyncio.timeout(HEAR_S):
                for reader, writer in stopped:
                    with contextlib.suppress(ConnectionError):
                        while await reader.read(65_536):
                            pass
                    writer.close()

    slow_before = shared.count("web_slow")
    asyncio.run(scenario(address_of(shared.gateway)))
    assert shared.count("web_slow") == slow_before + STOPPED


async def enters(address: tuple[str, int], room: str, name: str) -> Any:
    """Return a WebSocket in a room, or None if it was closed or refused."""
    try:
        # With a bound, one that has not read what others said would wait 10 s for the answer when it closes.
        socket_ = await connect(f"ws://{address[0]}:{address[1]}/connection/websocket", proxy=None, max_queue=None)
        subscribe = {"channel": room, "data": {"create": True}}
        await socket_.send(json.dumps({"id": 1, "connect": {"data": {"name": name}}}))
        await socket_.send(json.dumps({"id": 2, "subscribe": subscribe}))
        async with asyncio.timeout(HEAR_S):
            while (reply := json.loads((await socket_.recv()).splitlines()[0])).get("id") != 2:
                pass
        if "error" not in reply:
            return socket_
        await socket_.close()
    except (InvalidStatus, ConnectionClosed):
        pass
    return None


def test_a_user_who_fills_the_address_gives_way_to_others_of_it(tmp_path: Path) -> None:
    async def scenario(address: tuple[str, int]) -> None:
        own = [await enters(address, "lair", f"eve{number}") for number in range(40)]
        assert sum(each is not None for each in own) == 30  # of 32 places
        mates = [await enters(address, "class", f"mate{number}") for number in range(5)]
        assert all(mates)
        gone = [each for each in own if each is not None][-5:]
        for each in gone:
            async with asyncio.timeout(HEAR_S):
                await each.wait_closed()
            assert each.close_code == Close.DISPLACED
        # It does not displace the others in its turn.
        assert await enters(address, "lair", "eve") is None
        for each in (*own, *mates):
            if each is not None:
                await each.close()

    flags = ("--unlimited", "192.0.2.0/24", "--address-connections", "32")
    with Gateway(*WEB, *flags, data=tmp_path) as gateway:
        asyncio.run(scenario(address_of(gateway)))


def test_the_client_of_the_documents_chats(shared: Shared) -> None:
    """docs/clients.md"""
    blocks = re.findall(r"^```python\n(.*?)^```$", CLIENTS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (program,) = (block for block in blocks if "from centrifuge" in block)
    host, port = address_of(shared.gateway)
    assert "127.0.0.1:9080" in program
    program = program.replace("127.0.0.1:9080", f"{host}:{port}").replace('"den"', '"documents"')
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "robot: hello\n"
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_no_error_by_default_and_one_that_was_asked_for_is(tmp_path: Path) -> None:
    with socket.create_server((HERE, 0)) as taken:
        address = f"{HERE}:{taken.getsockname()[1]}"
        with pytest.raises(Exception, match="can not listen on TCP"), Gateway("--web", address, data=tmp_path):
            pass
