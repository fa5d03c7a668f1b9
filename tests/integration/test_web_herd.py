"""A thousand pages whose gateway is killed and comes back: each comes back by itself, and none is refused for good."""

import asyncio
import contextlib
import json
import random
import resource
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

import tsudoi
from scenarios.ports import steady_port
from tests.integration.test_web import HERE, address_of
from tests.support.services import Gateway, at

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGES, ROOMS, AT_ONCE = 1_000, 10, 50
PATIENCE_S = 120.0


class Page:
    """What the page does: it connects, subscribes with its position, asks what it shows, and does so again."""

    def __init__(self, address: tuple[str, int], number: int) -> None:
        self._url = f"ws://{address[0]}:{address[1]}/connection/websocket"
        self._source = (f"127.7.{number // 250}.{number % 250 + 1}", 0)
        self._room = f"room{number % ROOMS}"
        self._hello = {"name": f"p{number}", "session": secrets.token_hex(16)}
        self._position: dict[str, Any] = {}
        self.names: list[str] = []
        """Of the member that it is, after each subscription."""
        self.recovered: list[bool] = []
        self.texts: list[str] = []
        self.attempts = 0
        self.refusals: list[Any] = []
        """Errors at which a page does not try again."""
        self.entered = asyncio.Event()

    async def live(self) -> None:
        attempt = 0
        while True:
            self.attempts += 1
            options: dict[str, Any] = {"local_addr": self._source, "compression": None, "ping_interval": None}
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(self._url, proxy=None, **options) as socket:
                    await socket.send(json.dumps({"id": 1, "connect": {"data": self._hello}}))
                    attempt = 0
                    await self._subscribe(socket)
                    async for frame in socket:
                        for line in str(frame).split("\n"):
                            await self._take(socket, json.loads(line))
            self.entered.clear()
            # As `delayBefore` in wire.js.
            await asyncio.sleep(random.random() * min(2.0, 0.4 * 2**attempt))
            attempt += 1

    async def _subscribe(self, socket: ClientConnection) -> None:
        data = {"channel": self._room, "data": {"create": True}, **self._position}
        await socket.send(json.dumps({"id": 2, "subscribe": data}))

    async def _take(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        if message == {}:
            await socket.send("{}")
        elif "error" in message:
            if not message["error"].get("temporary"):
                self.refusals.append(message)
            elif message["id"] == 2:
                await asyncio.sleep(0.5 + 1.5 * random.random())
                await self._subscribe(socket)
        elif "subscribe" in message:
            reply = message["subscribe"]
            self.names.append(reply["data"]["name"])
            if self._position:
                self.recovered.append(reply["recovered"])
            self._position = {"recover": True, "epoch": reply["epoch"], "offset": reply["offset"]}
            for publication in reply.get("publications", []):
                self._hear(publication)
            self.entered.set()
            await socket.send(json.dumps({"id": 3, "presence": {"channel": self._room}}))
            await socket.send(json.dumps({"id": 4, "rpc": {"method": "rooms", "data": {"page": 1}}}))
        elif "pub" in message.get("push", {}):
            self._hear(message["push"]["pub"])

    def _hear(self, publication: dict[str, Any]) -> None:
        if offset := publication.get("offset"):
            self._position["offset"] = offset
        if "from" in publication["data"]:
            self.texts.append(publication["data"]["text"])


async def test_a_thousand_pages_come_back_to_a_killed_gateway(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    web = ("--notices", "on", "--web", f"{HERE}:{steady_port()}", "--unlimited", "192.0.2.0/24")
    with Gateway(*web, data=tmp_path / "data", steady=True) as gateway:
        pages = [Page(address_of(gateway), number) for number in range(PAGES)]
        tasks = []
        async with asyncio.timeout(PATIENCE_S):
            for start in range(0, PAGES, AT_ONCE):
                batch = pages[start : start + AT_ONCE]
                tasks += [asyncio.create_task(page.live()) for page in batch]
                await asyncio.gather(*(page.entered.wait() for page in batch))
        for page in pages:
            page.attempts = 0
        gateway.kill()
        await asyncio.sleep(1.0)  # while all of them try
        await asyncio.to_thread(gateway.start)
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(page.entered.wait() for page in pages))
        took = time.monotonic() - began
        for room in range(ROOMS):
            async with await tsudoi.join(f"room{room}", name="bob", server=at(gateway)) as bob:
                await bob.say("after")
                async with asyncio.timeout(PATIENCE_S):
                    while not all(page.texts for page in pages[room::ROOMS]):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
        print(f"\nall back after {took:.1f} s, at most {max(page.attempts for page in pages)} attempts")
        for page in pages:
            assert page.refusals == []
            assert page.texts == ["after"]
            assert len(set(page.names)) == 1
            assert page.recovered
            assert all(page.recovered)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
