"""tsudoi/net/bot.py: how a bot enters; tests/integration/test_examples.py has the rest."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.waiting import until
from tsudoi import Bot, Event, Kicked, RoomExists, RoomNotFound
from tsudoi.net import bot as module
from tsudoi.net.chat import ChatClient

CHAT = cast(ChatClient, SimpleNamespace(name="bot"))


def entering(*answers: Exception | ChatClient) -> Callable[..., Coroutine[Any, Any, ChatClient]]:
    """Return a stand-in for `join` or `create` with these answers, one for each call."""
    left = iter(answers)

    async def enter(room: str, **about: object) -> ChatClient:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return enter


def test_a_bot_enters_a_room_that_another_client_creates_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "join", entering(RoomNotFound("den"), CHAT))
    monkeypatch.setattr(module, "create", entering(RoomExists("den")))
    assert asyncio.run(Bot("den", name="bot", creates=True)._enter_once()) is CHAT


def test_a_bot_creates_no_room_unless_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "join", entering(RoomNotFound("den")))
    with pytest.raises(RoomNotFound):
        asyncio.run(Bot("den", name="bot")._enter_once())


async def test_a_bot_that_is_cancelled_has_no_chat_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    bot = Bot("den", name="bot")

    @asynccontextmanager
    async def chat() -> AsyncIterator[Any]:
        yield CHAT

    async def answer(chat: ChatClient) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(bot, "_enter", lambda: asyncio.sleep(0, chat()))
    monkeypatch.setattr(bot, "_answer", answer)
    serving = asyncio.create_task(bot.serve())
    await until(lambda: bot.chat is CHAT)
    serving.cancel()
    await asyncio.wait({serving})
    assert bot.chat is None


@pytest.mark.parametrize("ended", [None, Kicked("You were removed.")], ids=["by itself", "by another"])
def test_a_bot_that_is_removed_says_so(
    ended: Event | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("den", name="bot")

    @asynccontextmanager
    async def chat() -> AsyncIterator[Any]:
        yield CHAT

    monkeypatch.setattr(bot, "_enter", lambda: asyncio.sleep(0, chat()))
    monkeypatch.setattr(bot, "_answer", lambda chat: asyncio.sleep(0, ended))
    asyncio.run(bot.serve())
    assert caplog.messages == (["this bot is not in den any more: You were removed."] if ended else [])


def test_a_bot_that_runs_twice_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "join", entering(CHAT, cast(ChatClient, SimpleNamespace(name="bot#2"))))
    bot = Bot("den", name="bot")
    asyncio.run(bot._enter_once())
    assert not caplog.messages
    asyncio.run(bot._enter_once())
    assert caplog.messages == ["the name bot is taken, so this bot is bot#2: is it running twice?"]


def test_a_bot_shows_its_password_and_its_signed_token(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    async def enter(room: str, **about: object) -> ChatClient:
        shown.append((room, about["name"], about["password"], about["signed_token"]))
        return CHAT

    monkeypatch.setattr(module, "join", enter)
    bot = Bot("den", name="bot", password="moonlight", signed_token="eyJ…")
    assert asyncio.run(bot._enter_once()) is CHAT
    assert shown == [("den", "bot", "moonlight", "eyJ…")]
