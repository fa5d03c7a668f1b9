"""The people of a story while they are in a room: SDK clients, with the events that they have received."""

import asyncio
from collections.abc import Callable, Sequence

from tsudoi import ChatClient, Event, Message, ServerAway
from tsudoi.events import LAST

from .expect import Failed, Pending, Verdict

_COALESCE_S = 0.002
"""Events that come in so short a time are judged together."""


class Actor:
    """One person, while in a room."""

    def __init__(self, name: str, chat: ChatClient, news: asyncio.Event) -> None:
        """Args:
        news: set whenever an event has come.
        """
        self.name = name
        self.chat = chat
        self.heard: list[Event] = []
        """Messages and the end of the membership."""
        self.read = 0
        """How many of them earlier steps took."""
        self.told: list[Event] = []
        """Notices and private messages; stories expect them apart, as they may come at any time."""
        self.told_read = 0
        self._news = news
        self._listening = asyncio.create_task(self._listen(), name=f"{name} listens")

    async def _listen(self) -> None:
        async for event in self.chat:
            # The client itself makes this one; nobody sent it.
            if isinstance(event, ServerAway):
                continue
            (self.heard if isinstance(event, (Message, *LAST)) else self.told).append(event)
            self._news.set()

    @property
    def unread(self) -> list[Event]:
        return self.heard[self.read :]

    @property
    def echo_of(self) -> str | None:
        return self.chat.name if self.chat.dialect.echo else None

    async def close(self, polite: bool) -> None:
        await (self.chat.leave() if polite else self.chat.vanish())
        # Events that are still queued are taken; then the iteration ends.
        await self._listening


async def judged(
    actors: Sequence[Actor], news: asyncio.Event, judge: Callable[[Actor], Verdict], within_s: float
) -> list[Verdict]:
    """Judge again whenever an event comes, until nothing is pending, something has failed, or the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        news.clear()
        verdicts = [judge(actor) for actor in actors]
        left = deadline - loop.time()
        is_over = left <= 0 or any(isinstance(verdict, Failed) for verdict in verdicts)
        if is_over or not any(isinstance(verdict, Pending) for verdict in verdicts):
            return verdicts
        try:
            async with asyncio.timeout(left):
                await news.wait()
                await asyncio.sleep(_COALESCE_S)
        except TimeoutError:
            pass
