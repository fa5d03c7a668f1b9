"""The programs as the tests start them: on free ports, with a TCP listener for each dialect, without notices.

As context managers they stop at the end, and it is checked that they stop well and have logged no traceback.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import tsudoi
from scenarios import cluster
from scenarios.cluster import Broker
from tests.support.legacy.wire import Door
from tsudoi.protocol.client.dialects import DIALECTS

__all__ = ["ALL_DOORS", "ROOT", "Broker", "Gateway"]

ROOT = Path(__file__).resolve().parents[2]

ALL_DOORS = ("auto", *DIALECTS)


class Gateway(cluster.Gateway):
    """A gateway whose stand-ins for clients receive messages and no notices, unless a test wants them."""

    def __init__(
        self,
        *options: str,
        broker: Broker | None = None,
        data: Path | None = None,
        doors: Sequence[str] = ALL_DOORS,
        host: str = "127.0.0.1",
        steady: bool = False,
    ) -> None:
        notices = () if "--notices" in options else ("--notices", "off")
        endpoint = None if broker is None else broker.endpoint
        super().__init__(*options, *notices, broker=endpoint, data=data, dialects=doors, host=host, steady=steady)

    def door(self, dialect: str, host: str = "") -> Door:
        """Return where clients of a dialect go; `host` when the gateway listens on more than one address."""
        tcp, udp = self.tcp[dialect], self.udp
        return Door((host or tcp[0], tcp[1]), (host or udp[0], udp[1]))


HEAR_S = 30.0


def at(gateway: Gateway) -> tsudoi.Server:
    """Return a gateway's first `auto` listener, as the SDK names it."""
    door = gateway.door("auto")
    return tsudoi.Server(door.tcp[0], door.tcp[1], door.udp[1])


async def hear(chat: tsudoi.ChatClient, text: str) -> list[str]:
    """Return the texts that a client receives, up to `text`."""
    heard: list[str] = []
    async with asyncio.timeout(HEAR_S):
        async for event in chat:
            if isinstance(event, tsudoi.Message):
                heard.append(event.text)
                if event.text == text:
                    return heard
    raise AssertionError(f"{text} never came, only {heard}")
