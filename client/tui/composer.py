"""Where the user types: several lines, history, completion by Tab."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from ..state.completion import Completion
from .keys import act, is_text

_ENTER = frozenset({"enter", "ctrl+j", "newline"})
"""What was typed before the screen was there comes with line feeds."""
_NEW_LINE = frozenset({"alt+enter", "shift+enter", "ctrl+enter"})
_BINDINGS = (
    ("ctrl+b", "cursor_left"),
    ("ctrl+f", "cursor_right"),
    ("alt+b,alt+left", "cursor_word_left"),
    ("alt+f,alt+right", "cursor_word_right"),
    ("alt+d", "delete_word_right"),
    ("ctrl+underscore", "undo"),
)
"""As in shells; Textual has other keys for these actions too."""
_SEARCH: dict[str, int | None] = {
    **dict.fromkeys([*_ENTER, "up", "ctrl+r"], -1),
    "down": 1,
    **dict.fromkeys([*_NEW_LINE, "tab", "shift+tab"], 0),
    **dict.fromkeys(["escape", "ctrl+d"]),
}
"""The steps of `Searched` by the keys that do other things while a text is looked for."""
_CUTS = frozenset({"ctrl+w", "ctrl+backspace", "alt+backspace", "alt+d", "alt+delete", "ctrl+u", "ctrl+k"})
"""What these delete, Ctrl-Y inserts."""


class Composer(TextArea):
    """Edits the line to say."""

    class Scrolled(Message):
        """Other rows of the text are visible."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, show=False) for key, action in _BINDINGS]

    def __init__(
        self,
        earlier: list[str],
        complete: Callable[[str, str], Completion | None],
        submit: Callable[[str], None],
        leave: Callable[[bool], object],
        search: Callable[[str, int | None], None],
    ) -> None:
        """`earlier`: lines typed before, oldest first. `complete` gets the text before and behind the cursor.

        `submit` at Enter, and `leave` at Ctrl-D (False: this room) and Ctrl-C (True: all) on an empty line, are called
        at once: a message might come when another room is shown already. So is `search`, with the text to look for and
        a step of `Searched`.
        """
        super().__init__(id="composer", soft_wrap=True, compact=True, highlight_cursor_line=False)
        self.cursor_blink = False  # it would write to the terminal twice a second, for nothing
        self._earlier = earlier
        self._at = len(earlier)
        """The earlier line that is shown; one past the last: what is typed now."""
        self._typed = ""
        """What was typed before the user went to earlier lines."""
        self._complete = complete
        self._submit = submit
        self._leave = leave
        self._search = search
        self._draft: str | None = None
        """What was typed before a text is looked for; None: none is."""
        self._completion: Completion | None = None
        self._cut = ""

    @property
    def is_searching(self) -> bool:
        """Whether what is typed is a text to look for, and not to say."""
        return self._draft is not None

    def turn_search(self, is_on: bool) -> None:
        """Take a text to look for, or again one to say."""
        if is_on and self._draft is None:
            self._draft = self.text
            self.put("")
        elif not is_on and self._draft is not None:
            draft, self._draft = self._draft, None
            self.put(draft)

    def remember(self, line: str) -> None:
        """Add a line to those that Up brings back."""
        if line.strip() and (not self._earlier or self._earlier[-1] != line):
            self._earlier.append(line)
        self._at = len(self._earlier)

    def put(self, text: str) -> None:
        """Replace the text; the cursor is behind it."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def get_cursor_line_start_location(self, smart_home: bool = False) -> tuple[int, int]:
        """Return where the line begins, as in shells: Textual's line is the row that it is wrapped to."""
        return self.cursor_location[0], 0

    def get_cursor_line_end_location(self) -> tuple[int, int]:
        """Return where the line ends."""
        row, _ = self.cursor_location
        return row, len(self.document.get_line(row))

    def on_resize(self) -> None:
        """Tell that the text may have other rows now: Textual wraps it anew without a message."""
        self.post_message(self.Changed(self))

    @property
    def hidden(self) -> tuple[int, int]:
        """How many rows of the text are above those that are visible, and how many below."""
        above = round(self.scroll_offset.y)
        return above, max(self.wrapped_document.height - above - self.size.height, 0)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    @property
    def _row(self) -> int:
        """The cursor's row on the screen: a long line has several."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    async def _on_key(self, event: Key) -> None:
        key = event.key
        if key not in ("tab", "shift+tab"):
            self._completion = None
        handled = True
        if self.is_searching and key in _SEARCH:
            self._search(self.text, _SEARCH[key])
        elif key == "ctrl+r":
            self._search("", 0)
        elif key in _ENTER:
            text = self.text
            self.put("")
            self.remember(text)
            self._submit(text)
        elif key in _NEW_LINE:
            self.insert("\n")
        elif key in ("tab", "shift+tab"):
            self._tab(-1 if key == "shift+tab" else 1)
        elif key == "ctrl+c":
            if selected := self.screen.get_selected_text() or self.selected_text:
                self.app.copy_to_clipboard(selected)
                self.screen.clear_selection()
                self.move_cursor(self.cursor_location)
            elif self.is_searching:
                self._search(self.text, None)
            elif self.text:
                self.put("")
                self._at = len(self._earlier)
            else:
                self._leave(True)
        elif key == "ctrl+d" and not self.text:
            self._leave(False)
        elif key == "up" and self._row == 0:
            self._recall(-1)
        elif key == "down" and self._row == self.wrapped_document.height - 1:
            self._recall(1)
        elif key.startswith("alt+") and event.is_printable:
            pass  # else Alt-X would write an x
        elif is_text(event) and not event.is_printable:
            self.replace(event.character or "", *self.selection, maintain_selection_offset=False)
        elif key in _CUTS:
            await self._delete(key)
        elif key == "ctrl+y":
            self.replace(self._cut, *self.selection, maintain_selection_offset=False)
        else:
            handled = await act(self, key)
        if handled:
            event.stop()
            event.prevent_default()

    async def _delete(self, key: str) -> None:
        """Delete what a key deletes, and keep it for Ctrl-Y."""
        before = self.text
        await act(self, key)
        if (size := len(before) - len(self.text)) > 0:
            at = len(self.get_text_range((0, 0), self.cursor_location))
            self._cut = before[at : at + size]

    def _recall(self, step: int) -> None:
        at = self._at + step
        if not 0 <= at <= len(self._earlier):
            return
        if self._at == len(self._earlier):
            self._typed = self.text
        self._at = at
        self.put(self._typed if at == len(self._earlier) else self._earlier[at])

    def _tab(self, step: int) -> None:
        if self._completion is not None:
            self._completion = self._completion.next(step)
        else:
            before = self.get_text_range((0, 0), self.cursor_location)
            behind = self.get_text_range(self.cursor_location, self.document.end)
            self._completion = self._complete(before, behind)
        if self._completion is not None:
            self.load_text(self._completion.text + self._completion.tail)
            lines = self._completion.text.split("\n")
            self.move_cursor((len(lines) - 1, len(lines[-1])))
