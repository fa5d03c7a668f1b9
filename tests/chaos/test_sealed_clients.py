"""tests/chaos/sealed_clients.py"""

import asyncio
from types import SimpleNamespace
from typing import cast

from tests.chaos.clients import text_of
from tests.chaos.plan import SEALED, ClientPlan
from tests.chaos.sealed_clients import BACKLOG, SealedChaosClient, SealedSeen
from tsudoi.net.line import Line
from tsudoi.net.sealed_chat import SealedChat


def test_a_member_of_whose_lines_many_wait_whispers_no_more() -> None:
    posted: list[str] = []

    def post(text: str) -> Line:
        posted.append(text)
        chat.waiting += 1
        return Line(text, len(posted))

    chat = SimpleNamespace(closed=False, waiting=0, post=post)

    async def say_many() -> None:
        plan = ClientPlan(1, SEALED, 0, 0, host=True, enters_at=0.0, speaks=True)
        ignored = lambda *_: None  # noqa: E731
        client = SealedChaosClient(plan, "den", ["user2"], SealedSeen(), ignored, ignored, text_of)
        client._chat = cast(SealedChat, chat)
        for _ in range(BACKLOG):
            client.say()
        for task in client._tasks:
            task.cancel()

    asyncio.run(say_many())
    whispers = [text for text in posted if text.startswith("/msg")]
    assert len(whispers) == BACKLOG // 2
    assert len(posted) == BACKLOG + len(whispers)
