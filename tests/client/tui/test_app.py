"""client/tui/app.py: what the user does, and what then stands on the screen and goes to the server."""

import asyncio
import re
import sys
import time
from typing import Any

import pytest
from textual.events import AppBlur, Paste
from textual.geometry import Offset
from textual.screen import Screen
from textual.selection import Selection
from textual.timer import Timer

import tsudoi
from client import words
from client.state import timeline as state_timeline
from client.state import view
from client.tui import questions
from client.tui import timeline as tui_timeline
from client.tui.timeline import Timeline
from tests.client.fake_chat import FakeChat, FakeChatWithoutCommands, FakeChatWithReceipts
from tests.client.playing import Stage, play
from tsudoi import (
    Joined,
    Kicked,
    Listed,
    Message,
    Person,
    Private,
    Rejoined,
    Renamed,
    RoomClosed,
    WrongPassword,
)


def people(*names: str, host: str = "") -> Listed:
    rows = tuple(Person(name, name == host, 0) for name in names)
    return Listed("who", rows, len(rows), 1, 1, "")


def test_a_line_is_said_and_shown_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("hello den")
        assert stage.den.said == ["/who 1", "/history 20", "hello den"]
        assert stage.screen.count("hello den ~") == 1

    play(scene)


def test_where_there_are_no_commands_none_is_sent_and_the_user_reads_why() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(Message("bob", "one", 5), tsudoi.PeopleChanged(1, 0, ""))
        assert "There are no commands here" in stage.screen
        await stage.press("pageup")
        await stage.type("/history 5")
        assert "Not said: there are no commands here" in stage.screen
        await stage.type("hello")
        assert stage.den.said == ["hello"]

    play(scene, chat=FakeChatWithoutCommands)


def test_a_line_with_a_receipt_is_marked_until_it_is_kept_and_then_takes_its_place() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("mine")
        assert "mine  [not kept yet]" in stage.screen
        await stage.hear(Message("bob", "before", 5), Message("bob", "after", 7))
        stage.den.lines[0].outcome.set_result(6)
        await stage.settle()
        assert "[not kept yet]" not in stage.screen
        assert stage.screen.index("before") < stage.screen.index("mine") < stage.screen.index("after")

    play(scene, chat=FakeChatWithReceipts)


def test_lines_that_are_not_kept_at_the_end_are_known() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("kept")
        await stage.type("refused")
        await stage.type("neither")
        await stage.type("too late")
        stage.den.lines[3].state = "refused"
        stage.den.lines[3].outcome.set_exception(tsudoi.NotInRoom("over"))
        stage.den.lines[0].outcome.set_result(6)
        stage.den.lines[1].outcome.set_exception(tsudoi.LineRefused("muted"))
        stage.den.lines[2].outcome.set_exception(tsudoi.NotInRoom("over"))
        await stage.settle()
        assert "neither  [not known whether it was said]" in stage.screen
        assert "[not said: You are not in den any more.]" in stage.screen
        assert list(stage.app.sessions.unsettled.values()) == ["neither"]

    play(scene, chat=FakeChatWithReceipts)


def test_a_member_that_is_removed_at_once_reads_why_and_not_that_its_question_was_in_vain() -> None:
    async def scene(stage: Stage) -> None:
        stage.den.closed = True  # before its own event of that is read
        stage.app.sessions.ask("den", "/who 1")
        await stage.hear(Kicked("bob has banned you from den.", "bob", banned=True), None)
        assert "not in den any more" not in stage.screen
        assert "bob has banned you from den." in stage.screen

    play(scene)


def test_a_refused_line_says_why() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("mine")
        stage.den.lines[0].outcome.set_exception(tsudoi.ClientError("you are muted"))
        await stage.settle()
        assert "[not said: You are muted.]" in stage.screen

    play(scene, chat=FakeChatWithReceipts)


def test_keys_that_come_at_once_are_not_lost() -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.press("o", "n", "e", "enter", "t", "w", "o", "enter", "h", "a", "l", "f")
        await stage.settle()
        assert stage.den.said[2:] == ["one", "two"]
        assert "\nhalf" in stage.screen

    play(scene)


