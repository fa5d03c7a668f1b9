"""Members of version 2 that only listen hear their room again soon, whatever became of their gateway.

None of them sends anything: a ping comes after 20 s at the earliest, so what they hear in time was not asked for.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest

import tsudoi
from gateway.link.routes import PATIENCE_S
from tests.chaos.relay import COMMANDS, NEWS, BackboneRelay
from tests.support.services import Broker, Gateway, at, steady_endpoint
from tests.support.waiting import until
from tsudoi.net.sealed_chat import SealedChat

SOON_S = 8.0
"""For a busy machine. It takes 2 s until a gateway counts as gone, and some round trips."""
FENCED_S = 2.0
"""After which a gateway that is cut off delivers nothing more."""


async def enter(gateway: Gateway, room: str, name: str, *, creates: bool = False) -> SealedChat:
    """Return a member that is served."""
    about: dict[str, Any] = {"name": name, "server": at(gateway), "dialect": "tsudoi-2"}
    chat = await (tsudoi.create if creates else tsudoi.join)(room, **about)
    assert isinstance(chat, SealedChat)
    await until(lambda: chat._core.is_resumed)
    return chat


async def hears(listener: SealedChat, text: str) -> None:
    """Wait for a text, which must be the next message."""
    async with asyncio.timeout(SOON_S):
        event = await anext(event async for event in listener if isinstance(event, tsudoi.Message))
    assert event.text == text


async def test_a_listener_whose_gateway_is_killed_and_started_again_hears_what_is_said_then(tmp_path: Path) -> None:
    shared = ("--session-secret", str(tmp_path / "secret"))
    room = f"den {secrets.token_hex(4)}"

    with (
        Broker(tmp_path / "rooms.sqlite") as broker,
        Gateway("--name", "one", *shared, broker=broker, steady=True) as one,
        Gateway("--name", "two", *shared, broker=broker) as two,
    ):
        alice = await enter(two, room, "alice", creates=True)
        bob = await enter(one, room, "bob")
        await alice.say("before")
        await hears(bob, "before")
        one.kill()
        await asyncio.to_thread(one.start)
        await alice.say("are you there?")
        await hears(bob, "are you there?")
        await bob.vanish()
        await alice.leave()


async def test_a_listener_of_the_service_of_one_command_too(tmp_path: Path) -> None:
    room = f"den {secrets.token_hex(4)}"

    with Gateway(data=tmp_path, steady=True) as service:
        host = await enter(service, room, "host", creates=True)
        bob = await enter(service, room, "bob")
        await host.say("before")
        await hears(bob, "before")
        await host.vanish()  # else its own return would be told
        service.kill()
        await asyncio.to_thread(service.start)
        carol = await enter(service, room, "carol")
        await carol.say("are you there?")
        await hears(bob, "are you there?")
        await bob.vanish()
        await carol.leave()


@pytest.mark.slow
async def test_a_listener_whose_session_an_old_question_of_its_cut_gateway_has_taken(tmp_path: Path) -> None:
    """The question waited in the cut gateway's socket, longer than that waited for the answer."""
    shared = ("--session-secret", str(tmp_path / "secret"))
    room = f"den {secrets.token_hex(4)}"

    with (
        Broker(tmp_path / "rooms.sqlite", bind=steady_endpoint()) as broker,
        Gateway(*shared, broker=broker) as two,
    ):

        async def disturb(relay: BackboneRelay, one: Gateway) -> None:
            alice = await enter(two, room, "alice", creates=True)
            bob = await enter(one, room, "bob")
            await bob.add_gateway(at(two))
            relay.cut(COMMANDS | NEWS)
            await asyncio.sleep(FENCED_S)
            bob._woken()
            await alice.say("during the cut")
            await hears(bob, "during the cut")
            await asyncio.sleep(PATIENCE_S + 1.0)
            relay.heal()
            loop = asyncio.get_running_loop()
            healed_at, number = loop.time(), 0
            while loop.time() < healed_at + 4.0:
                number += 1
                await alice.say(f"line {number}")
                await asyncio.sleep(0.2)
            for each in range(1, number + 1):
                await hears(bob, f"line {each}")
            await bob.vanish()
            await alice.leave()

        relay = BackboneRelay()
        await relay.start(broker.endpoint)
        one = Gateway(*shared, "--broker", relay.endpoint)
        await asyncio.to_thread(one.start)
        try:
            await disturb(relay, one)
        finally:
            await asyncio.to_thread(one.stop)
            one.close()
            await relay.close()
