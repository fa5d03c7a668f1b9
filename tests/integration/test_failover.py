"""The machine with the database is lost while people talk: the standby takes its place, and every line arrives once."""

import asyncio

import pytest

import tsudoi
from tests.support import postgres
from tests.support.services import Broker, Gateway, at, hear

SETTINGS = tsudoi.Settings(rate_per_s=0)
PATIENCE_S = 60.0


@pytest.mark.slow
async def test_no_line_is_lost_with_the_primary() -> None:
    said: list[str] = []

    async def talk(alice: tsudoi.ChatClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            said.append(f"line {len(said)}")
            await alice.say(said[-1])
            await asyncio.sleep(0.05)

    with postgres.pair() as (primary, standby):
        both = f"postgresql://{postgres.USER}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        with Broker(both) as broker, Gateway(broker=broker) as gateway:
            alice = await tsudoi.create("den", name="alice", server=at(gateway), settings=SETTINGS)
            bob = await tsudoi.join("den", name="bob", server=at(gateway), settings=SETTINGS)
            stop = asyncio.Event()
            talking = asyncio.create_task(talk(alice, stop))
            heard = await hear(bob, "line 20")
            primary.stop()
            wait = broker.stderr.wait_for
            assert await asyncio.to_thread(wait, lambda line: "all shards are dropped" in line, PATIENCE_S)
            standby.promote()
            after = f"line {len(said)}"
            heard += await hear(bob, after)
            stop.set()
            await talking
            if said[-1] != after:
                heard += await hear(bob, said[-1])
            assert heard == said
            for one in (alice, bob):
                await one.leave()
