"""The system's Firefox, driven by WebDriver BiDi over a WebSocket: without a driver, which Debian does not have.

https://w3c.github.io/webdriver-bidi/
"""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from scenarios.cluster import Address

PATIENCE_S = 60.0
_READY = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


class FirefoxTab:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._context = ""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("id") == number:
                    assert message["type"] == "success", message
                    return dict(message["result"])

    async def open(self, address: Address, room: str) -> None:
        """Open the link to a room."""
        await self.call("session.new", capabilities={})
        self._context = (await self.call("browsingContext.getTree"))["contexts"][0]["context"]
        url = f"http://{address[0]}:{address[1]}/#{room}"
        await self.call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript: a string, a number or a boolean."""
        target = {"context": self._context}
        found = await self.call("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert found["type"] == "success", found
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self.evaluate(f"Boolean({expression})"):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    async def type(self, selector: str, text: str) -> None:
        """Type a text into a field, and press Enter."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        keys = [{"type": kind, "value": char} for char in f"{text}\ue007" for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keys", "actions": keys}]
        await self.call("input.performActions", context=self._context, actions=actions)


@contextlib.asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[FirefoxTab]:
    """Run the system's Firefox; skip the test if there is none."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("Firefox is not there: apt-get install firefox-esr")
    flags = ("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0", "about:blank")
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(path, *flags, stdout=nothing, stderr=pipe)
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while not (found := _READY.search(line := await process.stderr.readline())):
                assert line, "Firefox ended"
        reading = asyncio.create_task(process.stderr.read())
        async with connect(f"{found[1].decode()}/session", proxy=None, max_size=None) as socket:
            yield FirefoxTab(socket)
        reading.cancel()
    finally:
        process.kill()
        await process.wait()
