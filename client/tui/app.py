"""The whole screen: hands events to the state, carries out its commands, and shows its rows."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from prompt_toolkit.history import History
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import AppBlur, AppFocus, Resize
from textual.geometry import Offset, Size
from textual.widget import Widget
from textual.widgets import Input, TextArea

import tsudoi
from tsudoi.protocol.client.slash_commands import SLASHES
from tsudoi.protocol.client.words import Language

from .. import words
from ..error_words import explain, is_about_password
from ..job_control import suspend
from ..state import completion, roster, view
from ..state.columns import fit
from ..state.event_words import leaving_question
from ..state.events import (
    Ask,
    Asked,
    BannerSeen,
    Closed,
    Command,
    Event,
    FocusChanged,
    LookedAway,
    Notified,
    Notify,
    PanelToggled,
    ScrolledToTop,
    Searched,
    SendLater,
    Shown,
)
from ..state.model import End, Note, Room, State, Tone
from ..state.reduce import reduce
from ..state.typed import Enter, Go, Leave, Nameless, Quit, Say, ShowHelp, understand
from .attention import sequence
from .composer import Composer
from .driver import PatientDriver, hang_up
from .questions import AskPassword, Confirm
from .rows import Rows
from .sessions import Connect, Sessions
from .timeline import Timeline

FRAME_S = 0.03
"""At least so much time is between two drawings: a busy room is not drawn once a line."""
BANNER_S = 8.0
"""How long a good banner stands."""
ANSWER_S = 2.0
"""After which the answer to a question for old lines is looked for."""
TERMINAL_CHECK_S = 1.0
LISTS = ("who", "rooms", "bans", "history", "help")
"""Commands of the server that are answered with a list."""
HINTS = {
    End.NONE: words.WRITE,
    End.OVER: words.ENDED_HINT,
    End.CLOSED: words.CLOSED_HINT,
    End.BANNED: words.BANNED_HINT,
}
"""What stands in the empty composer."""


class ChatApp(App[None]):
    """The terminal client."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", priority=True),
        Binding("f2", "panel('rooms')", priority=True),
        Binding("f3", "panel('people')", priority=True),
        Binding("ctrl+n", "turn(1)", priority=True),
        Binding("ctrl+p", "turn(-1)", priority=True),
        Binding("alt+a", "unread", priority=True),
        Binding("alt+u", "first_unread", priority=True),
        Binding("pageup", "page(-1)", priority=True),
        Binding("pagedown", "page(1)", priority=True),
        Binding("ctrl+end,alt+end", "end", priority=True),
        Binding("ctrl+l", "redraw", priority=True),
        Binding("ctrl+q", "nothing", priority=True),
        Binding("ctrl+z", "suspend", priority=True),
        *(Binding(f"alt+{number}", f"go({number})", priority=True) for number in range(1, 10)),
    ]

    def __init__(
        self,
        connect: Connect,
        wished: str,
        server: str,
        language: Language,
        history: History,
        now: Callable[[], datetime],
        first: tuple[tsudoi.ChatClient, bool],
        driver: type[Any] | None = PatientDriver,
    ) -> None:
        """`wished`: the user's name; `first`: the client that has entered a room, and whether it is host."""
        self._confirm: Confirm | None = None
        """The question whether to leave, while it stands."""
        # Told here, before the theme is: else NO_COLOR would make the terminal's colours black.
        super().__init__(driver_class=driver, ansi_color=True)
        self.theme = "ansi-dark"
        # Names of the screen's size for app.tcss.
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (30, "-broad")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (14, "-high")]
        self.state = State(language=language, server=server)
        self._language = language
        self._now = now
        self._first = first
        self._history = history
        self.answer_s = ANSWER_S
        self.sessions = Sessions(connect, wished, self.dispatch, now, language)
        self._is_drawing_soon = False
        self._drawn_at = 0.0
        self._entering: set[str] = set()
        """Rooms that are being entered."""

    # --- the screen ---

    @property
    def focused(self) -> Widget | None:
        """What gets the keys, for Textual: the composer, also while the user is asked whether to leave."""
        is_asked = self._confirm is not None and self.screen is self._confirm
        return self.screen_stack[0].focused if is_asked else super().focused

    @property
    def cursor_position(self) -> Offset:
        """Where Textual puts the terminal's cursor at each drawing: where the next character will stand.

        An input method shows there what is being typed. Textual itself sets it only when the cursor moves in its text,
        not when the text moves on the screen.
        """
        if self.is_running and self.screen_stack and isinstance(self.focused, TextArea | Input):
            return self.focused.cursor_screen_offset
        return self._cursor_position

    @cursor_position.setter
    def cursor_position(self, position: Offset) -> None:
        self._cursor_position = position

    def compose(self) -> ComposeResult:
        yield Rows("title")
        with Horizontal(id="middle"):
            yield Rows("rooms")
            with Vertical(id="centre"):
                yield Rows("bar")
                yield Timeline()
                yield Rows("hint")
            yield Rows("people")
        yield Rows("banner")
        earlier = list(self._history.load_history_strings())[::-1]
        yield Composer(earlier, self._complete, self._submit, self._leave_by_key, self._search)
        yield Rows("keys")

    def on_mount(self) -> None:
        self.screen_stack[0].query_one(Composer).focus()
        self.set_interval(TERMINAL_CHECK_S, self._check_terminal)
        self.sessions.add(*self._first)
        self._draw()

    def dispatch(self, event: Event) -> None:
        """Take an event into the state; the screen follows soon."""
        before = self.state
        self.state, commands = reduce(self.state, event)
        for command in commands:
            self._carry_out(command)
        if before.search is not self.state.search and self.is_running:
            self._show_search()
        if before.shown != self.state.shown and self.is_running:
            self._change_draft(before.shown)
        self._draw_soon()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Ask(room, line):
                self.dispatch(Asked(room, line.split()[0].removeprefix("/"), by_user=False, line=line))
                self.sessions.ask(room, line)
            case Notify(title, text, is_away):
                if self._driver is not None and not self.is_headless:
                    self._driver.write(sequence(title, text, is_away))
            case SendLater(event):
                wait_s = BANNER_S if isinstance(event, BannerSeen) else self.answer_s
                self._after(wait_s, lambda: self.dispatch(event))

    def _after(self, wait_s: float, do: Callable[[], None]) -> None:
        """Call back after a time.

        Textual's `set_timer` never calls back if the time is over when its task looks at the clock for the second time:
        with a wait of microseconds, or on a busy machine.
        """
        asyncio.get_running_loop().call_later(wait_s, self.call_later, do)

    def _draw_soon(self) -> None:
        if self._is_drawing_soon or not self.is_running:
            return
        self._is_drawing_soon = True
        wait_s = max(self._drawn_at + FRAME_S - asyncio.get_running_loop().time(), 0)
        self._after(wait_s, self._draw)

    def _draw(self) -> None:
        self._is_drawing_soon = False
        self._drawn_at = asyncio.get_running_loop().time()
        if not self.is_running:
            return  # it ends, and its widgets go one by one
        if len(self.screen_stack) == 0 or not self.screen_stack[0].is_mounted:
            self._draw_soon()  # at the start; in a quiet room nothing else comes that would draw
            return
        state, room, columns = self.state, self.state.current, self.size.width
        screen = self.screen_stack[0]
        panels = self._layout(self.size)

        def rows(id: str) -> Rows:
            return screen.query_one(f"#{id}", Rows)

        rows("title").display, rows("keys").display = panels.title, panels.keys
        rows("title").show([view.title(room, columns, self._language)])
        rows("rooms").display = panels.rooms
        rows("rooms").show(view.room_rows(state, view.ROOM_COLUMNS - 1))
        has_bar = not panels.rooms and len(state.rooms) > 1
        rows("bar").display = has_bar
        side = (view.ROOM_COLUMNS if panels.rooms else 0) + (view.PEOPLE_COLUMNS if panels.people else 0)
        rows("bar").show([view.room_bar(state, columns - side)])
        rows("people").display = panels.people
        height = rows("people").size.height or self.size.height
        rows("people").show(view.people_rows(room, view.PEOPLE_COLUMNS - 1, height, self._language))
        self._draw_banner(rows("banner"), room, columns, panels.composer)
        self._draw_keys()
        screen.query_one(Timeline).show(room, self._language)
        self._draw_hint()
        composer = screen.query_one(Composer)
        self._fit_composer(composer)
        if room is not None:
            # Content, because Textual takes markup in a text for its own: a room may be called [/b]. Cut here, because
            # Textual breaks a long one into lines, and shows the first.
            hints = words.SEARCH_HINT if composer.is_searching else HINTS[room.end]
            hint = hints.text(self._language, room=room.name)
            composer.placeholder = Content(fit(hint, columns).rstrip())

    def _draw_banner(self, banner: Rows, room: Room | None, columns: int, height: int) -> None:
        text = room.banner if room else ""
        banner.display = bool(text)
        if room is not None and text:
            lines = view.banner(room, columns, height)
            banner.styles.height = len(lines)
            banner.show(lines)

    def _draw_keys(self) -> None:
        state, columns = self.state, self.size.width
        if (room := state.current) is not None and state.search is not None:
            line = view.search_keys(room, state.search, columns, self._language)
        else:
            hidden = self.screen_stack[0].query_one(Composer).hidden
            line = view.keys(columns, self._language, len(state.rooms), *hidden)
        self.screen_stack[0].query_one("#keys", Rows).show([line])

    def _draw_hint(self) -> None:
        timeline = self.screen_stack[0].query_one(Timeline)
        hint = self.screen_stack[0].query_one("#hint", Rows)
        if (search := self.state.search) is not None:
            hint.display = True
            hint.show([view.search_row(search, timeline.size.width, self._language)])
            return
        below, above = timeline.lines_below, timeline.new_above()
        hint.display = below + above > 0 and self.size.height >= view.MIN_TITLE
        what = words.NEWER_BELOW if below else words.NEW_ABOVE
        hint.show([((what.text(self._language, count=below or above), "hint"),)])

    def _layout(self, size: Size) -> view.Layout:
        """Return the panels for which there is room; the screen gets its new `size` a little later.

        They go before it shrinks, and come after it has grown: else all lines of the room would be broken for a
        timeline that has next to no width.
        """
        laid_out = self.screen_stack[0].query_one("#middle").size.width or size.width
        return view.layout(self.state, min(size.width, laid_out), size.height)

    def on_resize(self, event: Resize) -> None:
        if self.is_running and self.screen_stack and self.screen_stack[0].is_mounted:
            panels = self._layout(event.size)
            for id, is_there in ("rooms", panels.rooms), ("people", panels.people):
                self.screen_stack[0].query_one(f"#{id}").display &= is_there
        self._draw_soon()

    def on_timeline_resized(self) -> None:
        self._draw_soon()

    def on_timeline_moved(self) -> None:
        self._draw_hint()

    def on_timeline_at_top(self) -> None:
        self.dispatch(ScrolledToTop(self.state.shown, self._now()))

    def on_app_focus(self, event: AppFocus) -> None:
        self.dispatch(FocusChanged(True))

    def on_app_blur(self, event: AppBlur) -> None:
        self.dispatch(FocusChanged(False))

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Let the composer grow. One that types on does not leave."""
        if event.text_area.text:
            self._stay()
        if self.screen_stack[0].query_one(Composer).is_searching:
            self._search(event.text_area.text, 0)
        self._fit_composer(event.text_area)

    def on_composer_scrolled(self) -> None:
        self._draw_keys()

    def _fit_composer(self, composer: TextArea) -> None:
        most = view.layout(self.state, *self.size).composer
        composer.styles.height = min(max(composer.wrapped_document.height, 1), most)

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        if event.rows.id == "rooms" and event.row < len(self.state.rooms):
            self._show(self.state.rooms[event.row].name)
        elif event.rows.id == "bar" and (room := view.room_in_bar(self.state, event.rows.size.width, event.column)):
            self._show(room)

    def stop_reading(self) -> None:
        """Let the thread that reads keys end, also if Textual was interrupted before it did so."""
        if isinstance(self._driver, PatientDriver):
            self._driver.exit_event.set()

    def _check_terminal(self) -> None:
        if isinstance(self._driver, PatientDriver) and self._driver.is_hung_up():
            hang_up()

    # --- rooms ---

    def _show(self, name: str) -> None:
        if name != self.state.shown:
            self.dispatch(Shown(name))

    def _change_draft(self, before: str) -> None:
        composer = self.screen_stack[0].query_one(Composer)
        self.state, _ = reduce(self.state, LookedAway(before, composer.text))
        room = self.state.current
        composer.put(room.draft if room else "")

    def _show_when_typed(self, choose: Callable[[tuple[Room, ...]], Room | None]) -> None:
        """Show another of the rooms, if there are any, behind the keys that were pressed before.

        These may still wait for the composer.
        """

        def show() -> None:
            if self.state.rooms and (room := choose(self.state.rooms)) is not None:
                self._show(room.name)

        self.screen_stack[0].query_one(Composer).call_later(show)

    def action_turn(self, step: int) -> None:
        """Show the next room, or the one before."""
        self._show_when_typed(
            lambda rooms: rooms[([room.name for room in rooms].index(self.state.shown) + step) % len(rooms)]
        )

    def action_go(self, number: int) -> None:
        self._show_when_typed(lambda rooms: rooms[number - 1] if number <= len(rooms) else None)

    def action_unread(self) -> None:
        """Show the next room with something new; mentions first."""
        self._show_when_typed(
            lambda rooms: max(
                (room for room in rooms if room.unread), key=lambda room: bool(room.mentions), default=None
            )
        )

    def action_first_unread(self) -> None:
        """Scroll to where the new lines begin."""
        room = self.state.current
        if room is not None and room.first_unread is not None:
            self.screen_stack[0].query_one(Timeline).reveal(room.first_unread)

    def _search(self, text: str, step: int | None) -> None:
        self.dispatch(Searched(text, step, self._now()))

    def _show_search(self) -> None:
        search, screen = self.state.search, self.screen_stack[0]
        screen.query_one(Composer).turn_search(search is not None)
        screen.query_one(Timeline).mark(search.found if search else None)

    def action_page(self, direction: int) -> None:
        self.screen_stack[0].query_one(Timeline).page(direction)

    def action_end(self) -> None:
        self.screen_stack[0].query_one(Timeline).end()

    def action_panel(self, panel: str) -> None:
        self.dispatch(PanelToggled(panel, getattr(view.layout(self.state, *self.size), panel)))

    def action_redraw(self) -> None:
        """Draw all anew, after another program has written to the terminal."""
        self.refresh(layout=True)

    def action_nothing(self) -> None:
        """Take a key that Textual would end at."""

    def action_suspend(self) -> None:
        if not self.is_headless:
            suspend()

    def action_help(self) -> None:
        """List the keys, and scroll to the first: they may be more than the screen has lines for."""
        self._tell(head := words.HELP_HEAD.text(self._language))
        for key, does in words.HELP:
            self._tell(f"{key}  {does.text(self._language)}", Tone.TABLE)
        waiting, means = words.MARK_WAITING.text(self._language), words.MARK_WAITING_MEANS.text(self._language)
        self._tell(f"[{waiting}]  {means}", Tone.TABLE)
        items = self.state.current.items if self.state.current else []
        if first := next((item for item in reversed(items) if isinstance(item, Note) and item.text == head), None):
            self.screen_stack[0].query_one(Timeline).reveal(first)

    # --- what the user types ---

    def _complete(self, before: str, behind: str) -> completion.Completion | None:
        room = self.state.current
        names = roster.by_last_word(room) if room else []
        open_rooms = [each.name for each in self.state.rooms]
        return completion.complete(before, behind, names, [*open_rooms, *self.state.known_rooms])

    def _submit(self, text: str) -> None:
        """Do what the line says."""
        intent = understand(text, self.state.shown)
        if intent is None:
            return
        self._stay()
        self._history.store_string(text)
        self.screen_stack[0].query_one(Timeline).end()
        self._do(intent)

    def _do(self, intent: Say | Enter | Go | Leave | Quit | ShowHelp | Nameless) -> None:
        match intent:
            case Say(line):
                word = line.split()[0][1:].lower() if line.startswith(SLASHES) else ""
                if word in LISTS:
                    self.dispatch(Asked(self.state.shown, word, by_user=True, line=line))
                self.sessions.say(self.state.shown, line)
            case Enter(room, creates):
                self._enter(room, creates)
            case Go(room):
                self._go(room)
            case Leave():
                self._leave(self.state.current)
            case Quit():
                self._quit()
            case ShowHelp():
                self.action_help()
                if self.sessions.is_in(self.state.shown):
                    self.dispatch(Asked(self.state.shown, "help", by_user=True))
                    self.sessions.say(self.state.shown, "/help")
            case Nameless(command):
                self._tell(words.NAME_A_ROOM.text(self._language, command=command))

    def _go(self, room: str) -> None:
        if self.state.room(room) is not None:
            self._show(room)
        elif room.isdecimal() and 0 < int(room) <= len(self.state.rooms):
            self._show(self.state.rooms[int(room) - 1].name)
        else:
            self._tell(words.NO_SUCH_ROOM_OPEN.text(self._language, room=room))

    @work
    async def _enter(self, room: str, creates: bool) -> None:
        """Create or join a room; ask for a password where it is needed."""
        if self.sessions.is_in(room):
            if room == self.state.shown:
                self._tell(words.IN_ALREADY.text(self._language, room=room))
            self._show(room)
            return
        if room in self._entering:
            return
        self._entering.add(room)
        try:
            await self._enter_new(room, creates)
        finally:
            self._entering.discard(room)

    async def _enter_new(self, room: str, creates: bool) -> None:
        self._tell(words.ENTERING.text(self._language, room=room))
        password, question = None, words.PASSWORD_FOR
        while True:
            try:
                await self.sessions.enter(room, creates, password)
                return
            except tsudoi.WrongPassword as exc:
                if not is_about_password(exc):
                    self._tell(explain(exc, room, self.state.server, self._language), Tone.LOUD)
                    return
            except tsudoi.ClientError as exc:
                hint = None
                if isinstance(exc, tsudoi.RoomNotFound | tsudoi.RoomExists):
                    hint = words.CREATE_IT if isinstance(exc, tsudoi.RoomNotFound) else words.ENTER_IT
                why = explain(exc, room, self.state.server, self._language)
                between = "" if self._language == "ja" else " "
                self._tell(f"{why}{between}{hint.text(self._language, room=room)}" if hint else why, Tone.LOUD)
                return
            keys = words.PASSWORD_KEYS.text(self._language)
            password = await self.push_screen_wait(AskPassword(question.text(self._language, room=room), keys))
            question = words.PASSWORD_AGAIN
            if password is None:
                self._tell(words.NOT_ENTERED.text(self._language, room=room))
                return

    @work
    async def _leave(self, room: Room | None) -> None:
        if room is None:
            self._quit()
            return
        if not await self._may_leave(room):
            return
        await self.sessions.leave(room.name)
        self.dispatch(Closed(room.name))
        if not self.state.rooms:
            self.exit()

    @work
    async def _quit(self) -> None:
        for room in self.state.rooms:
            if not await self._may_leave(room):
                return
        self.exit()

    async def _may_leave(self, room: Room) -> bool:
        """Ask a host before its room closes for others."""
        if not (question := leaving_question(room, self._language)):
            return True
        if self._confirm is not None:  # a second Ctrl-C came before the question stood
            return False
        confirm = self._confirm = Confirm(question, words.LEAVING_KEYS.text(self._language))
        try:
            await self.push_screen(confirm)
            return await confirm.answer
        finally:
            self._confirm = None
            if self.is_running and self.screen is confirm:
                self.pop_screen()

    def _stay(self) -> None:
        """Answer no if the user is asked whether to leave."""
        if self._confirm is not None:
            self._confirm.action_no()

    def _leave_by_key(self, all_rooms: bool) -> None:
        """Leave the shown room, or all; while the user is asked whether to leave, a second time means yes."""
        if self._confirm is not None:
            self._confirm.yes()
        elif all_rooms:
            self._quit()
        else:
            self._leave(self.state.current)

    def _tell(self, text: str, tone: Tone = Tone.QUIET) -> None:
        self.dispatch(Notified(text, self._now(), tone=tone))
