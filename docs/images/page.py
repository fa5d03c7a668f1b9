"""Let a browser, a terminal and a client of the course talk in one room, and take pictures: python -m docs.images.page

Needs tmux and Chromium. Writes page.png, which the READMEs show, and those of docs/page.md.
"""

import asyncio
import base64
import itertools
import os
import sys
import tempfile
from contextlib import ExitStack
from html import escape
from pathlib import Path
from typing import Literal

from docs.images.make import tmux, wait_for
from tests.support.browser import Tab, chromium
from tests.support.legacy.plain import Tcrp
from tests.support.services import ROOT, Gateway

HERE = Path(__file__).parent
ROOM = "tea"
WIDTHS = (320, 768, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
STYLE = """
body { margin: 0; padding: 24px; display: grid; grid-template-columns: 940px 440px; gap: 20px; width: max-content;
  background: #dfe6e5; font: 15px/1.45 system-ui, "Noto Sans CJK JP", sans-serif; }
figure { margin: 0; border-radius: 10px; overflow: hidden; box-shadow: 0 4px 18px #0004; background: #fff; }
figcaption { background: #37424d; color: #fff; padding: 6px 14px; font-size: 14px; }
img { display: block; width: 940px; }
.right { display: grid; gap: 20px; grid-template-rows: 1fr 1fr; }
.right figure { background: #14191e; }
pre { margin: 0; padding: 10px 14px; color: #e6ebf0; white-space: pre-wrap;
  font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace; }
"""


class CourseClient(Tcrp):
    """A client of the course, and what is on its screen."""

    screen: str

    def type(self, text: str) -> None:
        """Say a line."""
        self.say(text)
        self.screen += f"{text}\n"

    def show(self, text: str) -> None:
        """Receive lines up to one that contains a text."""
        for heard in self.hear_until(lambda heard: text in heard.text):
            self.screen += f"{heard.raw.decode()}\n"


async def play(gateway: Gateway, server: str) -> None:
    """Play the scene."""
    (web,) = gateway.addresses("web")
    async with chromium() as browser:
        alice = await Tab.open(browser, web, ROOM, viewport={"width": 940, "height": 640})
        await alice.enter("alice", create=True)
        await alice.say("/topic tea at five")
        where = f"{gateway.tcp['auto'][0]}:{gateway.tcp['auto'][1]}:{gateway.udp[1]}"
        terminal = f"python -m client join {ROOM} --name bob --server {where}"
        await asyncio.to_thread(type_in, server, terminal, "/help")
        await alice.say("Who is here? 誰かいますか？")
        await asyncio.to_thread(wait_for, server, "0", "いますか")
        await asyncio.to_thread(type_in, server, "bob, from a terminal", "from a terminal")
        with CourseClient("carol", gateway.listener("tcrp")) as carol:
            carol.screen = "$ python3 client.py\nroom: tea\nname: carol\n"
            await asyncio.to_thread(carol.join, ROOM)
            carol.start()
            await asyncio.to_thread(carol.type, "and carol, with the client that I wrote for the course")
            await alice.sees("and carol, with the client that I wrote for the course")
            await alice.say("One room, one order: https://example.com/tea")
            await asyncio.to_thread(carol.show, "One room")
            await alice.say("/me pours the tea")
            await asyncio.to_thread(wait_for, server, "0", "pours the tea")
            await asyncio.to_thread(type_in, server, "ありがとう、alice", "ありがとう")
            await asyncio.to_thread(carol.show, "ありがとう")
            await alice.sees("ありがとう、alice")
            await asyncio.sleep(1)
            picture = await alice.page.screenshot()
            for width, scheme in itertools.product(WIDTHS, SCHEMES):
                await alice.page.emulate_media(color_scheme=scheme)
                await alice.page.set_viewport_size({"width": width, "height": 640})
                await asyncio.sleep(0.5)
                await alice.page.screenshot(path=HERE / f"page-{width}-{scheme}.png")
            await asyncio.to_thread(wait_for, server, "0", "ありがとう")
            screen = tmux(server, "capture-pane", "-p", "-t", "0.0")
            page = await browser.new_page(viewport={"width": 1448, "height": 700})
            await page.set_content(composed(picture, screen.replace(where, "chat.example"), carol.screen))
            await page.screenshot(path=HERE / "page.png", full_page=True)


def type_in(server: str, line: str, shown: str) -> None:
    """Type a line in the terminal, and wait until something is shown."""
    tmux(server, "send-keys", "-t", "0.0", "-l", line)
    tmux(server, "send-keys", "-t", "0.0", "Enter")
    wait_for(server, "0", shown)


def composed(picture: bytes, terminal: str, course: str) -> str:
    """Return the page with the three."""
    image = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    panes = [("a terminal: tsudoi chat", terminal), ("a client of the course, dialect tcrp", course)]
    right = "".join(
        f"<figure><figcaption>{name}</figcaption><pre>{escape(text.rstrip())}</pre></figure>" for name, text in panes
    )
    left = f'<figure><figcaption>a browser: http://chat.example/#{ROOM}</figcaption><img src="{image}"></figure>'
    return f'<!doctype html><style>{STYLE}</style>{left}<div class="right">{right}</div>'


def main() -> None:
    """Start the service and a terminal; play."""
    server = f"tsudoi-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        gateway = stack.enter_context(
            Gateway("--notices", "on", "--web", "127.0.0.1:0", data=Path(folder) / "data", dialects=["auto", "tcrp"])
        )
        shell = (
            f"env -C {ROOT} PATH={Path(sys.executable).parent}:{os.environ['PATH']} XDG_STATE_HOME={folder} "
            "TERM=tmux-256color LANG=C.UTF-8 PS1='$ ' bash --norc --noprofile"
        )
        tmux(server, "new-session", "-d", "-x", "52", "-y", "13", shell)
        stack.callback(tmux, server, "kill-server")
        tmux(server, "set", "-g", "status", "off")
        asyncio.run(play(gateway, server))


if __name__ == "__main__":
    main()
