"""Act out scenes on the client's screen without a terminal, and read what it shows."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from prompt_toolkit.history import InMemoryHistory
from rich.console import Console
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

import tsudoi
from client.state import view
from client.tui.app import ChatApp
from client.tui.timeline import Timeline
from tests.client.fake_chat import FakeChat
from tsudoi.protocol.client.words import Language

JST = timezone(timedelta(hours=9))
START = datetime(2026, 11, 28, 20, 15, tzinfo=JST)


class Stage:
    """An app, its pilot, and the clients that it has."""

    def __init__(self, language: Language, make: type[FakeChat], is_host: bool) -> None:
        self.now = START
        self.chats: dict[str, FakeChat] = {}
        self.refuse: dict[str, list[tsudoi.ClientError]] = {}
        """What becomes of the next attempts to enter a room."""
        self.passwords: list[str | None] = []
        self.history = InMemoryHistory()
        self._make = make
        first = self._chat("den")
        self.app = ChatApp(
            self._connect,
            "alice",
            "127.0.0.1:9001",
            language,
            self.history,
            lambda: self.now,
            (first, is_host),
            driver=None,
        )
        self.app.answer_s = 3_600.0  # here answers are not late
        self.pilot: Pilot[None]

    def _chat(self, room: str) -> Any:
        self.chats[room] = self._make(room)
        return self.chats[room]

    async def _connect(self, room: str, *, creates: bool, password: str | None, name: str) -> Any:
        self.passwords.append(password)
        if self.refuse.get(room):
            raise self.refuse[room].pop(0)
        chat = self._chat(room)
        chat.name = name
        return chat

    @property
    def den(self) -> Any:
        return self.chats["den"]

    async def hear(self, *events: object, room: str = "den") -> None:
        self.chats[room].hear(*events)
        await self.settle()

    async def type(self, text: str) -> None:
        """Type a line and press Enter."""
        focused = self.app.focused
        assert isinstance(focused, TextArea | Input)
        if isinstance(focused, TextArea):
            focused.insert(text)
        else:
            focused.insert_text_at_cursor(text)
        await self.press("enter")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def press_at_once(self, *keys: str) -> None:
        """Press keys without waiting for what one does before the next; a key of one character writes it."""
        assert self.app._driver is not None
        for key in keys:
            event = Key(key, key if len(key) == 1 else None)
            event.set_sender(self.app)
            self.app._driver.send_message(event)
        await self.settle()

    async def settle(self) -> None:
        """Wait until what was sent is shown."""
        for _ in range(3):
            await self.pilot.pause()
        while self.app.is_running and (self.app._is_drawing_soon or not self._timeline.is_whole):
            await self.pilot.pause(0.005)
        await self.pilot.pause()
        self._check_timeline()

    @property
    def _timeline(self) -> Timeline:
        return self.app.screen_stack[0].query_one(Timeline)

    def _check_timeline(self) -> None:
        """Check that the lines that are made one by one are those that would be made all at once."""
        room = self.app.state.current
        if room is None or not self.app.is_running:
            return
        shown = self._timeline
        columns, language = shown.size.width, self.app.state.language
        made = view.timeline(room, columns, language, lambda item: view.item_lines(item, columns, language))
        assert shown._lines == [line for _, lines in made for line in lines]

    @property
    def screen(self) -> str:
        """What the user sees, without the spaces at the ends of lines."""
        return screen_text(self.app)


def screen_text(app: ChatApp) -> str:
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, record=True, legacy_windows=False
    )
    console.print(app.screen._compositor.render_update(full=True, screen_stack=app._background_screens))
    text = console.export_text(styles=False)
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n") + "\n"


def play(
    scene: Callable[[Stage], Awaitable[None]],
    size: tuple[int, int] = (80, 20),
    language: Language = "en",
    chat: type[FakeChat] = FakeChat,
    is_host: bool = False,
) -> None:
    """Act out a scene."""

    async def run() -> None:
        stage = Stage(language, chat, is_host)
        async with stage.app.run_test(size=size) as stage.pilot:
            await stage.settle()
            await scene(stage)

    asyncio.run(run())
