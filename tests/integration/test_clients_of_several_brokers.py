"""Two brokers and two gateways on a replicated PostgreSQL: brokers are killed, frozen and stopped while clients chat.

No message is lost or comes twice, no client reconnects, and rooms go on within seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

import tsudoi
from broker.keys import key_folder
from scenarios.ports import steady_port
from tests.support import postgres
from tests.support.services import Broker, Gateway, at
from tests.support.waiting import until
from tsudoi.ops.keyfiles import Owner, Role

pytestmark = pytest.mark.slow

SETTINGS = tsudoi.Settings(rate_per_s=0)
ROOMS = 16
TAKEOVER_S = 4.0


class Talk:
    """A room with a member at each gateway, of which one speaks."""

    def __init__(self, speaker: tsudoi.ChatClient, listener: tsudoi.ChatClient) -> None:
        self.speaker, self.listener = speaker, listener
        self.said: list[str] = []
        self.heard: list[str] = []
        self.longest_s = 0.0
        """The longest silence."""
        self.disturbances: list[object] = []
        self._heard_at = time.monotonic()
        self.speaking = asyncio.create_task(self._speak())
        self.listening = asyncio.create_task(self._listen())

    async def _speak(self) -> None:
        while True:
            self.said.append(f"line {len(self.said)}")
            # Given to the client at once: `say` that is cancelled in its first moment says nothing.
            await self.speaker.post(self.said[-1]).kept()
            await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        async for event in self.listener:
            if isinstance(event, tsudoi.Message):
                self.heard.append(event.text)
                self.longest_s = max(self.longest_s, time.monotonic() - self._heard_at)
                self._heard_at = time.monotonic()
            elif not isinstance(
                event, tsudoi.Joined | tsudoi.ServerAway | tsudoi.Notice
            ):  # that a room's broker is away, and back
                self.disturbances.append(event)


class Town:
    """The brokers, the gateways, and rooms with members who talk."""

    def __init__(self, brokers: list[Broker], gateways: list[Gateway], talks: list[Talk]) -> None:
        self.brokers, self.gateways, self.talks = brokers, gateways, talks

    async def all_heard(self, more: int = 20) -> None:
        """Wait until so many messages more have come in each room."""
        goals = [len(talk.heard) + more for talk in self.talks]
        await until(lambda: all(len(talk.heard) >= goal for talk, goal in zip(self.talks, goals, strict=True)))

    async def check(self) -> None:
        """End the talking; all was heard once and in order."""
        for talk in self.talks:
            talk.speaking.cancel()
        with suppress(TimeoutError):  # what is missing says more
            await until(lambda: all(len(talk.heard) >= len(talk.said) for talk in self.talks))
        for talk in self.talks:
            assert talk.heard == talk.said
            assert talk.disturbances == []

    @property
    def longest_s(self) -> float:
        return max(talk.longest_s for talk in self.talks)


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        primary, standby = stack.enter_context(postgres.pair())
        both = f"postgresql://{postgres.USER}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        # All brokers have one folder of keys, so one key of a gateway is for all of them.
        keys, key = folder / "keys", folder / "east.key"
        key_folder.add(keys, Owner(Role.GATEWAY, "east"), key)
        brokers = [
            stack.enter_context(Broker(both, "--keys", str(keys), bind=f"tcp://127.0.0.1:{steady_port(2)}", name=name))
            for name in ("broker 1", "broker 2")
        ]
        # The second gateway knows of the second broker only, and of one that is not there.
        seeds: list[tuple[str, ...]] = [(), ("--broker", "tcp://127.0.0.1:9")]
        gateways = [
            stack.enter_context(Gateway(*more, "--key", str(key), broker=broker))
            for more, broker in zip(seeds, brokers, strict=True)
        ]
        talks = []
        for number in range(ROOMS):
            room = f"room {number}"
            speaker = await tsudoi.create(room, name="alice", server=at(gateways[0]), settings=SETTINGS)
            await stack.enter_async_context(speaker)
            listener = await tsudoi.join(room, name="bob", server=at(gateways[1]), settings=SETTINGS)
            await stack.enter_async_context(listener)
            talks.append(Talk(speaker, listener))
        here = Town(brokers, gateways, talks)
        try:
            await here.all_heard(5)
            yield here
        finally:
            for talk in talks:
                talk.speaking.cancel()
                talk.listening.cancel()


async def test_a_killed_broker_is_followed_by_the_other(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        here.brokers[1].kill()
        await here.all_heard()
        await here.check()
        assert here.longest_s < TAKEOVER_S + 1.0  # the machine is busy with the tests


async def test_a_frozen_broker_does_no_harm_when_it_wakes(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        here.brokers[1].freeze()
        await here.all_heard()
        here.brokers[1].resume()
        await here.all_heard()
        await here.check()


async def test_a_broker_that_stops_hands_over_without_silence(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        await asyncio.to_thread(here.brokers[1].stop)
        await here.all_heard()
        await asyncio.to_thread(here.brokers[1].start)
        await here.all_heard()
        await here.check()
        assert here.longest_s < 1.0 + 1.0
