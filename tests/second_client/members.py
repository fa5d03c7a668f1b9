"""Members of a room in tests: they enter, and their processes end with the test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.second_client.client import Client, nothing_lost
from tests.second_client.session import CREATE, JOIN, Line, enter
from tests.support.services import Gateway

PATIENCE_S = 60.0

Enter = Callable[..., Any]


@asynccontextmanager
async def entered(
    service: Gateway,
    operation: int,
    room: str,
    name: str,
    *,
    lost: Callable[[bytes], bool] = nothing_lost,
    udp: tuple[str, int] | None = None,
    quiet_s: tuple[float, float] = (20, 25),
    patience_s: float = PATIENCE_S,
    **more: Any,
) -> AsyncIterator[Client]:
    """A member that says and hears; at the end it is gone without a word. `udp`: not the server's own address."""
    session = await enter(service.tcp["auto"], operation, room, name, **more)
    client = Client(session, udp or service.udp, lost, quiet_s)
    try:
        async with asyncio.timeout(patience_s):
            yield await client.open()
    finally:
        await client.close()


def created(service: Gateway, room: str, name: str = "alice", **more: Any) -> Any:
    return entered(service, CREATE, room, name, **more)


def joined(service: Gateway, room: str, name: str = "bob", **more: Any) -> Any:
    return entered(service, JOIN, room, name, **more)


async def texts(client: Client, count: int) -> list[str]:
    """Return the texts of the next so many messages."""
    got: list[str] = []
    while len(got) < count:
        event: Line = await client.events.get()
        if "from" in event:
            got.append(event["text"])
    return got


async def event(client: Client, key: str) -> Line:
    """Return the next event that has this key."""
    while key not in (found := await client.events.get()):
        pass
    return found
