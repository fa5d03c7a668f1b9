"""A store in a file moves into PostgreSQL: its members go on with their tokens, and do not join again."""

import asyncio
import sys
from pathlib import Path

import pytest

import tsudoi
from tests.support import forked, postgres
from tests.support.services import ROOT, Broker, Gateway, at, hear, steady_endpoint

SETTINGS = tsudoi.Settings(rate_per_s=0)
ROOMS = ("den", "部屋", "kitchen")

pytestmark = pytest.mark.slow


def broker(*arguments: str) -> str:
    """Run a command of `python -m broker`, and return what it prints."""
    command = [sys.executable, "-m", "broker", *arguments]
    return str(forked.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout)


class Pair:
    """Two members of one room."""

    def __init__(self, room: str, alice: tsudoi.ChatClient, bob: tsudoi.ChatClient) -> None:
        self.room, self.alice, self.bob = room, alice, bob

    @classmethod
    async def enter(cls, room: str, gateway: Gateway) -> "Pair":
        server = at(gateway)
        alice = await tsudoi.create(room, name="alice", server=server, settings=SETTINGS, password="secret")
        bob = await tsudoi.join(room, name="bob", server=server, settings=SETTINGS, password="secret")
        return cls(room, alice, bob)

    async def chat(self, count: int, what: str) -> list[str]:
        """Say some lines, and return what the other has heard since the last call."""
        for number in range(count):
            await self.alice.say(f"{what} {number}")
        return await hear(self.bob, f"{what} {count - 1}")

    async def go_on(self) -> None:
        """Speak until the service is back."""
        while True:
            await self.bob.say("are you there?")
            try:
                async with asyncio.timeout(1.0):
                    await hear(self.alice, "are you there?")
                    return
            except TimeoutError:
                continue


async def test_members_go_on_with_their_tokens_on_the_database(tmp_path: Path, postgresql: postgres.Instance) -> None:
    source, url = tmp_path / "rooms.sqlite", postgresql.empty()
    place = f"sqlite:{source}"
    with (
        Broker(source, bind=steady_endpoint()) as old,
        Gateway(
            *("--history", "200", "--session-secret", str(tmp_path / "secret")),
            broker=old,
            steady=True,
        ) as gateway,
    ):
        pairs = [await Pair.enter(room, gateway) for room in ROOMS]
        for pair in pairs:
            assert len(await pair.chat(50, "before")) == 50
        broker("--store", place, "admin", "ban", "mallory")
        gateway.stop()
        old.stop()
        printed = broker("copy", "--from", place, "--to", url)
        assert f"{len(ROOMS)} rooms, {2 * len(ROOMS)} members" in printed
        with Broker(url, bind=old.endpoint):
            gateway.start()
            for pair in pairs:
                await pair.go_on()
                assert (await pair.chat(10, "after"))[-10:] == [f"after {number}" for number in range(10)]
            await check_newcomers(gateway)
            for pair in pairs:
                await pair.bob.leave()
                await pair.alice.leave()
            gateway.stop()


async def check_newcomers(gateway: Gateway) -> None:
    """Passwords, bans and logs have come along."""
    for room in ROOMS:
        with pytest.raises(tsudoi.WrongPassword):
            await tsudoi.join(room, name="carol", server=at(gateway), settings=SETTINGS, password="wrong")
        with pytest.raises(tsudoi.Refused):
            await tsudoi.join(room, name="mallory", server=at(gateway), settings=SETTINGS, password="secret")
        carol = await tsudoi.join(room, name="carol", server=at(gateway), settings=SETTINGS, password="secret")
        heard = await hear(carol, "after 9")
        assert [text for text in heard if text.startswith("before")] == [f"before {number}" for number in range(50)]
        await carol.leave()
