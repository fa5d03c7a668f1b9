"""client/tui: how a text is looked for in the lines of the shown room."""

import pytest
from textual.events import Paste

import tsudoi
from client.tui.composer import Composer
from client.tui.timeline import Timeline
from tests.client.fake_chat import FakeChatWithReceipts
from tests.client.playing import Stage, play
from tsudoi import Message, Past, RoomClosed


def marked(stage: Stage) -> list[str]:
    """Return the rows of the timeline that are marked."""
    timeline = stage.app.query_one(Timeline)
    rows = [timeline.render_line(y) for y in range(timeline.size.height)]
    return [row.text.strip() for row in rows if all(part.style and part.style.reverse for part in row)]


def said(stage: Stage) -> list[str]:
    return [line for line in stage.den.said if not line.startswith("/")]


def composed(stage: Stage) -> str:
    return stage.app.query_one(Composer).text


async def talk(stage: Stage) -> None:
    await stage.hear(tsudoi.Listed("history", (), 0, 1, 1, ""))
    texts = {3: "tea at five", 30: "お茶は五時から", 40: "green tea", 55: "ＴＥＡ!"}
    await stage.hear(*(Message("bob", texts.get(n, f"line {n}"), 5 + n) for n in range(60)))


def test_what_is_typed_is_found_at_once_and_keys_go_on() -> None:
    async def scene(stage: Stage) -> None:
        await talk(stage)
        await stage.press("d", "ctrl+r")
        assert " Find in 61 lines" in stage.screen
        assert "\na text or a name" in stage.screen
        seen = []
        for keys in ("tea", ["enter"], ["up"], ["down"], ["ctrl+r"]):
            await stage.press(*keys)
            assert len(marked(stage)) == 1
            seen.append(marked(stage)[0].split("│ ")[1])
        assert seen == ["ＴＥＡ!", "green tea", "tea at five", "green tea", "tea at five"]
        assert " Find: 3 of 3 in 61 lines" in stage.screen
        assert " Enter load older  Down newer  Esc end" in stage.screen
        await stage.press("escape")
        assert marked(stage) == []
        assert "tea at five" in stage.screen  # it is what the user wanted to read
        assert "newer lines below: Alt-End" in stage.screen
        assert composed(stage) == "d"
        await stage.press("enter")
        assert said(stage) == ["d"]
        assert "line 59" in stage.screen

    play(scene)


def test_what_is_not_found_is_told_and_moves_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await talk(stage)
        await stage.press("ctrl+r", *"zz")
        assert " Find: not in 61 lines" in stage.screen
        assert "line 59" in stage.screen
        assert marked(stage) == []
        await stage.press("ctrl+u")
        assert " Find in 61 lines" in stage.screen

    play(scene)


def test_new_lines_do_not_move_what_is_found_and_the_newest_are_followed_again() -> None:
    async def scene(stage: Stage) -> None:
        await talk(stage)
        await stage.press("ctrl+r", *"59")
        rows = stage.screen.splitlines()
        await stage.hear(*(Message("bob", f"later {n}", 70 + n) for n in range(40)))
        assert stage.screen.splitlines()[:-3] == rows[:-3]
        await stage.press("alt+end", "escape")
        await stage.hear(Message("bob", "the end", 120))
        assert "the end" in stage.screen

    play(scene)


def test_keys_that_come_at_once_look_for_all_that_was_typed_and_say_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await talk(stage)
        await stage.press_at_once("h", "i", "ctrl+r", *"tea", "enter", "enter")
        assert marked(stage)[0].endswith("tea at five")
        await stage.press_at_once("x", "tab", "alt+enter", "ctrl+c", "!", "enter")
        assert said(stage) == ["hi!"]

    play(scene)


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+d", "escape"])
def test_the_keys_that_leave_end_the_search_alone(key: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("ctrl+r", key)
        assert stage.app.is_running
        assert not stage.den.left
        assert "Message den" in stage.screen

    play(scene)


def test_another_room_ends_the_search_and_the_draft_stays_with_its_room() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/join garden")
        await stage.press("d", "r", "ctrl+r", *"den", "ctrl+p")
        assert composed(stage) == ""
        assert "Find" not in stage.screen
        await stage.press("ctrl+p")
        assert composed(stage) == "dr"

    play(scene)


def test_older_lines_are_loaded_where_none_is_found() -> None:
    async def scene(stage: Stage) -> None:
        await talk(stage)
        await stage.press("ctrl+r", *"cake", "enter")
        assert stage.den.said[-1] == "/history 50 5"
        old = tuple(Past("bob", f"cake {n}", n, 1_795_000_000_000 + n, False) for n in range(1, 5))
        await stage.hear(tsudoi.Listed("history", old, 4, 1, 1, ""))
        assert " Find: 1 of 4 in 65 lines" in stage.screen
        assert marked(stage)[0].endswith("cake 4")

    play(scene)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_wide_characters_are_found_by_an_input_methods_text_and_wrapped_lines_marked_whole(columns: int) -> None:
    async def scene(stage: Stage) -> None:
        await talk(stage)
        await stage.hear(Message("ハナコ", "ｶﾞﾗｽの器で冷たいお茶を。" * 12, 90))
        await talk(stage)
        stage.app.post_message(Paste("ガラス"))  # no search: it is written
        await stage.press("ctrl+c", "ctrl+r")
        stage.app.post_message(Paste("ガラスの器"))
        await stage.settle()
        text = "".join(row.split("│ ")[-1].strip() for row in marked(stage))
        assert text.endswith("ｶﾞﾗｽの器で冷たいお茶を。" * 12)
        await stage.pilot.resize_terminal(60, 20)
        await stage.settle()
        assert len(marked(stage)) > 5

    play(scene, (columns, 30), language="ja")


def test_a_line_that_is_kept_meanwhile_and_a_room_that_closes_do_no_harm() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("mine")
        await stage.press("ctrl+r", *"mine")
        assert "mine" in marked(stage)[0]
        stage.den.lines[0].outcome.set_result(6)
        await stage.settle()
        await stage.press("enter")
        assert "mine" in marked(stage)[0]
        await stage.hear(RoomClosed("?"), None)
        await stage.press("enter", "escape")
        assert marked(stage) == []

    play(scene, chat=FakeChatWithReceipts)
