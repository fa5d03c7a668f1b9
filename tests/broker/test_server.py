"""broker/net/server.py"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio

from broker.config import Limits
from broker.core import Core
from broker.net import incoming, replay_queue, zeromq
from broker.net.server import Server
from broker.net.zap import present
from broker.shards.cores import Cores
from broker.store.interface import Batch, Chunk
from broker.store.memory import MemoryStore
from tests.broker.scripted import a_create, a_join, said
from tests.support.waiting import until
from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Accepted,
    Canary,
    Create,
    Downward,
    Granted,
    Hello,
    Publish,
    Reply,
    Request,
    Welcome,
)
from tsudoi.protocol.backbone.endpoint import INPROC, IPC
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.errors import SettingError, StoreError
from tsudoi.protocol.names import RoomName

PATIENCE_S = 30.0


class Reluctant(MemoryStore):
    """Keeps nothing while it is told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def commit(self, *batches: Batch) -> None:
        if self.is_full:
            raise StoreError("no room")
        super().commit(*batches)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        if self.is_full:
            raise StoreError("no room")
        return super().trim(keep, before_ms)


class Reading(MemoryStore):
    """Counts how often a log was read, at most, before the event loop went on."""

    reads = most = 0

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        self.reads += 1
        self.most = max(self.most, self.reads)
        asyncio.get_running_loop().call_soon(self._goes_on)
        return super().read(room, after, limit, shard)

    def _goes_on(self) -> None:
        self.reads = 0


class Gateway:
    """A DEALER and a SUB, asked and heard one message at a time."""

    def __init__(
        self, context: "zmq.asyncio.Context", endpoint: str, instance: str, key: SecretKey | None = None
    ) -> None:
        self.instance = instance
        self._dealer, self._sub = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        self._dealer.setsockopt(zmq.IDENTITY, instance.encode())
        for socket, where in ((self._dealer, endpoint), (self._sub, backbone.publish_endpoint(endpoint))):
            socket.setsockopt(zmq.RECONNECT_IVL, 20)
            socket.setsockopt(zmq.HANDSHAKE_IVL, 200)
            if key is not None:
                present(socket, key.public, key.secret, key.broker)
            socket.connect(where)
        self._ids = iter(range(1, 1_000))
        self._heard: list[bytes] = []

    def close(self) -> None:
        self._dealer.close(linger=0)
        self._sub.close(linger=0)

    async def say(self, message: backbone.Upward) -> None:
        await self._dealer.send(backbone.encode(message))

    async def say_parts(self, *parts: bytes) -> None:
        await self._dealer.send_multipart(parts)

    async def hear(self, patience_s: float = PATIENCE_S) -> Downward:
        async with asyncio.timeout(patience_s):
            if not self._heard:
                self._heard += backbone.unpack_frames_untrusted(await self._dealer.recv())
            return backbone.parse_downward_untrusted(self._heard.pop(0))

    async def ask(self, body: Create) -> Any:
        await self.say(Request(next(self._ids), body))
        # On a busy machine it may have been silent for so long that the broker tells it first what it has accepted.
        while not isinstance(reply := await self.hear(), Reply):
            assert reply == backbone.Accepted(0)
        return reply.body

    async def greet(self) -> None:
        await self.say(Hello(backbone.VERSION))
        assert isinstance(await self.hear(), Welcome)

    def subscribe(self, topic: bytes) -> None:
        self._sub.setsockopt(zmq.SUBSCRIBE, topic)

    async def frame(self) -> tuple[bytes, bytes]:
        """The next (topic, body) that is published to it."""
        async with asyncio.timeout(PATIENCE_S):
            frame = await self._sub.recv()
        return frame[: backbone.TOPIC_SIZE], frame[backbone.TOPIC_SIZE :]

    async def news(self) -> tuple[bytes, backbone.News]:
        """The next news of a room with members elsewhere as well."""
        topic, body = await self.frame()
        return topic, backbone.parse_news_untrusted(body)


NewGateway = Callable[[str], Gateway]


