"""tsudoi/net/bot.py: which handlers are called, and what becomes of those that fail."""

import asyncio
import logging
from typing import Any

import pytest

import tsudoi
from tsudoi import Emote, Joined, Message, Private


class Chat:
    """Stands for a ChatClient that has received some events."""

    name = "bot"

    def __init__(self, *events: tsudoi.Event) -> None:
        self._events = [*events, tsudoi.RoomClosed("?")]
        self.said: list[str] = []

    def __aiter__(self) -> "Chat":
        return self

    async def __anext__(self) -> tsudoi.Event:
        return self._events.pop(0)

    def as_text(self, line: str) -> str:
        return line

    def pieces(self, line: str) -> list[str]:
        return [line]

    async def say(self, text: str) -> int:
        self.said.append(text)
        return len(self.said)


def hear(bot: tsudoi.Bot, *events: tsudoi.Event) -> list[str]:
    """Let a bot take events; return what it says."""
    chat: Any = Chat(*events)
    asyncio.run(bot._answer(chat))
    return chat.said  # type: ignore[no-any-return]


def test_handlers_may_be_plain_functions() -> None:
    bot = tsudoi.Bot("den", name="bot")
    joined: list[str] = []

    @bot.command("echo")
    def echo(call: tsudoi.Call) -> str:
        """Say it again."""
        return call.text

    @bot.command("later")
    async def later(call: tsudoi.Call) -> str:
        await asyncio.sleep(0)
        return "later"

    @bot.on(Joined)
    def note(chat: tsudoi.ChatClient, event: Joined) -> None:
        joined.append(event.name)

    said = hear(
        bot,
        Joined("bob", 3, "?"),
        Message("bob", "!echo a b", 4),
        Message("bob", "!later", 5),
        Message("bob", "!none", 6),
        Message("bob", "!help", 7),
    )
    assert said == ["a b", "later", "Commands:\n!echo  Say it again.\n!later"]
    assert joined == ["bob"]
    assert hear(bot, Message("bot#2", said[-1], 8)) == []


def test_a_bot_does_not_hear_itself() -> None:
    bot = tsudoi.Bot("den", name="bot")
    heard: list[str] = []

    @bot.on(Emote)
    def see(chat: tsudoi.ChatClient, event: Emote) -> None:
        heard.append(event.text)

    @bot.on(Private)
    def note(chat: tsudoi.ChatClient, event: Private) -> None:
        heard.append(event.text)

    hear(bot, Emote("bot", "waves", 3), Private("bot", "bob", "psst", 4))
    hear(bot, Emote("bob", "nods", 5), Private("bob", "bot", "yes", 6))
    assert heard == ["nods", "yes"]


def test_a_command_may_be_written_in_wide_characters() -> None:
    bot = tsudoi.Bot("den", name="bot")

    @bot.command("echo")
    def echo(call: tsudoi.Call) -> str:
        return f"{call.name} {call.words}"

    texts = ("！echo　あ　い", "!ECHO\na", "! echo", "!!echo", "!", "echo")
    assert hear(bot, *(Message("bob", text, 4) for text in texts)) == ["echo ['あ', 'い']", "echo ['a']"]


def test_a_bot_without_commands_answers_none() -> None:
    assert hear(tsudoi.Bot("den", name="bot"), Message("bob", "!help", 4)) == []


def test_handlers_take_the_last_event_too() -> None:
    bot = tsudoi.Bot("den", name="bot")
    ends: list[str] = []

    @bot.on(tsudoi.RoomClosed)
    def note(chat: tsudoi.ChatClient, event: tsudoi.RoomClosed) -> None:
        ends.append(event.text)

    hear(bot, Joined("bob", 3, "?"))
    assert ends == ["?"]


def test_a_decorator_with_a_wrong_argument_is_told_at_once() -> None:
    bot = tsudoi.Bot("den", name="bot")
    names: tuple[Any, ...] = (test_a_bot_does_not_hear_itself, "", "two words", None)
    for name in names:
        with pytest.raises(TypeError, match="name the command, in one word"):
            bot.command(name)
    kinds: tuple[Any, ...] = (test_a_bot_does_not_hear_itself, "Joined", Joined("bob", 3, "?"))
    for kind in kinds:
        with pytest.raises(TypeError, match="kind of event"):
            bot.on(kind)


def test_a_command_that_returns_no_text_says_nothing_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bot = tsudoi.Bot("den", name="bot")

    @bot.command("count")  # type: ignore[type-var]
    def count(call: tsudoi.Call) -> int:
        return 42

    assert hear(bot, Message("bob", "!count", 4)) == []
    assert caplog.messages == ["what the command count returns is not said, as it is no str: 42"]


def test_a_handler_that_fails_is_named_and_the_bot_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    bot = tsudoi.Bot("den", name="bot")

    @bot.on(Joined)  # type: ignore[arg-type]
    def takes_too_little(chat: tsudoi.ChatClient) -> None: ...

    @bot.command("plain")
    def plain_one(call: tsudoi.Call) -> str:
        raise ValueError(call.text)

    @bot.command("asynchronous")
    async def asynchronous_one(call: tsudoi.Call) -> str:
        raise ValueError(call.text)

    @bot.command("refused")
    async def refused_one(call: tsudoi.Call) -> str:
        raise tsudoi.LineRefused("too fast")

    @bot.command("ok")
    async def fine(call: tsudoi.Call) -> str:
        return "fine"

    with caplog.at_level(logging.WARNING, "tsudoi.bot"):
        names = ("plain", "asynchronous", "refused", "ok")
        said = hear(bot, Joined("bob", 3, "?"), *(Message("bob", f"!{name}", 4) for name in names))
    assert said == ["fine"]
    assert [record.getMessage() for record in caplog.records] == [
        "the handler takes_too_little failed",
        "the handler plain_one failed",
        "the handler asynchronous_one failed",
        "refused_one: too fast",
    ]


def test_ctrl_c_ends_a_bot_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    bot = tsudoi.Bot("den", name="bot")

    async def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bot, "serve", interrupted)
    bot.run()
