"""The people of a story while they are in a room: SDK clients, with the events that they have received."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tsudoi import ChatClient, Event, Message, ServerAway
from tsudoi.events import LAST

from .steps import EVERYONE, EVERYONE_ELSE, Line, People
from .story import StepFailed, Story
from .verdicts import Failed, Pending, Verdict, numbered

_COALESCE_S = 0.002
"""Events that come in so short a time are judged together."""


class Actor:
    """One person, while in a room."""

    def __init__(self, name: str, chat: ChatClient, news: asyncio.Event) -> None:
        """Listen in `chat`; set `news` whenever an event comes."""
        self.name = name
        self.chat = chat
        self.heard: list[Event] = []
        """Messages and the end of the membership, without those that earlier steps took."""
        self.told: list[Event] = []
        """Notices and private messages, likewise; stories expect them apart, as they may come at any time."""
        self._news = news
        self._listening = asyncio.create_task(self._listen(), name=f"{name} listens")

    async def _listen(self) -> None:
        async for event in self.chat:
            # The client itself makes this event.
            if isinstance(event, ServerAway):
                continue
            (self.heard if isinstance(event, (Message, *LAST)) else self.told).append(event)
            self._news.set()

    @property
    def echo_of(self) -> str | None:
        return self.chat.name if self.chat.dialect.echo else None

    async def close(self, polite: bool) -> None:
        await (self.chat.leave() if polite else self.chat.vanish())
        # Events that are still queued are taken; then the iteration ends.
        await self._listening


class Cast:
    """All people in rooms, and what they have sent."""

    def __init__(self, story: Story) -> None:
        self.actors: dict[str, Actor] = {}
        self.spoke_last: tuple[str, ...] = ()
        self.news = asyncio.Event()
        """Set whenever a person has received an event."""
        self._story = story
        self._lines_sent: dict[str, int] = {}

    def names(self, who: People) -> list[str]:
        """Return the names that a sentence means."""
        if who == (EVERYONE,):
            return list(self.actors)
        if who == (EVERYONE_ELSE,):
            return [name for name in self.actors if name not in self.spoke_last]
        return list(who)

    def of(self, who: People) -> list[Actor]:
        """Return the people that a sentence means; raise StepFailed if one is in no room."""
        names = self.names(who)
        for name in names:
            if name not in self.actors:
                raise StepFailed(f"{name} to be in a room", f"{name} is in none")
        return [self.actors[name] for name in names]

    def shown_name(self, name: str) -> str:
        """Return the name that members see; a name that no person of the story has is one already."""
        if name in self.actors:
            return self.actors[name].chat.name
        return self._story.person(name).user or name

    def next_lines(self, name: str, count: int) -> list[str]:
        """Return the texts of the next numbered lines of a person."""
        first = self._lines_sent.get(name, 0) + 1
        self._lines_sent[name] = first + count - 1
        return [numbered(number) for number in range(first, first + count)]

    def last_lines(self, name: str, count: int) -> list[Line]:
        """Return the last numbered lines of a person, as members see them."""
        last, shown = self._lines_sent.get(name, 0), self.shown_name(name)
        return [Line(shown, numbered(number)) for number in range(last - count + 1, last + 1)]

    async def say(self, texts: Mapping[str, Sequence[str]]) -> None:
        """Send texts, all speakers at the same time."""
        speakers = self.of(tuple(texts))
        self.spoke_last = tuple(texts)

        async def speak(actor: Actor) -> None:
            for text in texts[actor.name]:
                await actor.chat.say(text)

        await asyncio.gather(*(speak(actor) for actor in speakers))

    async def judge(self, actors: Sequence[Actor], judge: Callable[[Actor], Verdict], within_s: float) -> list[Verdict]:
        """Judge again whenever an event comes, until nothing is pending, something has failed, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            self.news.clear()
            verdicts = [judge(actor) for actor in actors]
            left = deadline - loop.time()
            is_over = left <= 0 or any(isinstance(verdict, Failed) for verdict in verdicts)
            if is_over or not any(isinstance(verdict, Pending) for verdict in verdicts):
                return verdicts
            try:
                async with asyncio.timeout(left):
                    await self.news.wait()
                    await asyncio.sleep(_COALESCE_S)
            except TimeoutError:
                pass
