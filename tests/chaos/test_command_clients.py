"""tests/chaos/command_clients.py"""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
import uvloop

import tsudoi
from tests.chaos.command_clients import CommandClient, Stay
from tests.chaos.command_plan import CommandMember
from tests.chaos.command_rooms import CommandRooms
from tests.support.waiting import until
from tests.tsudoi.sealed_server import sealed_server
from tsudoi.net.sealed_chat import SealedChat


def test_a_member_that_is_removed_before_its_client_goes_on_is_told_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:  # as in a run
        stay, complaints = loop.run(_enter_and_be_removed(monkeypatch))
    assert stay.ended == ["Kicked", "bob has removed you", "False"]
    assert complaints == []


async def _enter_and_be_removed(monkeypatch: pytest.MonkeyPatch) -> tuple[Stay, list[str]]:
    async with sealed_server() as server:
        rooms = SimpleNamespace(
            server_of=lambda _: server.address, servers=[server.address], addresses=set(), complaints=[]
        )
        stays: list[Stay] = []
        client = CommandClient(CommandMember(0, 0, 0, 1.0, 0.0), stays, cast(CommandRooms, rooms))

        async def join_and_be_removed(_: tsudoi.Server) -> tuple[SealedChat, bool]:
            chat = cast(SealedChat, await tsudoi.create("commands0", name="c0", server=server.address))
            (gateway,) = server.rooms["commands0"].gateways
            await until(lambda: bool(gateway.serving))
            (session,) = gateway.serving
            gateway.end(session, "kicked", "bob has removed you")  # type: ignore[attr-defined]
            await until(lambda: chat.closed)
            await asyncio.sleep(0)  # uvloop closes sockets a turn later
            return chat, True

        monkeypatch.setattr(client, "_join_or_create", join_and_be_removed)
        client._start(client._enter())
        await until(lambda: not client.tasks and not client._hearing)
        return stays[0], rooms.complaints
