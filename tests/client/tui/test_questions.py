"""client/tui/questions.py: what is asked over the screen, and which keys answer it."""

import asyncio
import itertools

import pytest

from client.tui import questions
from client.tui.composer import Composer
from tests.client.playing import Stage, play
from tsudoi import Listed, Person, WrongPassword


async def host_leaves(stage: Stage, *keys: str, asks: str = "You are the host of den") -> None:
    rows = (Person("alice", True, 0), Person("bob", False, 0))
    await stage.hear(Listed("who", rows, 2, 1, 1, ""))
    await stage.type("/leave")
    assert asks in stage.screen
    await stage.press_at_once(*keys)


@pytest.fixture
def is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a question count as seen once it is drawn."""
    monkeypatch.setattr(questions, "SEEN_S", 0.0)


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+d"])
def test_the_key_that_leaves_means_yes(key: str, is_seen: None) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, key)
        assert stage.den.left

    play(scene, is_host=True)


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+d"])
def test_yes_does_not_count_before_the_question_was_seen(key: str) -> None:
    async def scene(stage: Stage) -> None:
        rows = (Person("alice", True, 0), Person("bob", False, 0))
        await stage.hear(Listed("who", rows, 2, 1, 1, ""))
        await stage.press_at_once(*[key] * 20)  # held, or before the question is drawn
        assert "You are the host of den" in stage.screen
        assert not stage.den.left
        await stage.press("escape")
        assert "You are the host of den" not in stage.screen

    play(scene, is_host=True)


def test_a_held_key_never_means_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        times = itertools.count(100.0, 0.75)
        loop = asyncio.get_running_loop()
        question = questions.Confirm("Leave?", "")
        monkeypatch.setattr(loop, "time", lambda: next(times))
        question.yes()  # it is not drawn yet
        question._drawn()
        for _ in range(20):
            question.yes()
        assert not question.answer.done()
        next(times)
        question.yes()
        assert question.answer.result()

    asyncio.run(scene())


@pytest.mark.parametrize("text", ["y", "yes", "はい", "いいえ", "ｙ", "hello"])
def test_what_is_typed_on_is_no_answer_but_stays_in_the_composer(text: str, is_seen: None) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, *text)
        assert not stage.den.left
        assert "You are the host of den" not in stage.screen
        assert stage.app.screen_stack[0].query_one(Composer).text == text
        await stage.press("enter")
        assert stage.den.said[1:] == [text]

    play(scene, is_host=True)


def test_lines_that_are_pasted_into_a_question_are_said(is_seen: None) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, *"はい", "enter", *"yes", "enter", "y")
        assert not stage.den.left
        assert "You are the host of den" not in stage.screen
        assert stage.den.said[1:] == ["はい", "yes"]
        assert stage.app.screen_stack[0].query_one(Composer).text == "y"

    play(scene, is_host=True)


def test_enter_is_no_answer_to_whether_a_room_shall_close(is_seen: None) -> None:
    """Else `/leave` with an Enter too many closes it for all."""

    async def scene(stage: Stage) -> None:
        await host_leaves(stage, "enter", "enter")
        assert not stage.den.left
        assert "You are the host of den" in stage.screen
        await stage.press("escape")
        assert "You are the host of den" not in stage.screen
        assert not stage.den.left

    play(scene, is_host=True)


def test_a_password_is_taken_once_and_may_have_wide_spaces() -> None:
    async def scene(stage: Stage) -> None:
        stage.refuse["vault"] = [WrongPassword("wrong password for vault")]
        await stage.type("/join vault")
        await stage.press_at_once(*"開け\u3000ゴマ", "enter", "enter")
        assert stage.passwords == [None, "開け\u3000ゴマ"]

    play(scene)


@pytest.mark.parametrize("size", [(20, 7), (10, 24), (80, 24), (82, 24)])
def test_a_question_is_whole_on_a_tiny_screen_and_over_others_edges(size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, asks="あなたは")
        text = "".join(stage.screen.replace("│", "").split())
        assert text.count("ルームは全員に対して閉じます（ほかに1人）。退室しますか。Ctrl-C:はいEsc:いいえ") == 1
        await stage.press("escape")

    play(scene, size, is_host=True, language="ja")
