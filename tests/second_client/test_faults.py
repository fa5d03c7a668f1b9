"""Three members talk while gateways and the broker are killed, ports change and packets are lost."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.second_client.client import Client
from tests.second_client.members import created, joined, texts
from tests.support.services import Broker, Gateway, steady_endpoint

PATIENCE_S = 60.0
FAULTS = 6
LOSS = 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
async def test_in_order_exactly_once_under_faults(tmp_path: Path, seed: int) -> None:
    randomness = random.Random(seed)
    options = ("--session-secret", str(tmp_path / "secret"))

    async def talk(member: Client, said: dict[str, int], over: asyncio.Event) -> None:
        while not over.is_set():
            number, said[member.name] = said[member.name], said[member.name] + 1
            await member.say(f"{member.name} {number}")
            await asyncio.sleep(randomness.random() * 0.05)

    with (
        Broker(tmp_path / "rooms.sqlite", bind=steady_endpoint()) as broker,
        Gateway(*options, "--name", "one", broker=broker, steady=True) as one,
        Gateway(*options, "--name", "other", broker=broker, steady=True) as other,
    ):
        habits = {"lost": lambda packet: randomness.random() < LOSS, "quiet_s": (0.5, 0.8), "patience_s": PATIENCE_S}
        async with (
            created(one, "den", "alice", **habits) as alice,
            joined(one, "den", "bob", **habits) as bob,
            joined(other, "den", "carol", **habits) as carol,
        ):
            members: list[Client] = [alice, bob, carol]
            said, over = {member.name: 0 for member in members}, asyncio.Event()
            talks = [asyncio.create_task(talk(member, said, over)) for member in members]
            for _ in range(FAULTS):
                await asyncio.sleep(1.5)
                match randomness.choice((one, other, broker, "other port", "other gateway")):
                    case "other port":
                        for member in members:
                            await member.move()
                    case "other gateway":
                        for member in members:
                            member.server = other.udp if member.server == one.udp else one.udp
                            await member.move()
                    case Broker() | Gateway() as process:
                        await asyncio.to_thread(process.kill)
                        await asyncio.to_thread(process.start)
            over.set()
            await asyncio.gather(*talks)
            order = await texts(alice, sum(said.values()))
            for member in members:
                own = [text for text in order if text.startswith(f"{member.name} ")]
                assert own == [f"{member.name} {number}" for number in range(said[member.name])]
            assert await texts(bob, len(order)) == order
            assert await texts(carol, len(order)) == order
