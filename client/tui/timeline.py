"""The lines of the shown room, which scroll; new ones come at the bottom, older ones are loaded at the top."""

from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tsudoi.protocol.client.words import Language

from ..state.columns import Line
from ..state.columns import width as cells
from ..state.model import Item, Room
from ..state.view import timeline
from .colours import STYLES, strip


class Timeline(ScrollView, can_focus=False):
    """Shows a room's lines. Where the user has scrolled to, the same lines stay when others come."""

    ALLOW_SELECT = True

    class AtTop(Message):
        """The oldest line that is here can be seen."""

    class Moved(Message):
        """Other lines than before are shown."""

    def __init__(self) -> None:
        super().__init__(id="timeline")
        self._lines: list[Line] = []
        self._items: list[tuple[int, Item]] = []
        """(place of its first line, item), in order."""
        self._room: Room | None = None
        self._language: Language = "en"
        self._follows = True
        """The newest line is shown, and stays so."""

    @property
    def lines_below(self) -> int:
        """Lines below the screen."""
        return max(len(self._lines) - self.scroll_offset.y - self.size.height, 0)

    def show(self, room: Room | None, language: Language) -> None:
        """Show a room. Where the user has scrolled up, the same lines stay in place."""
        is_other = room is None or self._room is None or room.name != self._room.name
        anchor = None if is_other or self._follows else self._top()
        self._room, self._language = room, language
        self._lay_out()
        if is_other or self._follows:
            self._to_end()
        elif anchor is not None:
            item, within = anchor
            place = next((place for place, each in self._items if each is item or each == item), None)
            if place is not None:
                self.scroll_to(y=place + within, animate=False, immediate=True, force=True)
        self.refresh()

    def _lay_out(self) -> None:
        width = self.size.width
        self._lines, self._items = [], []
        if self._room is None or width < 1:
            self.virtual_size = Size(width, 0)
            return
        for item, lines in timeline(self._room, width, self._language):
            if item is not None:
                self._items.append((len(self._lines), item))
            self._lines.extend(lines)
        self.virtual_size = Size(width, len(self._lines))

    def _top(self) -> tuple[Item, int] | None:
        """Return the first item that is shown, and how many of its lines are above."""
        y = self.scroll_offset.y
        found = None
        for place, item in self._items:
            if found is not None and place > y:
                break
            found = item, y - place
        return found

    def _to_end(self) -> None:
        self._follows = True
        self.scroll_to(y=max(len(self._lines) - self.size.height, 0), animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        """Wrap anew."""
        self.show(self._room, self._language)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """See Textual. Follow new lines again at the end; ask for older ones at the top."""
        super().watch_scroll_y(old, new)
        if round(old) == round(new):
            return
        self._follows = new >= len(self._lines) - self.size.height
        if new <= 0 and old > 0:
            self.post_message(self.AtTop())
        self.post_message(self.Moved())

    def page(self, direction: int) -> None:
        """Scroll by most of a page: -1 up, 1 down."""
        if direction < 0 and self.scroll_offset.y <= 0:
            self.post_message(self.AtTop())
            return
        step = max(self.size.height - 2, 1)
        self.scroll_to(y=self.scroll_offset.y + direction * step, animate=False, immediate=True, force=True)

    def end(self) -> None:
        """Scroll to the newest line."""
        self._to_end()

    def render_line(self, y: int) -> Strip:
        """See Textual. A few lines stand at the bottom."""
        width = self.size.width
        at = self.scroll_offset.y + y - max(self.size.height - len(self._lines), 0)
        if not 0 <= at < len(self._lines):
            return Strip.blank(width)
        line = strip(self._lines[at], width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(at)) is not None:
            start, end = span
            text = line.text
            end = len(text) if end == -1 else end
            first, last = cells(text[:start]), cells(text[:end])
            marked = line.crop(first, last).apply_style(STYLES["shown"])
            line = Strip.join([line.crop(0, first), marked, line.crop(last)])
        return line.apply_offsets(0, at)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """See Textual."""
        text = "\n".join("".join(part for part, _ in line).rstrip() for line in self._lines)
        return selection.extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """See Textual."""
        self.refresh()
