"""client/tui/composer.py: the line that is typed, and those typed before."""

from textual.widgets import TextArea

from tests.client.playing import Stage, play


def text(stage: Stage) -> str:
    return stage.app.query_one("#composer", TextArea).text


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


def test_the_composer_grows_with_its_text() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.query_one("#composer", TextArea).insert("word " * 60)
        await stage.settle()
        assert stage.app.query_one("#composer").size.height == 4
        await stage.press("ctrl+c")
        assert stage.app.query_one("#composer").size.height == 1

    play(scene)


def test_alt_and_a_letter_write_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("alt+x")
        assert text(stage) == ""

    play(scene)


def test_ctrl_d_deletes_in_a_text() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("a", "b", "left", "ctrl+d")
        assert text(stage) == "a"
        assert stage.app.is_running

    play(scene)
