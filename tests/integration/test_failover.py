"""The machine with the database is lost while people talk: the standby takes its place, and every line arrives once."""

import asyncio

import pytest

import tsudoi
from scenarios.process import ProcessError
from tests.support import postgres
from tests.support.services import Broker, Gateway, at, hear

SETTINGS = tsudoi.Settings(rate_per_s=0)
PATIENCE_S = 60.0


async def start_again(broker: Broker) -> None:
    """Start a broker until it stays up, as a supervisor does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await asyncio.to_thread(broker.start)
            except ProcessError:
                await asyncio.sleep(0.1)


@pytest.mark.slow
def test_no_line_is_lost_with_the_primary() -> None:
    said: list[str] = []

    async def talk(alice: tsudoi.ChatClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            said.append(f"line {len(said)}")
            await alice.say(said[-1])
            await asyncio.sleep(0.05)

    async def scenario() -> None:
        with postgres.pair() as (primary, standby):
            both = f"postgresql://{postgres.USER}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
            with Broker(both) as broker, Gateway(broker=broker, doors=["auto"]) as gateway:
                alice = await tsudoi.create("den", name="alice", server=at(gateway), settings=SETTINGS)
                bob = await tsudoi.join("den", name="bob", server=at(gateway), settings=SETTINGS)
                stop = asyncio.Event()
                talking = asyncio.create_task(talk(alice, stop))
                heard = await hear(bob, "line 20")
                primary.stop()
                await asyncio.to_thread(broker.popen.wait, PATIENCE_S)
                assert "stopping, as the store failed" in broker.stderr.text
                standby.promote()
                await start_again(broker)
                await asyncio.sleep(0)
                after = f"line {len(said)}"
                heard += await hear(bob, after)
                stop.set()
                await talking
                if said[-1] != after:
                    heard += await hear(bob, said[-1])
                assert heard == said
                for one in (alice, bob):
                    await one.leave()

    asyncio.run(scenario())
