"""client/tui/questions.py: what is asked over the screen, and which keys answer it."""

import pytest

from tests.client.playing import Stage, play
from tsudoi import Listed, Person, WrongPassword


async def host_leaves(stage: Stage, *keys: str, asks: str = "You are the host of den") -> None:
    rows = (Person("alice", True, 0), Person("bob", False, 0))
    await stage.hear(Listed("who", rows, 2, 1, 1, ""))
    await stage.type("/leave")
    assert asks in stage.screen
    await stage.press_at_once(*keys)


@pytest.mark.parametrize("keys", ["y", "Y", "ｙ", "は", "yy", "yn"])
def test_yes_leaves_and_only_the_first_key_answers(keys: str) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, *keys)
        assert stage.den.left

    play(scene, is_host=True)


@pytest.mark.parametrize(
    "keys", [("n",), ("N",), ("ｎ",), ("い",), ("escape",), ("n", "y"), ("n", "n"), ("escape", "y")]
)
def test_no_stays_and_only_the_first_key_answers(keys: tuple[str, ...]) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, *keys)
        assert not stage.den.left
        assert "You are the host of den" not in stage.screen

    play(scene, is_host=True)


def test_enter_is_no_answer_to_whether_a_room_shall_close() -> None:
    """Else `/leave` with an Enter too many closes it for all."""

    async def scene(stage: Stage) -> None:
        await host_leaves(stage, "enter", "x", " ")
        assert not stage.den.left
        assert "You are the host of den" in stage.screen
        await stage.press("n")

    play(scene, is_host=True)


def test_a_password_is_taken_once_and_may_have_wide_spaces() -> None:
    async def scene(stage: Stage) -> None:
        stage.refuse["vault"] = [WrongPassword("wrong password for vault")]
        await stage.type("/join vault")
        await stage.press_at_once(*"開け\u3000ゴマ", "enter", "enter")
        assert stage.passwords == [None, "開け\u3000ゴマ"]

    play(scene)


@pytest.mark.parametrize("size", [(20, 7), (10, 24)])
def test_a_question_is_whole_on_a_tiny_screen(size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await host_leaves(stage, asks="あなたは")
        assert "退室しますか。y:はいn:いいえ" in "".join(stage.screen.split())
        await stage.press("n")

    play(scene, size, is_host=True, language="ja")
