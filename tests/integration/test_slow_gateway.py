"""A gateway that does not read while much is said: the broker's XPUB drops news for it, and for nobody else.

How the test knows that news were dropped at the high-water mark, and not lost with a connection: the gateway's one news
connection stays, from its first byte to its last, and TCP loses nothing. So entries that are missing in what it carried
were never put into it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import tsudoi
from gateway.config import Config
from gateway.listeners.options import Listener
from gateway.process.service import Service
from gateway.settings import Settings
from tests.chaos.relay import NEWS, BackboneRelay
from tests.support.fakes import own_sessions
from tests.support.patched_brokers import PatientBroker
from tests.support.services import Broker, Gateway, at
from tests.support.waiting import until

MANY = 1e6
BULK = "x" * 3_500
BURST = 30
"""So many at once find room in the gateway's socket."""
ENOUGH = 12_000_000
"""Bytes: more than the broker's kernel and the relay's hold for a connection."""
SETTINGS = tsudoi.Settings(rate_per_s=0, queue_size=1_000_000, keep_alive_s=1.0)


@asynccontextmanager
async def slow_gateway(broker: Broker) -> AsyncIterator[tuple[Service, BackboneRelay, tsudoi.Server]]:
    """A gateway in this process, so that its counters can be read, with a relay between it and its broker."""
    relay = BackboneRelay(holds_little=True)
    await relay.start(broker.endpoint)
    listener = Listener("127.0.0.1", 0)
    config = Config(tcp=(listener,), udp=(listener,), data=Path("unused"), settings=Settings(replay_rate=MANY))
    service = Service(config, [relay.endpoint], own_sessions())
    try:
        (tcp,) = await service.start()
        yield service, relay, tsudoi.Server("127.0.0.1", tcp.port, service.udp[0].listener.port)
    finally:
        await service.stop()
        await relay.close()


class Witness:
    """Writes down what one member hears."""

    def __init__(self, chat: tsudoi.ChatClient) -> None:
        self.heard: list[str] = []
        self._chat = chat
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self._chat:
            if isinstance(event, tsudoi.Message):
                self.heard.append(event.text)

    async def hears(self, said: list[str]) -> None:
        """Wait until it has heard exactly this; a failure shows what was lost or doubled."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: self.heard == said)
        assert self.heard == said

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.mark.slow
async def test_what_the_broker_drops_for_a_slow_gateway_is_seen_and_repaired_and_others_notice_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.link.broker_sockets.HEARTBEAT_TIMEOUT_MS", 60_000)
    with (
        PatientBroker(None, "--news-high-water", "5", "--log-entries", "1000000") as broker,
        Gateway("--rate", "1000000", "--burst", "1000000", broker=broker) as fast,
    ):
        at_fast = at(fast)
        async with contextlib.AsyncExitStack() as stack:
            slow, relay, at_slow = await stack.enter_async_context(slow_gateway(broker))

            async def enter(create: bool, room: str, name: str, server: tsudoi.Server) -> tsudoi.ChatClient:
                way = tsudoi.create if create else tsudoi.join
                chat = await way(room, name=name, server=server, dialect="tsudoi", settings=SETTINGS)
                return await stack.enter_async_context(chat)

            loud = await enter(True, "bulk", "loud", at_fast)
            await enter(False, "bulk", "deaf", at_slow)
            speaker = await enter(True, "den", "speaker", at_fast)
            near = Witness(await enter(False, "den", "near", at_fast))
            far = Witness(await enter(False, "den", "far", at_slow))
            said: list[str] = []
            await speaker.say("begin")
            await until(lambda: near.heard == far.heard == ["begin"])
            said.append("begin")

            connections, gaps = relay.connections[NEWS], slow.counters.gaps
            relay.stall(NEWS)
            for _ in range(ENOUGH // (BURST * len(BULK))):
                for _ in range(BURST):
                    await loud.say(BULK)
                said.append(f"word {len(said)}")
                await speaker.say(said[-1])
                # So nothing is lost on its way up; and who is at the other gateway hears all before the slow one does.
                await near.hears(said)
            assert far.heard == ["begin"]
            relay.heal()
            await far.hears(said)
            assert relay.connections[NEWS] == connections
            assert slow.counters.gaps > gaps
            await until(lambda: all(room.position == room.known_last for room in slow.core.members.rooms.values()))
            assert slow.counters.lost_entries == 0
            assert slow.counters.resets == 0
            await speaker.say("end")
            said.append("end")
            for witness in (near, far):
                await witness.hears(said)
                await witness.stop()
