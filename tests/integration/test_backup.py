"""A copy of the store, made while people talk, is a whole service: who was in a room then, goes on in it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import tsudoi
from tests.support import forked
from tests.support.services import ROOT, Broker, Gateway, at, hear, steady_endpoint

SETTINGS = tsudoi.Settings(rate_per_s=0)


async def test_a_broker_starts_from_a_copy_of_a_running_store(tmp_path: Path) -> None:
    store, copy = tmp_path / "rooms.sqlite", tmp_path / "copy.sqlite"
    before = [f"before {number}" for number in range(100)]

    async def talk(alice: tsudoi.ChatClient, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await alice.say(f"meanwhile {number}")
            await asyncio.sleep(0.02)

    with (
        Broker(store, bind=steady_endpoint()) as broker,
        Gateway("--history", "200", broker=broker) as gateway,
    ):
        alice = await tsudoi.create("den", name="alice", server=at(gateway), settings=SETTINGS, password="secret")
        bob = await tsudoi.join("den", name="bob", server=at(gateway), settings=SETTINGS, password="secret")
        for text in before:
            await alice.say(text)
        assert await hear(bob, before[-1]) == before
        stop = asyncio.Event()
        talking = asyncio.create_task(talk(alice, stop))
        await hear(bob, "meanwhile 10")
        backup = [sys.executable, "-m", "broker", "--store", f"sqlite:{store}", "backup", str(copy)]
        await asyncio.to_thread(forked.run, backup, cwd=ROOT, check=True, capture_output=True)
        stop.set()
        await talking
        # The gateway goes on all the time, and knows positions that the copy has not.
        broker.kill()
        with Broker(copy, bind=broker.endpoint):
            while True:
                await alice.say("we go on")
                try:
                    async with asyncio.timeout(1.0):
                        await hear(bob, "we go on")
                        break
                except TimeoutError:
                    continue
            await alice.say("and on")
            await hear(bob, "and on")
            # In version 1, which is sent what was said before the join.
            about: dict[str, Any] = {"server": at(gateway), "settings": SETTINGS, "password": "secret"}
            carol = await tsudoi.join("den", name="carol", dialect="tsudoi", **about)
            heard = await hear(carol, "and on")
            kept = [text for text in heard if text.startswith("before")]
            assert kept
            assert kept == before[-len(kept) :]
            assert "meanwhile 10" in heard
            for one in (alice, bob, carol):
                await one.leave()
