"""gateway/link/connect_monitor.py, by its sockets: with real brokers, as only those show what libzmq sees."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from broker.config import Limits
from broker.core import Core
from broker.keys import key_folder
from broker.keys.allow_list import AllowList
from broker.net.server import Server
from broker.shards.cores import Cores
from broker.store.memory import MemoryStore
from gateway.link.broker_sockets import BrokerSockets
from tests.support.services import steady_endpoint
from tests.support.waiting import until
from tsudoi.ops.keyfiles import Owner, Role, SecretKey
from tsudoi.protocol.backbone import publish_endpoint

EAST = Owner(Role.GATEWAY, "east")


def nothing(*_: object) -> None:
    """Do nothing."""


@asynccontextmanager
async def connecting(
    endpoint: str, key: SecretKey | None, on_reconnected: Callable[[], None] = nothing
) -> AsyncIterator[BrokerSockets]:
    with zmq.Context() as context:
        backbone = BrokerSockets(endpoint, "east/1", nothing, nothing, context, key, on_reconnected)
        backbone.start()
        try:
            yield backbone
        finally:
            backbone.close()


@asynccontextmanager
async def serving(folder: Path | None, bind: str = "") -> AsyncIterator[Server]:
    store, limits = MemoryStore(), Limits()
    ring = AllowList(folder) if folder else None
    bind = bind or steady_endpoint()
    server = Server(Cores([Core(store.load(), "broker", limits, 0.0)]), store, limits, bind, lambda: None, ring)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def key(tmp_path: Path) -> SecretKey:
    key_folder.add(tmp_path / "keys", EAST, tmp_path / "east.key")
    return key_folder.read_secret(tmp_path / "east.key")


def is_in(backbone: BrokerSockets) -> bool:
    return all(monitor._was_admitted and not monitor.connect_error for monitor in backbone._monitors)


async def test_a_connection_that_works_has_no_error(key: SecretKey, tmp_path: Path) -> None:
    async with serving(tmp_path / "keys") as server, connecting(server.endpoint, key) as backbone:
        await until(lambda: is_in(backbone))
        assert backbone.connect_error == ""


async def test_each_connection_but_the_first_is_told_once() -> None:
    connections: list[int] = []
    endpoint = steady_endpoint()
    async with connecting(endpoint, None, lambda: connections.append(1)) as backbone:
        for before in (0, 1, 2):
            async with serving(None, endpoint):
                await until(lambda: is_in(backbone) and not backbone.connect_error)
                await until(lambda: len(connections) == before)  # noqa: B023
            await until(lambda: not is_in(backbone))
        assert len(connections) == 2


async def test_a_refused_key_is_told_until_it_is_accepted(key: SecretKey, tmp_path: Path) -> None:
    public, secret = key_folder.make_pair()
    async with (
        serving(tmp_path / "keys") as server,
        connecting(server.endpoint, replace(key, public=public, secret=secret)) as backbone,
    ):
        await until(lambda: "does not accept this gateway's key: add it there" in backbone.connect_error)
        (tmp_path / "keys" / "gateways" / "west.pub").write_text(public)
        await until(lambda: is_in(backbone))
        assert backbone.connect_error == ""


async def test_the_first_cause_after_a_key_was_removed_is_that(key: SecretKey, tmp_path: Path) -> None:
    async with serving(tmp_path / "keys") as server, connecting(server.endpoint, key) as backbone:
        await until(lambda: is_in(backbone))
        key_folder.remove(tmp_path / "keys", EAST)
        await until(lambda: bool(backbone.connect_error))
        for _ in range(200):  # it stays the cause while libzmq and we try again
            assert "no longer accepts this gateway's key: it was removed there" in backbone.connect_error
            await asyncio.sleep(0.01)
        (tmp_path / "keys" / "gateways" / "east.pub").write_text(key.public)
        await until(lambda: is_in(backbone) and not backbone.connect_error)


async def test_another_brokers_key_is_told(key: SecretKey, tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "keys") as server,
        connecting(server.endpoint, replace(key, broker=key_folder.make_pair()[0])) as backbone,
    ):
        await until(lambda: "is not the broker that this key is for" in backbone.connect_error)


async def test_a_key_that_is_missing_is_told(key: SecretKey, tmp_path: Path) -> None:
    async with serving(tmp_path / "keys") as server, connecting(server.endpoint, None) as backbone:
        await until(lambda: "wants a key: --key FILE" in backbone.connect_error)


async def test_a_broker_without_keys_is_told_and_one_that_comes_back_with_them_is_found(
    key: SecretKey, tmp_path: Path
) -> None:
    async with serving(None) as server:
        endpoint = server.endpoint
        async with connecting(endpoint, key) as backbone:
            await until(lambda: "uses no keys, and we have one" in backbone.connect_error)
            server.stop()
            async with serving(tmp_path / "keys", endpoint):
                await until(lambda: is_in(backbone))
                assert backbone.connect_error == ""


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("tcp://127.0.0.1:1", "nobody listens at tcp://127.0.0.1:1"),
        ("tcp://localhost:1", "nobody listens at tcp://localhost:1"),
        ("tcp://no-such-host.invalid:9003", "nobody listens at tcp://no-such-host.invalid:9003, or the host is not"),
        ("ipc:///nowhere/at/all", "nobody listens at ipc:///nowhere/at/all"),
    ],
)
async def test_an_endpoint_without_a_listener_is_told(endpoint: str, words: str) -> None:
    async with connecting(endpoint, None) as backbone:
        await until(lambda: backbone.connect_error.startswith(words))


async def test_a_machine_that_does_not_answer_at_all_is_tried_again_and_told() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as filling:
        place = full.getsockname()
        while True:  # until the kernel drops what would begin another connection
            sock = filling.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect(place)
            except TimeoutError:
                break
        async with connecting(f"tcp://127.0.0.1:{place[1]}", None) as backbone:
            await until(lambda: backbone._monitors[0].connect_error.startswith("nobody listens"))


async def test_the_socket_for_news_is_watched_as_well(key: SecretKey, tmp_path: Path) -> None:
    async with serving(tmp_path / "keys") as server, connecting(server.endpoint, key) as backbone:
        await until(lambda: is_in(backbone))
        backbone._sub.disconnect(publish_endpoint(server.endpoint))
        backbone._monitors[1]._endpoint = "tcp://127.0.0.1:1"
        backbone._sub.connect("tcp://127.0.0.1:1")
        await until(lambda: backbone.connect_error == "nobody listens at tcp://127.0.0.1:1")
