"""A chat client without a server: what it hears and what becomes of its lines is the test's to say."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import tsudoi
from tsudoi import Server
from tsudoi.protocol.client.dialects import TSUDOI


@dataclass
class Line:
    """A receipt, as `ChatClient.post` gives it."""

    text: str
    state: str = "waiting"
    outcome: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def kept(self) -> int:
        return await self.outcome


class FakeChat:
    """Stands for `ChatClient`, without receipts."""

    has_receipts = False
    has_commands = True

    def __init__(self, room: str = "den", name: str = "alice") -> None:
        self.room = room
        self.name = name
        self.dialect = TSUDOI
        self.server = Server("127.0.0.1", 9001, 9002)
        self.dropped = 0
        self.closed = False
        self.said: list[str] = []
        self.position: tuple[int, int] | None = None
        self.left = False
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()

    def __aiter__(self) -> "FakeChat":
        return self

    async def __anext__(self) -> Any:
        event = await self.inbox.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def hear(self, *events: object) -> None:
        for event in events:
            self.inbox.put_nowait(event)

    def pieces(self, line: str) -> list[str]:
        if line.startswith("/") and not self.has_commands:
            raise tsudoi.InvalidText("there are no commands here")
        return [line]

    def limit_of(self, line: str) -> int:
        return 100

    async def say(self, text: str) -> None:
        if self.closed:
            raise tsudoi.NotInRoom(f"not in {self.room} any more")
        self.said.append(text)

    async def leave(self) -> None:
        self.left = self.closed = True
        self.inbox.put_nowait(None)


class FakeChatWithoutCommands(FakeChat):
    """Stands for a `ChatClient` at a listener that has none."""

    has_commands = False


class FakeChatWithReceipts(FakeChat):
    """Stands for a `ChatClient` that speaks version 2."""

    has_receipts = True

    def __init__(self, room: str = "den", name: str = "alice") -> None:
        super().__init__(room, name)
        self.lines: list[Line] = []
        self.commands: list[Line] = []

    def post(self, text: str) -> Line:
        self.said.append(text)
        line = Line(text)
        (self.lines if not text.startswith("/") or text.startswith("/me ") else self.commands).append(line)
        return line
