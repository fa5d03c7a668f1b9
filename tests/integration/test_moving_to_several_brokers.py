"""A store moves from a file into a database while its gateway goes on: its clients notice a pause, and nothing else."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import tsudoi
from scenarios.ports import steady_port
from tests.support import forked, postgres
from tests.support.services import Broker, Gateway, at, hear

SETTINGS = tsudoi.Settings(rate_per_s=0)
ROOMS = 8


async def _speak(client: tsudoi.ChatClient, said: list[str]) -> None:
    while True:
        said.append(f"line {len(said)}")
        await client.say(said[-1])
        await asyncio.sleep(0.05)


async def _scenario(folder: Path, url: str) -> None:
    store, endpoint = folder / "rooms.sqlite", f"tcp://127.0.0.1:{steady_port(2)}"
    async with AsyncExitStack() as stack:
        before = stack.enter_context(Broker(store, bind=endpoint, name="the old broker"))
        gateway = stack.enter_context(Gateway(broker=before))
        said: list[list[str]] = [[] for _ in range(ROOMS)]
        listeners, speaking = [], []
        for number in range(ROOMS):
            alice = await tsudoi.create(f"room {number}", name="alice", server=at(gateway), settings=SETTINGS)
            await stack.enter_async_context(alice)
            bob = await tsudoi.join(f"room {number}", name="bob", server=at(gateway), settings=SETTINGS)
            listeners.append(await stack.enter_async_context(bob))
            speaking.append(asyncio.create_task(_speak(alice, said[number])))
        heard = [await hear(bob, "line 20") for bob in listeners]
        await asyncio.to_thread(before.stop)
        copy = [sys.executable, "-m", "broker", "copy", "--from", f"sqlite:{store}", "--to", url]
        await asyncio.to_thread(forked.run, copy, check=True, timeout=60)
        after = Broker(url, bind=endpoint, name="the new broker")
        await asyncio.to_thread(stack.enter_context, after)
        for each, bob in zip(heard, listeners, strict=True):
            each += await hear(bob, f"line {len(said[0]) + 20}")
        for task in speaking:
            task.cancel()
        for each, bob, all_said in zip(heard, listeners, said, strict=True):
            if each[-1] != all_said[-1]:
                each += await hear(bob, all_said[-1])
        assert heard == said


@pytest.mark.slow
def test_clients_go_on_when_the_store_has_moved(tmp_path: Path) -> None:
    with postgres.pair() as (primary, standby):
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (primary, standby))
        asyncio.run(_scenario(tmp_path, f"postgresql://{postgres.USER}@{hosts}/postgres"))