@asynccontextmanager
async def running(
    store: MemoryStore, where: str, on_failure: Callable[[], None] = lambda: None, limits: Limits | None = None
) -> AsyncIterator[tuple[Server, NewGateway]]:
    """A server on a socket, and what makes gateways for it."""
    limits = limits or Limits()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    shared = context if where.startswith(INPROC) else None
    server = Server(
        Cores([Core(store.load(), "broker", limits, 0.0)]), store, limits, where, on_failure, context=shared
    )
    server.start()
    of_gateways = zmq.asyncio.Context(shadow=context)
    sockets: list[Gateway] = []

    def new_gateway(name: str) -> Gateway:
        sockets.append(Gateway(of_gateways, server.endpoint, backbone.new_instance("", name)))
        return sockets[-1]

    try:
        yield server, new_gateway
    finally:
        server.stop()
        for gateway in sockets:
            gateway.close()
        context.term()


@pytest.fixture(params=[IPC, INPROC])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}{tmp_path}/b"


async def test_what_is_said_comes_back_in_order_to_who_subscribes(where: str) -> None:
    async with running(MemoryStore(), where) as (_, new_gateway):
        one, other = new_gateway("1"), new_gateway("2")
        await one.greet()
        await other.greet()
        host = await one.ask(a_create())
        assert isinstance(host, Granted)
        other.subscribe(backbone.room_topic(host.room))
        assert await other.news() == (backbone.room_topic(host.room), backbone.News(host.epoch, 1, []))
        assert isinstance(await other.ask(a_join(token=2)), Granted)
        for number in range(1, 101):
            await one.say(Publish(number, [said(host, number)]))
        texts: list[str] = []
        while len(texts) < 100:
            _, news = await other.news()
            texts += [entry.text for entry in news.entries if entry.kind == EntryKind.SAID]
        assert texts == [str(number) for number in range(1, 101)]
        last = 0
        while last < 100:
            accepted = await one.hear()
            assert isinstance(accepted, Accepted)
            assert accepted.number > last
            last = accepted.number


async def test_passwords_are_hashed_while_others_are_served(where: str) -> None:
    async with running(MemoryStore(), where, limits=Limits(password_jobs=1)) as (_, new_gateway):
        gateway = new_gateway("1")
        await gateway.greet()
        locked = a_create("locked", "alice", "secret", 1)
        await gateway.say(Request(1, locked))
        await gateway.say(Request(2, a_create("also locked", "bob", "secret", 2)))
        await gateway.say(Request(3, a_create("open", "carol", None, 3)))
        answers: dict[int, Any] = {}
        order: list[int] = []
        while len(answers) < 3:
            reply = await gateway.hear()
            assert isinstance(reply, Reply)
            answers[reply.id] = reply.body
            order.append(reply.id)
        assert isinstance(answers[1], Granted)
        assert answers[2] == backbone.Refused(5, "")
        assert isinstance(answers[3], Granted)
        assert order[-1] == 1
        assert isinstance(await gateway.ask(a_join("locked", "dave", "secret", 4)), Granted)
        assert await gateway.ask(a_join("locked", "eve", "guess", 5)) == backbone.Refused(3, "")


async def test_a_gateway_with_many_passwords_keeps_no_other_from_having_one_checked(where: str) -> None:
    async with running(MemoryStore(), where, limits=Limits(password_jobs=2)) as (_, new_gateway):
        thief, gateway = new_gateway("1"), new_gateway("2")
        await thief.greet()
        await gateway.greet()
        for number in range(8):
            await thief.say(Request(number, a_create(f"room {number}", "mallory", "secret", number)))
        while not isinstance(reply := await thief.hear(), Reply) or not isinstance(reply.body, backbone.Refused):
            pass  # the first ones may be done already
        assert isinstance(await gateway.ask(a_create("locked", "alice", "secret", 9)), Granted)


