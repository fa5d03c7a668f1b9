"""Questions that stand over the screen: shall a room be closed, what is its password."""

from typing import TypeVar

from textual.app import ComposeResult
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

_T = TypeVar("_T")
_YES, _NO = frozenset("yYｙＹは"), frozenset("nNｎＮい")
"""The last ones begin はい and いいえ."""


class Wrapped(Widget):
    """A text that is wrapped as in the timeline: Textual's own wrapping breaks Japanese at spaces alone."""

    def __init__(self, text: str, style: str = "text") -> None:
        super().__init__()
        self._text = plain(text)
        self._style = style

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """See Textual."""
        return len(wrap(self._text, max(width, 8)))

    def render_line(self, y: int) -> Strip:
        """See Textual."""
        lines = wrap(self._text, max(self.size.width, 8))
        return strip(((lines[y], self._style),) if y < len(lines) else (), self.size.width)


class _Question(ModalScreen[_T]):
    """A question, and the keys that answer it."""

    def __init__(self, question: str, keys: str) -> None:
        super().__init__()
        self._question = question
        self._keys = keys
        self._is_answered = False

    def _answer(self, answer: _T) -> None:
        """End with the first answer: keys that were typed behind it may come before the question is off the screen."""
        if not self._is_answered:
            self._is_answered = True
            self.dismiss(answer)


class Confirm(_Question[bool]):
    """Asks yes or no."""

    def compose(self) -> ComposeResult:
        """See Textual."""
        with Vertical(classes="question"):
            yield Wrapped(self._question)
            yield Wrapped(self._keys, "quiet")

    def on_key(self, event: Key) -> None:
        """Take the answer; a second Ctrl-C or Ctrl-D means yes. Enter means nothing: `/leave` ends with it."""
        event.stop()
        if event.key in ("ctrl+c", "ctrl+d") or event.character in _YES:
            self._answer(True)
        elif event.key == "escape" or event.character in _NO:
            self._answer(False)


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


class AskPassword(_Question[str | None]):
    """Asks for a room's password, which is neither shown nor kept."""

    def compose(self) -> ComposeResult:
        """See Textual."""
        with Vertical(classes="question"):
            yield Wrapped(self._question)
            yield _Password(password=True, id="password")
            yield Wrapped(self._keys, "quiet")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the password."""
        event.stop()
        self._answer(event.value or None)

    def on_key(self, event: Key) -> None:
        """Escape, Ctrl-C and Ctrl-D: not now."""
        if event.key in ("escape", "ctrl+c", "ctrl+d"):
            event.stop()
            event.prevent_default()
            self._answer(None)
