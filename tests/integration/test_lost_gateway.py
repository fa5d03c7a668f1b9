"""A gateway dies: its members are removed after their idle time-out, and not as late as those of a frozen one."""

import asyncio
from pathlib import Path

import tsudoi
from tests.support.services import Broker, Gateway, at

PATIENCE_S = 60.0
"""Less than broker/rooms/lost_gateways.py, MAY_WAKE_MS."""


async def test_members_of_a_killed_gateway_are_removed_after_their_idle_time_out(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite") as broker,
        Gateway("--idle-timeout", "1", broker=broker) as killed,
        Gateway("--notices", "on", broker=broker) as other,
    ):
        host = await tsudoi.create("den", name="host", server=at(other))
        guest = await tsudoi.join("den", name="guest", server=at(killed))
        killed.kill()
        async with asyncio.timeout(PATIENCE_S):
            left = await anext(event async for event in host if isinstance(event, tsudoi.Left))
        assert (left.name, left.reason) == ("guest", "idle")
        await guest.vanish()
        await host.leave()
