"""The system's Chromium, driven by Playwright, and pages of tsudoi in it.

Without Chromium such a test is skipped; where `TESTS_BROWSER=required` is set, as CI does, it fails.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from scenarios.cluster import Address

PATIENCE_MS = 30_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=PATIENCE_MS)


def need(found: object, why: str) -> None:
    """Skip the test if something that it needs is not there; fail if it must be."""
    if not found:
        if os.environ.get("TESTS_BROWSER") == "required":
            pytest.fail(why)
        pytest.skip(why)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    need(path, "Chromium is not there: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """One page of tsudoi, in a browser profile of its own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        # Connections that fail are logged by the browser; they are what some tests are about.
        if kind == "error" and "WebSocket" not in text:
            self.problems.append(text)

    @classmethod
    async def open(cls, browser: Browser, address: Address, room: str = "", **options: Any) -> "Tab":
        """Open the link to a room in a new profile."""
        context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(PATIENCE_MS)
        tab = cls(await context.new_page())
        await tab.page.goto(f"http://{address[0]}:{address[1]}/#{room}")
        return tab

    async def enter(self, name: str, *, create: bool = False) -> "Tab":
        """Type a name, press Enter, and create the room if it is not there."""
        await self.page.fill("#name", name)
        await self.page.press("#name", "Enter")
        if create:
            await self.page.click(".enter .buttons button:not(.primary)")
        await expect(self.page.locator(".composer textarea")).to_be_enabled()
        await expect(self.page.locator(".roster .member").first).to_be_visible()
        return self

    async def open_also(self, room: str) -> None:
        """Open another room that exists, from the list."""
        await self.page.click(".rooms button[title=Refresh]")
        await self.page.click(f".rooms button.room:has-text('{room}')")

    async def say(self, text: str) -> None:
        """Write a line and press Enter."""
        await self.page.fill(".composer textarea", text)
        await self.page.press(".composer textarea", "Enter")

    async def texts(self) -> list[str]:
        """Return the messages that the timeline shows, in order."""
        return await self.page.locator(".line.said .text").all_inner_texts()

    async def sees(self, text: str) -> None:
        """Wait until a kept line with a text is shown."""
        await expect(self.page.locator(".line.said:not(.waiting) .text").get_by_text(text, exact=True)).to_be_visible()

    async def until(self, condition: str) -> None:
        """Wait until an expression holds; `wait_for_function` looks again by `eval`, which the page forbids."""
        async with asyncio.timeout(PATIENCE_MS / 1_000):
            while not await self.page.evaluate(condition):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)

    async def banner(self) -> str:
        """Return what the banner tells."""
        return await self.page.locator(".banner").inner_text()

    async def tells(self, text: str) -> None:
        """Wait until the banner tells something."""
        await expect(self.page.locator(".banner")).to_contain_text(text)


class Wire:
    """A TCP proxy between browser and gateway that can be cut, or go silent."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.address: Address = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._stalled: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Wire":
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Accept connections (again)."""
        self._server = await asyncio.start_server(self._serve, *self.address)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def cut(self) -> None:
        """End all connections and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stall(self) -> None:
        """Carry nothing more over the connections that are open, without closing them."""
        self._stalled |= self._writers

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, up_writer}
        self._writers |= pair
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if writer not in self._stalled:
                    writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
