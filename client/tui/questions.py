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

_T = TypeVar("_T")


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


class Confirm(_Question[bool]):
    """Asks yes or no."""

    def compose(self) -> ComposeResult:
        """See Textual."""
        with Vertical(classes="question"):
            yield Wrapped(self._question)
            yield Wrapped(self._keys, "quiet")

    def on_key(self, event: Key) -> None:
        """Take the answer; a second Ctrl-C or Ctrl-D means yes."""
        event.stop()
        if event.key in ("y", "Y", "ｙ", "enter", "ctrl+c", "ctrl+d") or event.character in ("y", "Y", "ｙ"):
            self.dismiss(True)
        elif event.key in ("n", "N", "escape") or event.character in ("n", "N", "ｎ"):
            self.dismiss(False)


class AskPassword(_Question[str | None]):
    """Asks for a room's password, which is neither shown nor kept."""

    def compose(self) -> ComposeResult:
        """See Textual."""
        with Vertical(classes="question"):
            yield Wrapped(self._question)
            yield Input(password=True, id="password")
            yield Wrapped(self._keys, "quiet")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the password."""
        event.stop()
        self.dismiss(event.value or None)

    def on_key(self, event: Key) -> None:
        """Escape, Ctrl-C and Ctrl-D: not now."""
        if event.key in ("escape", "ctrl+c", "ctrl+d"):
            event.stop()
            event.prevent_default()
            self.dismiss(None)
