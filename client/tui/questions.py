"""Questions that stand over the screen: shall a room be closed, what is its password."""

import asyncio
import math
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from ..state.columns import plain, wrap
from .colours import strip
from .keys import act, is_text

SEEN_S = 0.8
"""So long a question stands, with no yes before it, until yes counts: longer than a held key waits to be repeated."""


class Wrapped(Widget):
    """A text that is wrapped as in the timeline: Textual's own wrapping breaks Japanese at spaces alone."""

    def __init__(self, text: str, style: str = "text") -> None:
        super().__init__()
        self._text = plain(text)
        self._style = style

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(wrap(self._text, max(width, 8)))

    def render_line(self, y: int) -> Strip:
        lines = wrap(self._text, max(self.size.width, 8))
        return strip(((lines[y], self._style),) if y < len(lines) else (), self.size.width)


class Confirm(ModalScreen[None]):
    """Asks yes or no over the screen. It takes no keys: what is typed on goes to the composer, as always.

    A screen of its own, because Textual breaks wide characters where a widget below ends.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no")]

    def __init__(self, question: str, keys: str) -> None:
        super().__init__()
        self._question = question
        self._keys = keys
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._yes_from = math.inf
        """The event loop's time from which on yes counts; never before the question is drawn."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="question"):
            yield Wrapped(self._question)
            yield Wrapped(self._keys, "quiet")

    def on_mount(self) -> None:
        self.call_after_refresh(self._drawn)

    def _drawn(self) -> None:
        self._yes_from = asyncio.get_running_loop().time() + SEEN_S

    def yes(self) -> None:
        """Answer yes, if the user has seen what was asked; a held Ctrl-C has not."""
        now = asyncio.get_running_loop().time()
        if now < self._yes_from:
            self._yes_from = max(self._yes_from, now + SEEN_S)
        elif not self.answer.done():
            self.answer.set_result(True)

    def action_no(self) -> None:
        if not self.answer.done():
            self.answer.set_result(False)


class _Password(Input):
    """Takes a password, with all characters that keys write."""

    async def _on_key(self, event: Key) -> None:
        """See Textual; of keys that write, its own handler, which it calls next, takes care."""
        is_odd = is_text(event) and not event.is_printable
        if is_odd:
            self.replace(event.character or "", *self.selection)
        if is_odd or await act(self, event.key):
            event.stop()
            event.prevent_default()


class AskPassword(ModalScreen[str | None]):
    """Asks for a room's password, which is neither shown nor kept."""

    def __init__(self, question: str, keys: str) -> None:
        super().__init__()
        self._question = question
        self._keys = keys
        self._is_answered = False

    def _answer(self, answer: str | None) -> None:
        """End with the first answer: keys that were typed behind it may come before the question is off the screen."""
        if not self._is_answered:
            self._is_answered = True
            self.dismiss(answer)

    def compose(self) -> ComposeResult:
        with Vertical(classes="question"):
            yield Wrapped(self._question)
            yield _Password(password=True, id="password")
            yield Wrapped(self._keys, "quiet")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._answer(event.value or None)

    def on_key(self, event: Key) -> None:
        """Escape, Ctrl-C and Ctrl-D: not now."""
        if event.key in ("escape", "ctrl+c", "ctrl+d"):
            event.stop()
            event.prevent_default()
            self._answer(None)
