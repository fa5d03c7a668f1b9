"""What the client's screen looks like, in narrow, usual and wide terminals, in both languages: tests/client/screens/.

`TESTS_DRAW=1` writes these files; look at them before you commit them.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

import tsudoi
from client.state.columns import plain, width
from tests.client.fake_chat import FakeChatWithReceipts
from tests.client.playing import Stage, play
from tsudoi import Emote, Joined, Listed, Message, Past, Person, Private, TopicChanged
from tsudoi.protocol.client.words import Language

SCREENS = Path(__file__).resolve().parents[1] / "screens"


async def chat(stage: Stage) -> None:
    """Two rooms; lines from yesterday and today, of the user and others, kept, waiting and refused."""
    rows = (Person("bob b", True, 0), Person("alice", False, 5), Person("ハナコ", False, 9))
    past = (Past("bob b", "see you tomorrow", 3, 1_795_780_000_000, False),)
    await stage.hear(Listed("who", rows, 3, 1, 1, ""), Listed("history", past, 1, 1, 1, ""))
    await stage.hear(TopicChanged("bob b", "tea at five お茶は五時から", 5, "?"), Joined("ハナコ", 6, "?"))
    await stage.hear(
        Message("ハナコ", "こんにちは！日本語の長い文も、列を崩さずに折り返されます。「括弧」も。", 7),
        Message("bob b", "a family 👨‍👩‍👧 and a flag 🇯🇵, ❤️", 8),
        Emote("ハナコ", "waves", 9),
        Message("bob b", "look\nalice: this is not alice", 10),
        Private("bob b", "alice", "psst", 11),
    )
    for text in ("a line that is kept", "a line that is refused", "a line that waits"):
        await stage.type(text)
    stage.den.lines[0].outcome.set_result(12)
    stage.den.lines[1].outcome.set_exception(tsudoi.ClientError("too fast"))
    await stage.settle()
    await stage.type("/join garden")
    stage.now += timedelta(minutes=3)
    await stage.hear(Message("ハナコ", "alice、いる？ https://example.org/a/very/long/address/that/goes/on/and/on", 13))
    await stage.press("ctrl+p")


async def away(stage: Stage) -> None:
    """The server does not answer."""
    await stage.hear(Message("bob", "hello", 4), tsudoi.ServerAway("the server at 127.0.0.1 does not answer"))
    await stage.type("are you there?")


async def closed(stage: Stage) -> None:
    """The host has left."""
    await stage.hear(Message("bob", "bye", 4), tsudoi.RoomClosed("ホストのbobがルームを退出しました．"), None)


async def password(stage: Stage) -> None:
    """A locked room."""
    stage.refuse["vault"] = [tsudoi.WrongPassword("wrong password for vault")]
    await stage.type("/join vault")


async def leaving(stage: Stage) -> None:
    """A host is asked."""
    await stage.hear(Listed("who", (Person("alice", True, 0), Person("bob", False, 0)), 2, 1, 1, ""))
    await stage.press("ctrl+c")


async def keys(stage: Stage) -> None:
    """The help."""
    await stage.press("f1")


async def search(stage: Stage) -> None:
    """A line that was looked for, among many."""
    await stage.hear(*(Message("bob", f"line {number}", 5 + number) for number in range(40)))
    await stage.hear(Message("ハナコ", "お茶は五時からです。" * 9, 50))
    await stage.hear(*(Message("bob", f"line {number}", 60 + number) for number in range(40)))
    await stage.press("ctrl+r")
    await stage.press(*"お茶")


SCENES = (chat, away, closed, password, leaving, keys, search)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_screen_is_as_it_was(scene: Callable[[Stage], Awaitable[None]], language: Language) -> None:
    seen: dict[int, str] = {}

    async def look(stage: Stage) -> None:
        await scene(stage)
        for columns in (80, 200, 40):
            await stage.pilot.resize_terminal(columns, 24)
            await stage.settle()
            seen[columns] = stage.screen

    play(look, (80, 24), language, FakeChatWithReceipts, is_host=scene is leaving)
    for columns, screen in seen.items():
        assert all(width(plain(line)) <= columns for line in screen.splitlines())
        file = SCREENS / f"{scene.__name__}-{columns}-{language}.txt"
        if os.environ.get("TESTS_DRAW"):
            file.write_text(screen, "utf-8")
        assert screen == file.read_text("utf-8")
