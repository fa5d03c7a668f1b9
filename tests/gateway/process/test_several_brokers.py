"""gateway/process/service.py with brokers that share a store: real sockets, all in one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import tsudoi
from broker.store.sharing import LEASE_S
from gateway.config import Config
from gateway.link.reachability import unhealthy_reason
from gateway.listeners.options import Listener
from gateway.process.service import Service
from tests.broker.test_membership import Broker, NewBroker, brokers
from tests.support.fakes import own_sessions
from tests.support.shared_memory_store import SharedMemory
from tests.support.waiting import until
from tsudoi.protocol.backbone import shard_named

SHARDS = 8
ANY = Listener("127.0.0.1", 0)


class Talk:
    """A room with a member at each gateway; the first one speaks, and both note what they hear."""

    def __init__(self, room: str, speaker: tsudoi.ChatClient, listener: tsudoi.ChatClient) -> None:
        self.room, self.speaker, self.listener = room, speaker, listener
        self.said: list[str] = []
        self.heard: list[str] = []
        self.others: list[object] = []
        """Events that end or interrupt a conversation."""
        self.tasks = [asyncio.create_task(self._listen())]

    async def _listen(self) -> None:
        async for event in self.listener:
            if isinstance(event, tsudoi.Message):
                self.heard.append(event.text)
            elif not isinstance(event, tsudoi.Joined | tsudoi.ServerAway):
                self.others.append(event)

    def begin(self) -> None:
        self.tasks.append(asyncio.create_task(self._speak()))

    async def _speak(self) -> None:
        while True:
            self.said.append(f"{self.room} {len(self.said)}")
            await self.speaker.say(self.said[-1])
            await asyncio.sleep(0.02)

    def stop_speaking(self) -> None:
        for task in self.tasks[1:]:
            task.cancel()
        del self.tasks[1:]


class Town:
    """Two gateways, of which each was told of one broker, and a room of each shard."""

    def __init__(self, shared: SharedMemory, new_broker: NewBroker, stack: AsyncExitStack) -> None:
        self.shared, self.stack = shared, stack
        self.one, self.other = new_broker(), new_broker()
        self.gateways: list[Service] = []
        self.talks: list[Talk] = []

    async def start(self) -> None:
        await until(lambda: len(self.one.shards) == SHARDS // 2 == len(self.other.shards))
        servers = []
        for seeds in ([self.one.endpoint], [self.one.endpoint, "ipc:///nowhere/b"]):
            service = Service(Config(tcp=(ANY,), udp=(ANY,), data=Path("unused")), seeds, own_sessions())
            self.stack.push_async_callback(self.stop, service)
            self.gateways.append(service)
            (tcp,) = await service.start()
            servers.append(tsudoi.Server("127.0.0.1", tcp.port, service.udp[0].listener.port))
        rooms: dict[int, str] = {}
        number = 0
        while len(rooms) < SHARDS:
            number += 1
            shard = shard_named(f"room {number}", SHARDS)
            assert shard is not None
            rooms.setdefault(shard, f"room {number}")
        for name in rooms.values():
            speaker = await tsudoi.create(name, name="alice", server=servers[0], dialect="tsudoi")
            await self.stack.enter_async_context(speaker)
            listener = await tsudoi.join(name, name="bob", server=servers[1], dialect="tsudoi")
            await self.stack.enter_async_context(listener)
            self.talks.append(Talk(name, speaker, listener))
        for talk in self.talks:
            talk.begin()
        await self.all_heard(10)

    async def stop(self, service: Service) -> None:
        """Stop a gateway, once."""
        if service in self.gateways:
            self.gateways.remove(service)
            await service.stop()

    async def all_heard(self, more: int) -> None:
        """Wait until each listener has heard so many messages more."""
        goals = [(talk, len(talk.heard) + more) for talk in self.talks]
        await until(lambda: all(len(talk.heard) >= goal for talk, goal in goals))

    async def check(self) -> None:
        """End the talking; all that was said must have been heard once and in order, and no client was disturbed."""
        for talk in self.talks:
            talk.stop_speaking()
        try:
            await until(lambda: all(len(talk.heard) >= len(talk.said) for talk in self.talks))
        finally:
            assert {talk.room: talk.heard for talk in self.talks} == {talk.room: talk.said for talk in self.talks}
        assert [talk.others for talk in self.talks] == [[]] * SHARDS
        assert sum(service.counters.unknown_members for service in self.gateways) == 0


@asynccontextmanager
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    shared = SharedMemory(SHARDS)
    async with brokers(tmp_path, shared) as new_broker, AsyncExitStack() as stack:
        built = Town(shared, new_broker, stack)
        try:
            await built.start()
            yield built
        finally:
            for talk in built.talks:
                for task in talk.tasks:
                    task.cancel()


async def end(here: Town, broker: Broker) -> None:
    """End a broker as a kill does: it says nothing any more, and gives nothing away."""
    broker.server.sockets.close(linger_ms=0)
    await broker.freeze()
    here.shared.now += LEASE_S


def owners(service: Service) -> set[str | None]:
    return {service.routes.owner(shard) for shard in range(SHARDS)}


async def test_a_gateway_finds_all_brokers_and_serves_the_rooms_of_all(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        for service in here.gateways:
            assert owners(service) == {here.one.endpoint, here.other.endpoint}
            assert set(service.sockets._sockets) == {here.one.endpoint, here.other.endpoint}
            assert unhealthy_reason(service.routes, asyncio.get_running_loop().time()) == ""
        await here.check()


async def test_a_broker_that_is_gone_is_followed_by_another_and_no_client_is_disturbed(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        await end(here, here.other)
        await here.all_heard(20)
        assert all(owners(service) == {here.one.endpoint} for service in here.gateways)
        await here.check()


async def test_only_the_rooms_of_a_broker_that_is_gone_stand_still(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        gone = here.other.shards
        here.other.server.sockets.close(linger_ms=0)
        await here.other.freeze()
        alive = [talk for talk in here.talks if shard_named(talk.room, SHARDS) not in gone]
        assert len(alive) == SHARDS // 2
        goals = [(talk, len(talk.heard) + 50) for talk in alive]
        await until(lambda: all(len(talk.heard) >= goal for talk, goal in goals))
        here.shared.now += LEASE_S
        await here.all_heard(20)
        await here.check()


async def test_shards_move_in_good_order_without_a_second_of_silence(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        longest = 0.0
        watching = True

        async def watch() -> None:
            nonlocal longest
            clock = asyncio.get_running_loop().time
            heard = {talk.room: (len(talk.heard), clock()) for talk in here.talks}
            while watching:
                await asyncio.sleep(0.01)
                for talk in here.talks:
                    count, at = heard[talk.room]
                    if len(talk.heard) > count:
                        longest = max(longest, clock() - at)
                        heard[talk.room] = len(talk.heard), clock()

        watcher = asyncio.create_task(watch())
        await here.other.membership.leave()
        assert not here.other.shards
        await here.all_heard(20)
        watching = False
        await watcher
        await here.check()
        assert longest < 1.0


async def test_what_was_taken_before_a_gateway_stops_reaches_all_brokers(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        for talk in here.talks:
            talk.stop_speaking()
        await here.stop(here.gateways[0])
        await here.check()
        known = [core.gateways.known for broker in (here.one, here.other) for core in broker.server.cores]
        await until(lambda: all(sum(gateway.stopped for gateway in each.values()) == 1 for each in known))
