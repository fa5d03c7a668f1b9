"""Clients of version 2 at a listener with `--no-commands`: nothing is said that its user took for a command."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tsudoi
from tests.support import forked
from tests.support.services import ROOT, Gateway, at, hear

SETTINGS = tsudoi.Settings(rate_per_s=0)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway("--no-commands", data=tmp_path_factory.mktemp("commands")) as gateway:
        yield gateway


async def test_commands_are_refused_by_the_client_and_two_slashes_say_one(gateway: Gateway) -> None:
    async with (
        await tsudoi.create("den", name="alice", server=at(gateway), settings=SETTINGS) as alice,
        await tsudoi.join("den", name="bob", server=at(gateway), settings=SETTINGS) as bob,
    ):
        assert not alice.has_commands
        for give in (alice.who(), alice.msg("bob", "a secret"), alice.me("waves"), alice.say("/nick carol")):
            with pytest.raises(tsudoi.InvalidText, match="no commands here"):
                await give
        assert isinstance(await alice.say("//usr/bin"), int)
        assert isinstance(await alice.say(alice.as_text("/close")), int)
        assert await hear(bob, "/close") == ["/usr/bin", "/close"]


async def test_the_client_on_pipes_says_why_and_goes_on(gateway: Gateway) -> None:
    async with await tsudoi.create("pipes", name="alice", server=at(gateway), settings=SETTINGS) as alice:
        command = [sys.executable, "-m", "client", "join", "pipes", "--name", "bob", "--server", str(at(gateway))]
        lines = "/msg alice a secret\nhello\n"
        done = await asyncio.to_thread(
            forked.run, command, cwd=ROOT, capture_output=True, text=True, input=lines, timeout=30
        )
        assert "not said: there are no commands here" in done.stderr
        assert done.returncode == 1
        assert await hear(alice, "hello") == ["hello"]


async def test_elsewhere_there_are_commands(tmp_path: Path) -> None:
    with Gateway(data=tmp_path) as gateway:
        async with await tsudoi.create("den", name="alice", server=at(gateway), settings=SETTINGS) as alice:
            assert alice.has_commands
            assert [person.name for person in await alice.who()] == ["alice"]