async def test_when_the_store_fails_nothing_more_is_taken_or_told(where: str) -> None:
    store, failed = Reluctant(), asyncio.Event()
    async with running(store, where, failed.set) as (_, new_gateway):
        gateway = new_gateway("1")
        await gateway.greet()
        host = await gateway.ask(a_create())
        store.is_full = True
        await gateway.say(Publish(1, [said(host, "lost")]))
        async with asyncio.timeout(PATIENCE_S):
            await failed.wait()
        # There is room again, but what was lost must not be followed by what is not.
        store.is_full = False
        await gateway.say(Publish(1, [said(host, "lost"), said(host, "kept")]))
        with pytest.raises(TimeoutError):
            await gateway.hear(0.3)
        assert store.load().accepted == {}
        assert store.load().ends == {host.room: (1, 1)}


async def test_a_clock_that_is_wrong_for_a_moment_deletes_and_stamps_nothing(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    async with running(store, where) as (server, new_gateway):
        gateway = new_gateway("1")
        await gateway.greet()
        host = await gateway.ask(a_create())
        assert isinstance(host, Granted)
        await gateway.say(Publish(1, [said(host, "one"), said(host, "two")]))
        await gateway.ask(a_create("attic", token=8))  # so both are kept
        right, ahead = time.time, 40 * 86_400
        monkeypatch.setattr(time, "time", lambda: right() + ahead)
        await gateway.say(Publish(3, [said(host, "three")]))
        await gateway.ask(a_create("cellar", token=9))
        server.turns.trim()
        server.turns.committer.wait()
        monkeypatch.undo()
        chunks = store.read(host.room, 0, 100)
        assert (chunks[0].first, chunks[-1].last) == (1, 4)
        assert max(chunk.at_ms for chunk in chunks) < (right() + 60) * 1000


async def test_the_last_turn_is_kept_although_the_logs_were_to_be_trimmed(where: str) -> None:
    store = MemoryStore()
    async with running(store, where) as (server, _):
        server.core.directory.persist(RoomName("cellar"), 1)
        server.turns.trim_due = True
    assert [room.name for room in store.load().rooms] == ["cellar"]


async def test_a_taken_address_is_a_setting_error_of_one_line() -> None:
    async with running(MemoryStore(), "tcp://127.0.0.1:0") as (first, _):
        with pytest.raises(
            SettingError,
            match=r"can not listen on tcp://127\.0\.0\.1:\d+ and the next port: Address already in use$",
        ):
            Server(
                Cores([Core(MemoryStore().load(), "b", Limits(), 0.0)]), MemoryStore(), Limits(), first.endpoint, print
            )


async def test_a_name_that_is_no_address_is_told() -> None:
    with pytest.raises(SettingError, match="its host is no address of this machine"):
        Server(
            Cores([Core(MemoryStore().load(), "b", Limits(), 0.0)]),
            MemoryStore(),
            Limits(),
            "tcp://none.invalid:1",
            print,
        )


async def test_any_port_is_two_in_a_row() -> None:
    async with running(MemoryStore(), "tcp://127.0.0.1:0") as (server, new_gateway):
        assert not server.endpoint.endswith(":0")
        gateway = new_gateway("1")
        gateway.subscribe(backbone.own_topic(gateway.instance))
        await gateway.greet()
        frame: tuple[bytes, bytes] | None = None
        for number in range(1, 100):
            # A subscription takes a moment to be live; canaries before that come back to nobody.
            await gateway.say(Canary(number))
            try:
                async with asyncio.timeout(0.1):
                    frame = await gateway.frame()
                    break
            except TimeoutError:
                continue
        assert frame is not None
        assert frame[0] == backbone.own_topic(gateway.instance)
        assert number in backbone.parse_bundle_untrusted(frame[1]).canaries


async def test_who_asks_for_much_does_not_keep_others_waiting(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "TURN_S", 0)  # one message a turn
    async with running(MemoryStore(), where) as (server, new_gateway):
        greedy, modest = new_gateway("1"), new_gateway("2")
        await greedy.greet()
        await modest.greet()
        much = backbone.pack_frames([backbone.encode(Request(1, backbone.Positions([(0, 0, 0, 0)] * 100)))] * 500)
        for frame in much:
            await greedy.say_parts(frame)
        await greedy.hear()  # it is being served
        assert isinstance(await modest.ask(a_create()), Granted)
        assert server.turns.incoming.queue.accounts, "the other was served only when nothing was left"


async def test_replays_wait_their_turn_too(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "TURN_S", PATIENCE_S)
    monkeypatch.setattr(replay_queue, "REPLAYS_S", 0)  # one a turn
    store = Reading()
    async with running(store, where) as (_, new_gateway):
        greedy, modest = new_gateway("1"), new_gateway("2")
        await greedy.greet()
        await modest.greet()
        host = await greedy.ask(a_create())
        # One that is asked for again while it waits is answered once; behind its answer, again.
        ids = [*range(1, 201), *range(1, 201)]
        asked = [backbone.encode(Request(number, backbone.Replay(host.room, host.epoch, 0, 100))) for number in ids]
        for frame in backbone.pack_frames(asked):
            await greedy.say_parts(frame)
        heard = [await greedy.hear()]
        assert isinstance(await modest.ask(a_create("other", token=2)), Granted)
        while {reply.id for reply in heard if isinstance(reply, Reply)} != set(ids):
            heard.append(await greedy.hear())
        assert store.most < 10  # one a turn, and a loop has a few turns


async def test_answers_that_are_not_read_at_once_wait_in_order(where: str) -> None:
    async with running(MemoryStore(), where) as (server, new_gateway):
        gateway, other = new_gateway("1"), new_gateway("2")
        await gateway.greet()
        await other.greet()
        count, frame = 400, backbone.encode(backbone.Reply(1, backbone.Rooms(["x" * 1_000] * 50)))
        for number in range(count):
            assert server.sockets.answer(gateway.instance, frame)
            assert server.sockets.answer(gateway.instance, backbone.encode(Accepted(number)))
        server.sockets.flush()
        # Nobody else waits for that.
        assert isinstance(await other.ask(a_create()), Granted)
        numbers: list[int] = []
        while len(numbers) < count:
            match await gateway.hear():
                case Accepted(number):
                    numbers.append(number)
        assert numbers == list(range(count))
        assert server.sockets.undeliverable == 0


async def test_answers_that_nobody_reads_are_bounded_in_bytes(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeromq, "ANSWERS_WAITING", 2**20)
    async with running(MemoryStore(), where) as (server, new_gateway):
        gateway, other = new_gateway("1"), new_gateway("2")
        await gateway.greet()
        await other.greet()
        sockets, sent = server.sockets, 0
        while not sockets.undeliverable and sent < 10_000:
            sent += sockets.answer(gateway.instance, bytes(2**17))
            sockets.flush()
        # Besides what waits with us: ZeroMQ's frames, and the system's buffers.
        assert sent < 1_100
        assert not sockets.is_behind(other.instance)
        assert isinstance(await other.ask(a_create()), Granted)


async def test_what_more_is_said_than_handled_is_dropped_for_that_one_alone(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "TURN_S", 0)
    monkeypatch.setattr(incoming, "WAITING", 10_000)
    async with running(MemoryStore(), where) as (server, new_gateway):
        greedy, modest = new_gateway("1"), new_gateway("2")
        await greedy.greet()
        await modest.greet()
        for number in range(100):
            await greedy.say(Request(number, backbone.GetTime()))
        assert isinstance(await modest.ask(a_create()), Granted)
        await greedy.hear()
        await until(lambda: not server.turns.incoming.queue.accounts)
        assert server.sockets.overrun > 0
        assert isinstance(await modest.ask(a_create("again", token=2)), Granted)


async def test_frames_of_any_kind_do_not_stop_it(where: str) -> None:
    async with running(MemoryStore(), where) as (_, new_gateway):
        gateway = new_gateway("1")
        await gateway.greet()
        await gateway.say_parts(b"")
        await gateway.say_parts(b"", b"")
        await gateway.say_parts(b"a", b"b", b"c")
        await gateway.say_parts(b"\xff" * 1_000)
        assert isinstance(await gateway.ask(a_create(token=9)), Granted)
