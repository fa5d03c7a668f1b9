"""Let members chat for a while, and take a picture of the operator's page: python -m docs.images.operator [SECONDS]

Needs Chromium. Writes operator.png, which docs/operations.md shows.
"""

import asyncio
import contextlib
import math
import sys
import tempfile
import time
from pathlib import Path

import tsudoi
from tests.support.browser import chromium
from tests.support.services import Gateway, at, operators_page

HERE = Path(__file__).parent
SECONDS = 400.0
ROOMS = {  # name → topic, messages a second at most, members
    "garden": ("What grows at Nerima", 12.0, ("アリス", "bob", "carol", "dave", "エリ", "františek")),
    "お茶": ("お茶は五時", 4.0, ("ハナ", "ivo", "jun", "karl")),
    "build": ("main is green", 0.5, ("ci-watch", "lena")),
    "night shift": ("", 1.5, ("mio", "noor", "olga")),
}


async def chat(gateway: Gateway, room: str) -> None:
    """Chat in a room, more and less in turn."""
    topic, most, names = ROOMS[room]
    first = await tsudoi.create(room, name=names[0], server=at(gateway))
    members = [first, *[await tsudoi.join(room, name=name, server=at(gateway)) for name in names[1:]]]
    if topic:
        await first.set_topic(topic)
    readers = [asyncio.create_task(read(member)) for member in members]
    try:
        for number in range(10**9):
            await members[number % len(members)].say(f"line {number}")
            await asyncio.sleep(1 / (most * (0.6 + 0.4 * math.sin(time.monotonic() / 25))))
    finally:
        for reader in readers:
            reader.cancel()
        for member in members:
            await member.vanish()


async def read(member: tsudoi.ChatClient) -> None:
    """Receive what is said."""
    async for _ in member:
        pass


async def play(gateway: Gateway, url: str, seconds: float) -> None:
    """Let all chat, and take the picture at the end."""
    rooms = [asyncio.create_task(chat(gateway, room)) for room in ROOMS]
    await asyncio.sleep(seconds)
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(url)
        await page.click(".rooms tbody button:has-text('garden')")
        await page.wait_for_selector(".members tbody tr >> nth=5")
        await asyncio.sleep(5)  # until rooms have rates
        await page.evaluate("document.activeElement.blur()")
        await page.screenshot(path=HERE / "operator.png", full_page=True)
    for room in rooms:
        room.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await room


def main() -> None:
    """Start a service and its page; play."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        options = ("--notices", "on", "--web", "off")
        with Gateway(*options, data=data) as gateway, operators_page(data) as url:
            asyncio.run(play(gateway, url, seconds))


if __name__ == "__main__":
    main()
