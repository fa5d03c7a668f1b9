"""Honest members of version 2 who chat while somebody attacks: what they lose, and how late they hear."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import tsudoi
from tests.attacks.watch import PAUSE_S

PATIENCE_S = 15.0


@dataclass
class Talk:
    """What a conversation was like."""

    said: int = 0
    heard: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    """Events that told of losses, and lines that were not kept."""

    @property
    def worst_ms(self) -> float:
        return max(self.latencies_ms, default=float("inf"))


class SealedPair:
    """Alice at one gateway says a line each 0.05 s, Bob at the other one hears; as long as the block lasts."""

    def __init__(self, servers: list[tsudoi.Server], room: str) -> None:
        self.talk = Talk()
        self._servers, self._room = servers, room
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._chat()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(2 * PATIENCE_S)

    async def _chat(self) -> None:
        talk, settings = self.talk, tsudoi.Settings(rate_per_s=0)
        async with (
            await tsudoi.create(self._room, name="alice", server=self._servers[0], settings=settings) as alice,
            await tsudoi.join(self._room, name="bob", server=self._servers[-1], settings=settings) as bob,
        ):
            sent: dict[str, float] = {}
            hearing = asyncio.create_task(self._hear(bob, sent))
            lines = []
            while not self._over.is_set():
                talk.said += 1
                text = str(talk.said)
                sent[text] = time.monotonic()
                lines.append(alice.post(text))
                await asyncio.sleep(PAUSE_S)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    for line in lines:
                        await line.kept()
                    while len(talk.heard) < talk.said:  # noqa: ASYNC110 - Bob listens for himself
                        await asyncio.sleep(PAUSE_S)
            except (TimeoutError, tsudoi.ClientError) as exc:
                talk.bad.append(repr(exc))
            hearing.cancel()

    async def _hear(self, bob: tsudoi.ChatClient, sent: dict[str, float]) -> None:
        async for event in bob:
            match event:
                case tsudoi.Message(text=text):
                    self.talk.heard.append(text)
                    self.talk.latencies_ms.append((time.monotonic() - sent[text]) * 1000)
                case tsudoi.Gap() | tsudoi.Reset() | tsudoi.ServerAway() | tsudoi.TimedOut():
                    self.talk.bad.append(event.text)
