"""broker/admin/server.py, broker/admin/client.py, and what broker/net/server.py does for operators"""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from broker.admin import client
from broker.admin.client import ask_broker
from broker.admin.server import AdminServer
from broker.admin.service import AdminService
from broker.config import Limits
from broker.core import Core
from broker.keys import key_folder
from broker.keys.allow_list import AllowList
from broker.net.server import Server
from broker.net.zap import present
from broker.shards.cores import Cores
from broker.store.interface import Batch
from broker.store.memory import MemoryStore
from tests.support.waiting import until
from tsudoi.ops.keyfiles import Owner, Role
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.backbone.admin_frames import VERSION, Ask, Done, Rooms
from tsudoi.protocol.errors import BackboneError, SettingError, StoreError

PATIENCE_S = 30.0
LIST = Ask(VERSION, admin_frames.ListRooms())


class Reluctant(MemoryStore):
    """Keeps nothing any more."""

    def commit(self, *batches: Batch) -> None:
        raise StoreError("no room")


@asynccontextmanager
async def running(
    tmp_path: Path, store: MemoryStore | None = None, keys: AllowList | None = None, at: str = ""
) -> AsyncIterator[tuple[Server, Core, AdminServer]]:
    """A server with an admin server."""
    store = store or MemoryStore()
    core = Core(store.load(), "broker", Limits(), 0.0)
    bind = "tcp://127.0.0.1:0" if keys else f"ipc://{tmp_path}/b"
    server = Server(Cores([core]), store, Limits(), bind, lambda: None, keys)
    try:
        admin = server.open_admin(at or f"ipc://{tmp_path}/b.admin", AdminService(Cores([core])))
        server.start()
        yield server, core, admin
    finally:
        server.stop()


async def test_an_order_is_answered_when_it_is_kept(tmp_path: Path) -> None:
    store = MemoryStore()
    async with running(tmp_path, store) as (_, _, admin):
        assert await asyncio.to_thread(ask_broker, admin.endpoint, admin_frames.Persist("lobby")) == Done(1)
        assert [room.name for room in store.load().rooms] == ["lobby"]
        told = await asyncio.to_thread(ask_broker, admin.endpoint, admin_frames.ListRooms())
        assert isinstance(told, Rooms)
        assert [room.name for room in told.rooms] == ["lobby"]


async def test_only_our_own_user_can_connect(tmp_path: Path) -> None:
    async with running(tmp_path):
        mode = (tmp_path / "b.admin").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


async def test_what_is_not_kept_is_not_said_to_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.5)
    async with running(tmp_path, Reluctant()) as (_, _, admin):
        with pytest.raises(BackboneError, match="no broker answers"):
            await asyncio.to_thread(ask_broker, admin.endpoint, admin_frames.Persist("lobby"))


async def test_the_gateways_socket_takes_no_orders_and_the_operators_nothing_else(tmp_path: Path) -> None:
    context = zmq.asyncio.Context()
    context.linger = 0
    try:
        async with running(tmp_path) as (server, core, admin), asyncio.timeout(PATIENCE_S):
            gateway, stranger = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
            gateway.setsockopt(zmq.IDENTITY, b"/1")
            gateway.connect(server.endpoint)
            await gateway.send(admin_frames.encode(LIST))
            await gateway.send(backbone.encode(backbone.Hello(backbone.VERSION)))
            # The answer to what came second is the first that comes.
            answer = backbone.parse_downward_untrusted(await gateway.recv())
            assert isinstance(answer, backbone.Welcome)
            assert core.counters.malformed == 1
            stranger.connect(admin.endpoint)
            await stranger.send(backbone.encode(backbone.Hello(backbone.VERSION)))
            await stranger.send_multipart((b"two", b"parts"))
            await stranger.send(admin_frames.encode(LIST))
            assert admin_frames.parse_answer_untrusted(await stranger.recv()) == Rooms([], False)
            assert admin.service.malformed == 1
    finally:
        context.destroy(linger=0)


async def test_with_keys_only_an_operators_is_good_for_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.5)
    folder = tmp_path / "keys"
    for owner in (Owner(Role.OPERATOR, "me"), Owner(Role.GATEWAY, "east")):
        key_folder.add(folder, owner, tmp_path / f"{owner.role}.key")
    mine = key_folder.read_secret(tmp_path / "operator.key")
    gateways = key_folder.read_secret(tmp_path / "gateway.key")
    async with running(tmp_path, keys=AllowList(folder), at="tcp://127.0.0.1:*") as (_, _, admin):
        assert await asyncio.to_thread(ask_broker, admin.endpoint, LIST.body, mine) == Rooms([], False)
        context = zmq.asyncio.Context()
        context.linger = 0
        try:
            socket = context.socket(zmq.DEALER)
            present(socket, gateways.public, gateways.secret, gateways.broker)
            socket.connect(admin.endpoint)
            await socket.send(admin_frames.encode(LIST))
            await until(lambda: admin.strangers)
            assert not await socket.poll(0)
        finally:
            context.destroy(linger=0)
        with pytest.raises(BackboneError, match="no broker answers"):
            await asyncio.to_thread(ask_broker, admin.endpoint, LIST.body)
        key_folder.remove(folder, Owner(Role.OPERATOR, "me"))

        async def refusal() -> str:
            while True:  # until the broker has read its folder; a question that comes meanwhile is dropped
                try:
                    await asyncio.to_thread(ask_broker, admin.endpoint, LIST.body, mine)
                except BackboneError as exc:
                    if "no broker answers" not in str(exc):
                        return str(exc)

        assert "does not accept this operator's key" in await asyncio.wait_for(refusal(), PATIENCE_S)


@pytest.mark.parametrize(
    ("at", "why"), [("tcp://0.0.0.0:0", "with keys only"), ("ipc:///nowhere/at/all", "can not listen for operators")]
)
async def test_an_operators_address_that_can_not_be_bound_is_refused(tmp_path: Path, at: str, why: str) -> None:
    with pytest.raises(SettingError, match=why):
        async with running(tmp_path, at=at):
            pass


def test_a_broker_that_is_not_there_is_said_to_be_away(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="no broker answers"):
        ask_broker(f"ipc://{tmp_path}/nobody", LIST.body)
