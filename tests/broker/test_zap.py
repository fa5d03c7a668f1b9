"""broker/net/zap.py, and what broker/net/server.py does with keys"""

import asyncio
import contextlib
import errno
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from broker.config import Limits
from broker.core import Core
from broker.keys import key_folder
from broker.keys.allow_list import AllowList
from broker.net import incoming, zeromq
from broker.net.ping import ping
from broker.net.server import Server
from broker.shards.cores import Cores
from broker.store.memory import MemoryStore
from tests.broker.scripted import a_create, a_join, said
from tests.broker.test_server import PATIENCE_S, Gateway
from tests.support.services import steady_endpoint
from tests.support.waiting import until
from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Owner, Role, SecretKey
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Canary, Granted, Hello, Publish, Unknown, Welcome

EAST, WEST = Owner(Role.GATEWAY, "east"), Owner(Role.GATEWAY, "west")
PERSON = Owner(Role.OPERATOR, "me")


class Peer(Gateway):
    """A gateway with a key, or without one, that subscribes to everything."""

    def __init__(self, context: "zmq.asyncio.Context", endpoint: str, instance: str, key: SecretKey | None) -> None:
        super().__init__(context, endpoint, instance, key)
        self.subscribe(b"")

    async def say_frame(self, frame: bytes) -> None:
        """Say it if there is room, else nothing: who is cut off has none."""
        with contextlib.suppress(zmq.Again):
            await self._dealer.send(frame, zmq.NOBLOCK)
        await asyncio.sleep(0)

    async def is_disconnected_from_news(self) -> bool:
        """Wait until its connection for the news is cut."""
        monitor = self._sub.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        async with asyncio.timeout(PATIENCE_S):
            return bool(await recv_monitor_message(monitor))

    async def any_news(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return bytes(await self._sub.recv())

    async def live(self) -> None:
        """Wait until canaries come back: both connections are there (again)."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self._sub.poll(20):
                await self.say(Canary(1))

    async def forget(self) -> None:
        """Pass over what has come until now."""
        for socket in (self._dealer, self._sub):
            while await socket.poll(0):
                await socket.recv()

    async def hears_nothing(self) -> bool:
        """Nothing on either socket for a while: there is nothing to wait for instead."""
        return not await self._dealer.poll(300) and not await self._sub.poll(0)


class KeyedBroker:
    """A server with keys, and what makes keys and peers for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key(EAST)
        self.store = store = MemoryStore()
        limits = Limits()
        self.core = Core(store.load(), "broker", limits, 0.0)
        allow_list = AllowList(folder)
        self.server = Server(Cores([self.core]), store, limits, steady_endpoint(), lambda: None, allow_list)
        self.own = allow_list.own
        self._context = zmq.asyncio.Context()
        self._context.linger = 0
        self._peers: list[Peer] = []

    def key(self, owner: Owner) -> SecretKey:
        """Return the key of `owner`, who is let in from now on."""
        path = self.folder.parent / f"{owner}.key"
        if not path.exists():
            key_folder.add(self.folder, owner, path)
        return key_folder.read_secret(path)

    def peer(self, instance: str, key: SecretKey | None) -> Peer:
        self._peers.append(Peer(self._context, self.server.endpoint, instance, key))
        return self._peers[-1]

    def close(self) -> None:
        self.server.stop()
        self._context.destroy(linger=0)


@pytest.fixture
def log() -> io.StringIO:
    """What was logged."""
    stream = io.StringIO()
    logs.set_up("info", "human", stream)
    logging.getLogger("broker").setLevel(logging.NOTSET)  # a broker in a gateway's process raises it
    return stream


@asynccontextmanager
async def guarded(tmp_path: Path) -> AsyncIterator[KeyedBroker]:
    one = KeyedBroker(tmp_path / "keys")
    one.server.start()
    try:
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("kind", ["no key", "a key of its own", "the public key of another", "the broker's public key"])
async def test_strangers_are_not_heard_and_hear_nothing(tmp_path: Path, kind: str) -> None:
    async with guarded(tmp_path) as here:
        east = here.key(EAST)
        public, secret = key_folder.make_pair()
        key = {
            "no key": None,
            "a key of its own": SecretKey(EAST, public, secret, here.own.public),
            "the public key of another": SecretKey(EAST, east.public, secret, here.own.public),
            "the broker's public key": SecretKey(EAST, here.own.public, secret, here.own.public),
        }[kind]
        stranger, friend = here.peer("east/1", key), here.peer("east/2", east)
        await stranger.say(Hello(backbone.VERSION))
        await friend.greet()
        await friend.ask(a_create("den", "alice"))
        assert await friend.any_news()
        assert await stranger.hears_nothing()
        assert set(here.core.gateways.known) == {"east/2"}


async def test_a_key_that_is_added_is_admitted_at_its_next_connection(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        public, secret = key_folder.make_pair()
        key = SecretKey(WEST, public, secret, here.own.public)
        await here.peer("west/1", key).say(Hello(backbone.VERSION))
        await until(lambda: here.server.denied > 0)
        (here.folder / "gateways" / "west.pub").write_text(public)
        admitted = here.peer("west/1", key)
        await admitted.say(Hello(backbone.VERSION))
        assert isinstance(await admitted.hear(), Welcome)


async def test_a_revoked_gateway_is_cut_off_and_the_others_go_on(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        east, west = here.peer("east/1", here.key(EAST)), here.peer("west/1", here.key(WEST))
        await east.greet()
        await west.greet()
        alice = await east.ask(a_create("den", "alice"))
        bob = await west.ask(a_join("den", "bob"))
        assert isinstance(alice, Granted)
        assert isinstance(bob, Granted)
        for peer in (east, west):
            await peer.any_news()

        key_folder.remove(here.folder, WEST)
        await until(lambda: here.core.gateways.known["west/1"].stopped)
        await west.forget()
        await west.say(Publish(1, [said(bob, "I am still here")]))
        # East is back by itself: it is heard, and it hears.
        await east.forget()
        await east.live()
        await east.say(Publish(1, [said(alice, "goodbye, west")]))
        while b"goodbye, west" not in await east.any_news():
            pass
        assert await west.hears_nothing()
        assert here.core.directory.find(bob.room_name).last == 3  # type: ignore[arg-type]


async def test_without_descriptors_the_ports_are_opened_again_as_soon_as_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([True, False, True])  # the ROUTER; then the XPUB
    real = zeromq.GatewaySockets._socket

    def socket(transport: zeromq.GatewaySockets, kind: int) -> "zmq.Socket[bytes]":
        if next(failures, False):
            raise zmq.ZMQError(errno.EMFILE)
        return real(transport, kind)

    async with guarded(tmp_path) as here:
        east, west = here.peer("east/1", here.key(EAST)), here.peer("west/1", here.key(WEST))
        await east.greet()
        await west.greet()
        monkeypatch.setattr(zeromq.GatewaySockets, "_socket", socket)
        key_folder.remove(here.folder, WEST)
        await until(lambda: here.core.gateways.known["west/1"].stopped)
        await east.forget()
        await east.live()
        assert next(failures, None) is None


async def test_what_an_expelled_gateway_has_said_still_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "TURN_S", 0)  # one message a turn: the others wait
    async with guarded(tmp_path) as here:
        west = here.peer("west/1", here.key(WEST))
        await west.greet()
        bob = await west.ask(a_create("den", "bob"))
        assert isinstance(bob, Granted)
        flood = backbone.pack_frames([backbone.encode(Canary(1))] * 1_000)
        key_folder.remove(here.folder, WEST)
        while "west/1" not in here.core.gateways.known or not here.core.gateways.known["west/1"].stopped:
            for frame in flood:
                await west.say_frame(frame)
        assert "west/1" not in {peer for peer, _ in here.server.turns.incoming.queue.waiting()}


async def test_gateways_whose_keys_were_removed_while_nobody_looked_are_expelled(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        for instance, key in (("east/1", EAST), ("west/1", WEST)):
            peer = here.peer(instance, here.key(key))
            await peer.greet()
            assert isinstance(await peer.ask(a_create(instance, "host", token=ord(instance[0]))), Granted)
        key_folder.remove(here.folder, WEST)
        store = here.store
        core = Core(store.load(), "broker-2", Limits(), 0.0)
        again = Server(Cores([core]), store, Limits(), "tcp://127.0.0.1:0", lambda: None, AllowList(here.folder))
        again.start()
        again.stop()
        assert {name: gateway.expelled for name, gateway in core.gateways.known.items()} == {
            "east/1": False,
            "west/1": True,
        }


async def test_who_subscribes_to_what_can_be_no_topic_is_cut_off(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        west = here.peer("west/1", here.key(WEST))
        await west.greet()
        await west.live()
        west.subscribe(b"r" * zeromq.MAX_SUBSCRIPTION_SIZE)
        assert await west.is_disconnected_from_news()


async def test_nobody_speaks_in_the_name_of_another(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        east = here.peer("east/1", here.key(EAST))
        nameless = here.peer("/2", here.key(EAST))
        await east.greet()
        await nameless.greet()
        alice = await east.ask(a_create("den", "alice"))
        assert isinstance(alice, Granted)
        west = here.key(WEST)
        for instance in ("east/1", "east/9", "/2"):
            thief = here.peer(instance, west)
            await thief.say(Hello(backbone.VERSION))
            await thief.say(Publish(1, [said(alice, "I am alice")]))
        await until(lambda: here.server.sockets.impostors == 6)
        assert here.core.directory.find(alice.room_name).last == 1  # type: ignore[arg-type]
        assert here.core.counters.refused_items == 0


@pytest.mark.parametrize("owner", [PERSON, Owner(Role.BROKER, "broker")])
async def test_only_gateways_are_taken_for_gateways(tmp_path: Path, owner: Owner) -> None:
    async with guarded(tmp_path) as here:
        person = here.peer("/1", here.own if owner.role is Role.BROKER else here.key(owner))
        await person.say(Hello(backbone.VERSION))
        assert isinstance(await person.hear(), Unknown)
        assert not here.core.gateways.known


@pytest.mark.parametrize("owner", [PERSON, Owner(Role.BROKER, "broker")])
async def test_only_gateways_hear_the_news(tmp_path: Path, log: io.StringIO, owner: Owner) -> None:
    async with guarded(tmp_path) as here:
        person = here.peer("/1", here.own if owner.role is Role.BROKER else here.key(owner))
        east = here.peer("east/1", here.key(EAST))
        await east.greet()
        await east.ask(a_create("den", "alice"))
        assert await east.any_news()
        await until(lambda: here.server.denied > 0)
        assert await person.hears_nothing()
        assert f"address=127.0.0.1 at=news not_told_before=0 owner='{owner}'" in log.getvalue()
        assert "at=commands" not in log.getvalue()


async def test_ping_shows_the_brokers_own_key(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        endpoint = here.server.endpoint
        assert await asyncio.to_thread(ping, endpoint, PATIENCE_S, here.own)
        assert not await asyncio.to_thread(ping, endpoint, 0.3)


async def test_ping_claims_no_name_by_chance() -> None:
    """Of libzmq's own ids one in 64 has a slash: that ping was dropped as if it had come under a gateway's name."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        asked = asyncio.create_task(asyncio.to_thread(ping, f"tcp://127.0.0.1:{port}", PATIENCE_S))
        await until(lambda: router.poll(0))
        peer, _ = router.recv_multipart()
        router.send_multipart([peer, b""])
        assert not await asked
    assert not peer.startswith(b"\0")
    assert backbone.gateway_name(peer.decode()) == ""


async def test_who_comes_and_who_is_turned_away_leaves_one_line_each(tmp_path: Path, log: io.StringIO) -> None:
    async with guarded(tmp_path) as here:
        public, secret = key_folder.make_pair()
        key = SecretKey(WEST, public, secret, here.own.public)
        for _ in range(4):
            here.peer("west/1", key)
        await until(lambda: here.server.denied > 3)
        for number in range(3):
            east = here.peer(f"east/{number}", here.key(EAST))
            await east.greet()
            await east.live()
        await until(lambda: "a key was admitted" in log.getvalue())
        assert log.getvalue().count("a key was denied") == log.getvalue().count("a key was admitted") == 1
        (told,) = (line for line in log.getvalue().splitlines() if "was denied" in line)
        assert public in told
        assert "127.0.0.1" in told
        (here.folder / "gateways" / "west.pub").write_text(public)
        await until(lambda: "a key was added" in log.getvalue())
        key_folder.remove(here.folder, WEST)
        await until(lambda: "a key was removed" in log.getvalue())


async def test_socket_files_are_for_our_own_user(tmp_path: Path) -> None:
    store, limits = MemoryStore(), Limits()
    server = Server(Cores([Core(store.load(), "b", limits, 0.0)]), store, limits, f"ipc://{tmp_path}/b", lambda: None)
    server.start()
    try:
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "b", tmp_path / "b.pub")} == {0o600}
    finally:
        server.stop()
