"""What members of version 2 see of the time before their join, with real processes (`--history`)."""

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
    with Gateway("--history", "3", data=tmp_path_factory.mktemp("newcomers")) as gateway:
        yield gateway


@pytest.mark.parametrize("security", ["sealed", "plain"])
async def test_a_newcomer_gets_the_last_messages_first_and_no_entry_twice(gateway: Gateway, security: str) -> None:
    room = f"den {security}"
    settings = tsudoi.Settings(rate_per_s=0, security="plain" if security == "plain" else "sealed")
    async with await tsudoi.create(room, name="alice", server=at(gateway), settings=settings) as alice:
        offsets = [await alice.say(f"line {number}") for number in range(5)]
        await alice.command("/me waves")
        async with await tsudoi.join(room, name="bob", server=at(gateway), settings=settings) as bob:
            first = await anext(bob)
            assert isinstance(first, tsudoi.Earlier)
            assert [(row.sender, row.text, row.acted) for row in first.rows] == [
                *(("alice", f"line {number}", False) for number in (3, 4)),
                ("alice", "waves", True),
            ]
            assert [row.offset for row in first.rows][:2] == offsets[3:]
            assert all(row.at_ms > 1_700_000_000_000 for row in first.rows)
            await alice.say("now")
            assert await hear(bob, "now") == ["now"]


async def test_the_host_and_the_first_member_of_an_empty_log_are_told_nothing(gateway: Gateway) -> None:
    async with (
        await tsudoi.create("empty", name="alice", server=at(gateway), settings=SETTINGS) as alice,
        await tsudoi.join("empty", name="bob", server=at(gateway), settings=SETTINGS) as bob,
    ):
        await bob.say("hello")
        await hear(alice, "hello")
        await alice.say("hello bob")
        async with asyncio.timeout(10):
            async for event in bob:
                assert not isinstance(event, tsudoi.Earlier)
                if isinstance(event, tsudoi.Message):
                    break


async def test_the_client_on_pipes_prints_them_as_messages(gateway: Gateway, tmp_path: Path) -> None:
    async with await tsudoi.create("pipes", name="alice", server=at(gateway), settings=SETTINGS) as alice:
        for number in range(4):
            await alice.say(f"line {number}")
        command = [sys.executable, "-m", "client", "join", "pipes", "--name", "bob", "--server", str(at(gateway))]
        done = await asyncio.to_thread(
            forked.run, command, cwd=ROOT, capture_output=True, text=True, input="", timeout=30
        )
        assert done.stdout.splitlines()[:3] == [f"alice: line {number}" for number in (1, 2, 3)]


async def test_a_member_pages_to_the_beginning_of_the_log(gateway: Gateway) -> None:
    async with await tsudoi.create("pages", name="alice", server=at(gateway), settings=SETTINGS) as alice:
        lines = [alice.post(f"line {number}") for number in range(120)]
        await lines[-1].kept()
        found: list[tsudoi.Past] = []
        while page := await alice.history(50, found[0].offset if found else 0):
            found = [*page, *found]
        assert [row.text for row in found] == [f"line {number}" for number in range(120)]