def test_several_lines_that_are_pasted_are_one_message() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.post_message(Paste("a\n/close\nb"))
        await stage.settle()
        await stage.press("enter")
        assert stage.den.said[2:] == ["a\n/close\nb"]
        assert "| /close" in stage.screen

    play(scene)


def test_ctrl_c_clears_the_line_first_and_then_ends() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("h", "i", "ctrl+c")
        assert stage.app.is_running
        assert "\nhi" not in stage.screen
        await stage.press("ctrl+c")
        assert not stage.app.is_running

    play(scene)


def test_the_lines_of_messages_that_are_gone_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_timeline, "MAX_ITEMS", 100)
    monkeypatch.setattr(tui_timeline, "_OTHERS", 10)

    async def scene(stage: Stage) -> None:
        for first in range(1, 400, 20):
            await stage.hear(*(Message("bob", f"line {number}", number) for number in range(first, first + 20)))
        shown = stage.app.query_one(Timeline)
        assert len(shown._cache) <= 100 + 100 // 10 + 10

    play(scene)


@pytest.fixture
def wrapped(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The items that the timeline has wrapped, in order."""
    items: list[Any] = []

    def item_lines(item: Any, *more: Any) -> Any:
        items.append(item)
        return view.item_lines(item, *more)

    monkeypatch.setattr(tui_timeline, "item_lines", item_lines)
    return items


def test_a_long_room_that_is_shown_again_is_not_wrapped_again(wrapped: list[Any]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(*(Message("bob", f"line {number}", number) for number in range(1_500)))
        await stage.type("/create garden")
        wrapped.clear()
        await stage.press("ctrl+n")
        await stage.press("ctrl+n")
        await stage.press("ctrl+n")
        assert "line 1499" in stage.screen
        assert len(wrapped) < 10

    play(scene)


@pytest.mark.parametrize("pages", [0, 3, 60])
def test_a_resized_long_room_is_shown_before_all_of_it_is_wrapped(
    wrapped: list[Any], monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(*(Message("bob", f"line {number} is rather long " * 4, number) for number in range(1_500)))
        timeline = stage.app.query_one(Timeline)
        for _ in range(pages):
            timeline.page(-1)
        await stage.settle()
        first = timeline._first_item()
        wrapped.clear()
        monkeypatch.setattr(tui_timeline, "MORE_S", 3_600.0)
        await stage.pilot.resize_terminal(60, 20)
        await stage.pilot.pause()
        assert not timeline.is_whole
        assert len(wrapped) <= 2 * tui_timeline.AT_ONCE + 20 * pages
        if not pages:
            assert "line 1499" in stage.screen
        monkeypatch.undo()
        timeline._lay_out_more()
        await stage.settle()
        if pages:
            assert first is not None
            assert timeline._first_item()[0] is first[0]  # type: ignore[index]
        else:
            assert timeline.lines_below == 0

    play(scene)


def test_a_host_is_asked_before_the_room_closes_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob", host="alice"))
        for leave in ("ctrl+c", "ctrl+d"):
            await stage.press(leave)
            assert "You are the host of den" in stage.screen
            await stage.press("escape")
            assert "You are the host" not in stage.screen
            assert stage.app.is_running
        monkeypatch.setattr(questions, "SEEN_S", 0.0)
        await stage.type("/leave")
        await stage.press("ctrl+c")
        assert stage.den.left
        assert not stage.app.is_running

    play(scene, is_host=True)


def test_a_host_alone_leaves_without_a_question() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", host="alice"))
        await stage.press("ctrl+d")
        assert stage.den.left

    play(scene, is_host=True)


def test_a_locked_room_asks_for_its_password_which_is_neither_shown_nor_kept() -> None:
    async def scene(stage: Stage) -> None:
        stage.refuse["vault"] = [WrongPassword("wrong password for vault"), WrongPassword("wrong password for vault")]
        await stage.type("/join vault")
        assert "Password of vault" in stage.screen
        await stage.type("sun")
        assert "Wrong password. Password of vault" in stage.screen
        await stage.type("moon")
        assert stage.passwords == [None, "sun", "moon"]
        assert "You are in vault" in stage.screen
        assert stage.app.state.shown == "vault"
        assert "moon" not in stage.screen
        await stage.press("up")
        assert "\n/join vault" in stage.screen
        assert all("moon" not in line for line in stage.history.get_strings())

    play(scene)


def test_keys_that_come_at_once_correct_a_password_in_their_order() -> None:
    async def scene(stage: Stage) -> None:
        stage.refuse["vault"] = [WrongPassword("wrong password for vault")]
        await stage.type("/join vault")
        await stage.press_at_once("s", "backspace", "m", "n", "left", "o", "o", "enter")
        assert stage.passwords == [None, "moon"]

    play(scene)


def test_escape_gives_up_a_locked_room() -> None:
    async def scene(stage: Stage) -> None:
        stage.refuse["vault"] = [WrongPassword("wrong password for vault")]
        await stage.type("/join vault")
        await stage.press("escape")
        assert list(stage.chats) == ["den"]
        assert "Password" not in stage.screen
        assert "You have not entered vault." in stage.screen

    play(scene)


def test_a_room_that_is_not_there_is_one_sentence() -> None:
    async def scene(stage: Stage) -> None:
        stage.refuse["nowhere"] = [tsudoi.RoomNotFound("there is no room called nowhere")]
        await stage.type("/join nowhere")
        assert "nowhere というルームはありません" in stage.screen.replace("\n", "")

    play(scene, (120, 20), language="ja")


def test_a_room_is_entered_once_although_it_is_asked_for_twice() -> None:
    async def scene(stage: Stage) -> None:
        let_in = asyncio.Event()
        connect = stage.app.sessions._connect

        async def slowly(room: str, **options: Any) -> Any:
            await let_in.wait()
            return await connect(room, **options)

        stage.app.sessions._connect = slowly
        await stage.type("/join カ\u3099ーデン")
        await stage.type("/join ガーデン")
        let_in.set()
        await stage.settle()
        assert list(stage.chats) == ["den", "ガーデン"]
        assert stage.passwords == [None]
        await stage.type("/go カ\u3099ーデン")
        assert stage.app.state.shown == "ガーデン"

    play(scene)


def test_drafts_stay_with_their_rooms() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/join garden")
        await stage.press("d", "r", "a", "f", "t", "ctrl+p")
        assert stage.app.state.shown == "den"
        assert "draft" not in stage.screen
        await stage.press("alt+2")
        assert "\ndraft" in stage.screen
        await stage.press("ctrl+c")
        await stage.type("/join attic")
        assert stage.app.state.shown == "attic"
        await stage.press("alt+2")
        assert stage.app.state.shown == "garden"
        assert "draft" not in stage.screen

    play(scene)


def test_other_rooms_show_what_is_new_and_alt_a_goes_there() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/join garden")
        await stage.hear(Message("bob", "psst", 8), Message("bob", "alice: tea?", 9))
        assert "1:den @1 +2" in stage.screen
        await stage.press("alt+a")
        assert "1:den 2:garden" in stage.screen
        assert stage.screen.index("new") < stage.screen.index("psst")

    play(scene)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_click_on_a_room_shows_it(columns: int) -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/create garden")
        row, line = next((at, line) for at, line in enumerate(stage.screen.splitlines()) if at and "den" in line)
        await stage.pilot.click(offset=(line.index("den"), row))
        await stage.settle()
        assert stage.app.state.shown == "den"

    play(scene, (columns, 20))


def test_tab_completes_names_with_spaces() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob b", "bobby"))
        await stage.press("b", "o", "tab")
        assert "\nbob b:" in stage.screen
        await stage.press("tab")
        assert "\nbobby:" in stage.screen
        await stage.press("ctrl+c")
        await stage.pilot.press("slash", "m", "s", "g", "space", "b", "tab")
        await stage.press("h", "i", "enter")
        assert stage.den.said[-1] == '/msg "bob b" hi'

    play(scene)


def test_scrolling_up_loads_older_lines_once_and_stays_in_place() -> None:
    async def scene(stage: Stage) -> None:
        old = tuple(tsudoi.Past("bob", f"old {n}", 100 + n, 1_795_000_000_000 + n, False) for n in range(30))
        await stage.hear(Listed("history", old[10:], 20, 1, 1, ""))
        await stage.hear(*(Message("bob", f"line {n}", 200 + n) for n in range(30)))
        for _ in range(5):
            await stage.press("pageup")
        assert stage.den.said.count("/history 50 110") == 1
        top = next(line for line in stage.screen.splitlines() if "old 10" in line)
        await stage.hear(Listed("history", old, 30, 1, 1, ""))
        assert top in stage.screen
        assert [item.offset for item in stage.app.state.rooms[0].items if item.offset] == [
            *range(100, 130),
            *range(200, 230),
        ]
        await stage.press("pageup")
        assert "old 5" in stage.screen
        assert "newer lines below: Alt-End" in stage.screen
        await stage.press("alt+end")
        assert "line 29" in stage.screen

    play(scene)


def test_the_oldest_line_is_told_to_be_the_first_that_the_server_keeps() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(Listed("history", (), 0, 1, 1, ""))
        await stage.hear(*(Message("bob", f"line {n}", 5 + n) for n in range(30)))
        for _ in range(5):
            await stage.press("pageup")
        await stage.hear(tsudoi.Answered("no-history", "", None, "?"))
        await stage.press("pageup")
        assert "This is the beginning of what the server keeps." in stage.screen

    play(scene, (100, 20))


def test_keys_that_come_at_once_are_for_the_room_that_was_shown_when_they_were_pressed() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/join garden")
        await stage.press_at_once("h", "i", "enter", "alt+1", "x", "y", "alt+2", "z")
        assert stage.chats["garden"].said[-1] == "hi"
        assert "hi" not in stage.den.said
        assert stage.screen.splitlines()[-2] == "z"
        await stage.press("ctrl+p")
        assert stage.screen.splitlines()[-2] == "xy"
        await stage.press("ctrl+c")
        await stage.press_at_once("ctrl+d", "alt+2")
        assert [room.name for room in stage.app.state.rooms] == ["garden"]

    play(scene)


def test_a_rooms_name_may_look_like_markup() -> None:
    async def scene(stage: Stage) -> None:
        for room in ("[/b]", "[red]x[/red]", "[@click=app.exit]here"):
            await stage.type(f"/create {room}")
            assert f"Message {room}" in stage.screen
            assert f"You are in {room}" in stage.screen or f"{room} is open" in stage.screen

    play(scene)


def test_a_user_who_enters_the_room_that_is_shown_is_told_to_be_in_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/join den")
        assert "You are in den already." in stage.screen

    play(scene)


def test_alt_u_goes_to_where_the_new_lines_begin() -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("/join garden")
        await stage.hear(*(Message("bob", f"<{n}>", 5 + n) for n in range(60)))
        await stage.press("alt+1")
        assert "<59>" in stage.screen
        assert "new lines above: Alt-U" in stage.screen
        await stage.press("alt+u")
        rows = stage.screen.splitlines()
        assert " new " in rows[2]
        assert "<0>" in rows[3]
        assert "<59>" not in stage.screen
        await stage.hear(Message("bob", "<60>", 65))
        assert "<0>" in stage.screen.splitlines()[3]
        await stage.press("alt+end")
        assert "<60>" in stage.screen
        assert "Alt-U" not in stage.screen  # it was seen

    play(scene)


def test_the_help_begins_at_its_head_also_for_a_user_who_has_scrolled_up() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(*(Message("bob", f"line {n}", 5 + n) for n in range(60)))
        for key in ("f1", "pageup"):
            await stage.press(key)
        await stage.press("alt+end", "pageup", "pageup", "f1")
        assert "Keys and commands of this client" in stage.screen.splitlines()[1]
        assert "newer lines below: Alt-End" in stage.screen
        await stage.type("hello")
        assert "hello" in stage.screen

    play(scene)


def test_old_lines_of_which_a_part_is_lost_are_asked_for_again_until_all_are_there() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.answer_s = 0.01
        old = tuple(tsudoi.Past("bob", f"old {n}", 100 + n, 1_795_000_000_000 + n, False) for n in range(4))
        await stage.type("/history 4")
        await stage.hear(Listed("history", old[2:], 4, 1, 1, ""))
        async with asyncio.timeout(10):
            while stage.den.said.count("/history 4") < 2:
                await stage.pilot.pause(0.01)
        await stage.hear(Listed("history", old[:2], 4, 1, 1, ""), Listed("history", old[2:], 4, 1, 1, ""))
        assert [item.offset for item in stage.app.state.rooms[0].items if item.offset] == [100, 101, 102, 103]
        assert stage.app.state.rooms[0].awaited is None

    play(scene)


def test_a_question_that_waits_for_the_server_is_not_asked_again_until_it_has_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.answer_s = 0.01
        await stage.type("/history 4")
        for _ in range(20):
            await stage.pilot.pause(0.01)
        assert stage.den.said.count("/history 4") == 1
        stage.den.commands[-1].outcome.set_result(None)
        async with asyncio.timeout(10):
            while stage.den.said.count("/history 4") < 2:
                await stage.pilot.pause(0.01)

    play(scene, chat=FakeChatWithReceipts)


def test_a_room_that_closes_stays_to_be_read() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(Message("bob", "bye", 3), RoomClosed("ホストのbobがルームを退出しました．"), None)
        assert "The host bob has left: the room is closed." in stage.screen
        assert "bye" in stage.screen
        stage.den.closed = True
        await stage.type("hello?")
        assert "You are not in den any more." in stage.screen
        await stage.type("/join")
        assert not stage.app.state.rooms[0].ended
        assert "bye" in stage.screen

    play(scene, (100, 20))


def test_a_user_who_was_removed_comes_back_with_the_name_that_it_has_taken() -> None:
    async def scene(stage: Stage) -> None:
        async def come_back() -> None:
            stage.den.closed = True
            await stage.hear(Kicked("You were removed."))
            await stage.type("/join")

        stage.den.name = "alice 2"  # of a name that is taken, the server makes another
        stage.app.sessions.add(stage.den, is_host=False)
        await come_back()
        assert "You are in den, alice." in stage.screen
        stage.den.name = "ally"
        await stage.hear(Renamed("alice", "ally", 4, "alice is ally now."))
        await come_back()
        assert "You are in den, ally." in stage.screen
        stage.den.name = "ally 2"  # the server had lost the membership
        await stage.hear(Rejoined("ally 2"))
        await come_back()
        assert stage.den.name == "ally"

    play(scene)


def test_the_roster_follows() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob", host="bob"), Joined("carol", 4, "carol has joined."))
        assert "3 here" in stage.screen
        assert "*bob" in stage.screen
        assert " carol" in stage.screen
        await stage.press("f3")
        assert "3 here" not in stage.screen

    play(scene)


def test_a_quiet_room_is_shown_also_where_the_start_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    compose = Screen._compose

    async def compose_late(screen: Screen[None]) -> None:
        await asyncio.sleep(0.3)
        await compose(screen)

    async def scene(stage: Stage) -> None:
        assert "You are in den" in stage.screen

    monkeypatch.setattr(Screen, "_compose", compose_late)
    play(scene)


def test_the_screen_is_drawn_also_where_timers_begin_late(monkeypatch: pytest.MonkeyPatch) -> None:
    late_s = 0.0

    def clock() -> float:
        """Let a second pass before each look that a timer that fires once has at the clock."""
        nonlocal late_s
        timer = sys._getframe(1).f_locals.get("self")
        if isinstance(timer, Timer) and timer._repeat == 0:
            late_s += 1
        return time.monotonic() + late_s

    async def scene(stage: Stage) -> None:
        monkeypatch.setattr("textual._time.get_time", clock)
        for number in range(3):
            stage.den.hear(Message("bob", f"line {number}"))
            async with asyncio.timeout(10):
                while f"line {number}" not in stage.screen:
                    await stage.pilot.pause(0.01)

    play(scene)


@pytest.mark.parametrize("text", ["हिन्दी", "☰ menu", "🫠" * 40])
def test_the_border_beside_a_text_of_disputed_width_is_put_in_its_column(text: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob"), Message("bob", text, 3))
        update: Any = stage.app.screen._compositor.render_update(full=True)
        row = next(row for row in update.render_segments(stage.app.console).splitlines() if text[:20] in row)
        assert re.search(r"\x1b\[63G(\x1b\[[0-9;]*m)*│", row)

    play(scene)


def test_what_is_marked_has_one_colour() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob"), Message("bob", "this is marked", 3), Message("bob", "last", 4))
        timeline = stage.app.query_one(Timeline)
        at = timeline._items[-2].start
        stage.app.screen.selections = {timeline: Selection(Offset(0, at), Offset(23, at))}
        await stage.settle()
        row = timeline.render_line(timeline.size.height - 2)
        marked = [segment for segment in row if segment.style is not None and segment.style.reverse]
        assert [segment.text for segment in marked] == [row.text[:23]]
        assert row.cell_length == timeline.size.width

    play(scene)


def test_resizing_folds_the_panels() -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob"))
        for width, has_people, has_rooms in (
            (40, False, False),
            (80, True, False),
            (200, True, True),
            (40, False, False),
        ):
            await stage.pilot.resize_terminal(width, 20)
            await stage.settle()
            assert ("2 here" in stage.screen) == has_people
            assert ("\n1 den" in stage.screen) == has_rooms
            assert max(len(line) for line in stage.screen.splitlines()) <= width

    play(scene)


def test_a_whisper_rings_when_the_window_has_no_focus() -> None:
    async def scene(stage: Stage) -> None:
        rung: list[object] = []
        carry_out = stage.app._carry_out
        stage.app._carry_out = lambda command: (rung.append(command), carry_out(command))[1]  # type: ignore[method-assign, func-returns-value]
        stage.app.post_message(AppBlur())
        await stage.hear(Private("bob", "alice", "psst", 4))
        assert [type(command).__name__ for command in rung] == ["Notify"]

    play(scene)


def test_the_help_names_all_keys() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("f1")
        for key, _ in words.HELP:
            assert key in stage.screen

    play(scene, (120, 40), chat=FakeChat)


def test_no_colour_is_shown_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene(stage: Stage) -> None:
        await stage.hear(people("alice", "bob b"), Message("bob b", "こんにちは", 7), tsudoi.ServerAway("?"))
        assert "こんにちは" in stage.screen
        styles = [part.style for row in stage.app.screen._compositor.render_strips() for part in row]
        found = [colour for style in styles if style for colour in (style.color, style.bgcolor)]
        assert all(colour is None or colour.is_default for colour in found)

    play(scene)


@pytest.mark.parametrize("size", [(10, 24), (40, 3), (12, 4)])
def test_a_tiny_screen_shows_the_last_line_and_what_is_typed(size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.hear(*(Message("bob", f"n{number}", number) for number in range(7, 30)))
        await stage.press("h", "i")
        rows = stage.screen.splitlines()
        assert any(row.endswith("n29") for row in rows)
        assert any(row.rstrip() == "hi" for row in rows)
        assert "▆" not in stage.screen  # no scroll bar
        assert stage.app.screen.max_scroll_y == 0

    play(scene, size)


def test_lines_are_never_broken_for_a_width_that_the_timeline_has_only_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of lines of two columns would take a second, and be seen."""
    widths: list[int] = []
    lay_out = Timeline._lay_out

    def note(timeline: Timeline, *how: Any) -> None:
        widths.append(timeline.size.width)
        lay_out(timeline, *how)

    async def scene(stage: Stage) -> None:
        monkeypatch.setattr(Timeline, "_lay_out", note)
        for columns in (24, 120, 40, 200, 30, 110):
            await stage.pilot.resize_terminal(columns, 20)
            await stage.settle()
        assert min(widths) >= 24

    play(scene)
