"""client/tui/composer.py: the line that is typed, and those typed before."""

import pytest
from textual.events import Key
from textual.widgets import TextArea

from client import words
from tests.client.playing import Stage, play
from tsudoi import RoomClosed
from tsudoi.protocol.client.words import Language


def text(stage: Stage) -> str:
    return stage.app.query_one("#composer", TextArea).text


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (("ctrl+u", "x", "y"), "xy"),
        (("left", "left", "x"), "one txwo"),
        (("ctrl+a", "x", "ctrl+f", "y", "ctrl+e", "z"), "xoyne twoz"),
        (("backspace", "x"), "one twx"),
        (("ctrl+w", "x", "ctrl+b", "y", "ctrl+y"), "one ytwox"),
    ],
)
def test_keys_that_come_at_once_act_in_their_order(keys: tuple[str, ...], left: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.app.query_one("#composer", TextArea).insert("one two")
        await stage.settle()
        await stage.press_at_once(*keys)
        assert text(stage) == left

    play(scene)


@pytest.mark.parametrize("cut", ["ctrl+u", "ctrl+k", "alt+d", "ctrl+w"])
def test_ctrl_y_inserts_what_was_deleted_last(cut: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.app.query_one("#composer", TextArea).insert("一つ two 三つ")
        await stage.press("alt+b", "alt+b", "left", "backspace", cut)
        left = text(stage)
        await stage.press("ctrl+y")
        assert text(stage) == "一 two 三つ"
        assert left != text(stage)
        await stage.press("ctrl+e", "ctrl+y")
        assert len(text(stage)) == 2 * len("一 two 三つ") - len(left)

    play(scene)


def test_up_and_down_go_through_the_lines_typed_before() -> None:
    async def scene(stage: Stage) -> None:
        for line in ("one", "two", "two", "/password moon"):
            await stage.type(line)
        await stage.press("n", "o", "w")
        seen = []
        for key in ("up", "up", "up", "up", "down", "down", "down", "down"):
            await stage.press(key)
            seen.append(text(stage))
        assert seen == ["/password moon", "two", "one", "one", "two", "/password moon", "now", "now"]

    play(scene)


def test_up_moves_in_a_text_of_several_lines_first() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("before")
        await stage.press("a", "alt+enter", "b", "up")
        assert text(stage) == "a\nb"
        await stage.press("up")
        assert text(stage) == "before"

    play(scene)


def test_up_and_down_move_in_a_long_line_first() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("before")
        stage.app.query_one("#composer", TextArea).insert("word " * 30)
        await stage.press("ctrl+a", "down", "X", "up", "Y")
        assert text(stage).startswith("wY" + "ord " + "word " * 14)
        assert "X" in text(stage)
        await stage.press("up")
        assert text(stage) == "before"
        await stage.press("down")
        assert "X" in text(stage)

    play(scene)


def test_the_composer_grows_with_its_text() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.query_one("#composer", TextArea).insert("word " * 60)
        await stage.settle()
        assert stage.app.query_one("#composer").size.height == 4
        await stage.press("ctrl+c")
        assert stage.app.query_one("#composer").size.height == 1

    play(scene)


def test_alt_and_a_letter_write_nothing() -> None:
    """Textual gives the key of a terminal its letter as a character; one of its tests' has none."""

    async def scene(stage: Stage) -> None:
        stage.app.query_one("#composer").post_message(Key("alt+x", "x"))
        await stage.press("y")
        assert text(stage) == "y"

    play(scene)


def test_ctrl_d_deletes_in_a_text() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("a", "b", "left", "ctrl+d")
        assert text(stage) == "a"
        assert stage.app.is_running

    play(scene)


def test_the_keys_of_shells_move_and_delete_by_words() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.query_one("#composer", TextArea).insert("one two three")
        await stage.settle()
        seen = []
        for key in ("alt+b", "alt+b", "alt+d", "alt+left", "alt+f", "X"):
            await stage.press(key)
            seen.append(text(stage))
        assert seen[2] == "one  three"
        assert seen[-1] == "oneX  three"
        await stage.press("ctrl+underscore")
        assert text(stage) == "one  three"

    play(scene)


def test_a_line_of_several_rows_is_one_line_to_the_keys_of_shells() -> None:
    async def scene(stage: Stage) -> None:
        composer = stage.app.query_one("#composer", TextArea)
        composer.insert("word " * 30)
        await stage.press("ctrl+a", "a", "end", "e", "home", "right", "ctrl+k")
        assert text(stage) == "a"
        composer.insert("word " * 30)
        await stage.press("ctrl+u")
        assert text(stage) == ""

    play(scene)


def test_the_composer_has_as_many_rows_as_its_text_in_a_terminal_of_another_width() -> None:
    async def scene(stage: Stage) -> None:
        composer = stage.app.query_one("#composer", TextArea)
        composer.insert("word " * 20)
        heights = []
        for columns in (80, 40, 200, 40):
            await stage.pilot.resize_terminal(columns, 24)
            await stage.settle()
            heights.append((composer.size.height, composer.scroll_offset.y))
        assert heights == [(2, 0), (3, 0), (1, 0), (3, 0)]

    play(scene)


def test_the_cursor_of_the_terminal_is_where_the_next_character_stands() -> None:
    """An input method shows there what is being typed."""

    async def scene(stage: Stage) -> None:
        def place() -> tuple[int, int]:
            column, row = stage.app.cursor_position
            return column, stage.app.size.height - row

        seen = [place()]
        stage.app.query_one("#composer", TextArea).insert("字" * 100)
        await stage.settle()
        seen.append(place())
        await stage.press("enter")
        seen.append(place())
        await stage.pilot.resize_terminal(60, 30)
        await stage.settle()
        seen.append(place())
        assert seen == [(0, 2), (200 - 2 * 78, 2), (0, 2), (0, 2)]

    play(scene)


def test_all_that_an_input_method_writes_is_typed() -> None:
    """A wide space, joiners, a character for private use, one of a newer Unicode; in place of what is selected."""
    typed = "全角\u3000空白👨\u200d👩می\u200cخواهم\ue000\U0001fae9"

    async def scene(stage: Stage) -> None:
        await stage.press("x", "shift+left")
        await stage.press_at_once(*typed)
        assert text(stage) == typed

    play(scene)


def test_a_hint_that_is_too_long_is_cut_at_the_end_and_not_at_a_space() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(RoomClosed("the room is closed"))
        assert "/create den anew, /leav…" in stage.screen

    play(scene, (24, 20))


@pytest.mark.parametrize(("columns", "language"), [(40, "en"), (80, "ja")])
def test_rows_that_the_composer_does_not_show_are_counted(columns: int, language: Language) -> None:
    above, below = (words.ROWS_ABOVE, words.ROWS_BELOW)

    async def scene(stage: Stage) -> None:
        composer = stage.app.query_one("#composer", TextArea)
        composer.insert("\n".join(f"line {number}" for number in range(9)))
        await stage.settle()
        assert f" {above.text(language, count=3)} " in stage.screen.splitlines()[-1]
        await stage.press(*["up"] * 6)
        last = stage.screen.splitlines()[-1]
        assert f" {above.text(language, count=2)}  {below.text(language, count=1)} " in last
        await stage.press(*["up"] * 2)
        assert f" {below.text(language, count=3)} " in stage.screen.splitlines()[-1]
        await stage.press("ctrl+c")
        assert below.text(language, count=3) not in stage.screen

    play(scene, size=(columns, 20), language=language)
