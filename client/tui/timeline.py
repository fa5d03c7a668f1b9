"""The lines of the shown room, which scroll; new ones come at the bottom, older ones are loaded at the top."""

import asyncio
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.events import MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tsudoi.protocol.client.words import Language

from ..state.columns import Line
from ..state.columns import width as cells
from ..state.model import MAX_ITEMS, Item, Room
from ..state.view import copied, item_lines, timeline
from .colours import STYLES, hold_columns, strip

WHEEL = 3
"""Lines that a step of the mouse's wheel moves."""
AT_ONCE = 200
"""Items that are wrapped before something else is done: a room may have thousands, and a resize wraps all of them."""
MORE_S = 0.02
"""After which as many older ones are wrapped, again and again: meanwhile the screen is drawn and keys are heard."""
_OTHERS = MAX_ITEMS
"""Items whose lines are kept although they are not in the shown room: that it is shown again costs no wrapping."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """An item and where its lines are."""

    item: Item
    start: int
    end: int


class Timeline(Widget, can_focus=False):
    """Shows a room's lines. Where the user has scrolled to, the same lines stay when others come.

    It scrolls by itself: Textual's ScrollView limits a position by sizes that are known only after the next layout.
    """

    ALLOW_SELECT = True

    class AtTop(Message):
        """The oldest line that is here can be seen."""

    class Moved(Message):
        """Other lines than before are shown."""

    class Resized(Message):
        """It has another size."""

    def __init__(self) -> None:
        super().__init__(id="timeline")
        self._lines: list[Line] = []
        self._items: list[_Placed] = []
        self._from = 0
        """The room's first item that is laid out: those before it are, a little later."""
        self._is_more_due = False
        self._cache: dict[int, tuple[Item, tuple[Line, ...]]] = {}
        """An item's identity → the item and its lines."""
        self._cached_for: tuple[int, Language] | None = None
        self._made_of: tuple[object, ...] | None = None
        """What all lines depend on, as it was when they were made."""
        self._room: Room | None = None
        self._language: Language = "en"
        self._top = 0
        """The place of the first line that is shown."""
        self._follows = True
        """The newest line is shown, and stays so."""
        self._wanted: Item | None = None
        """What is to be the first item on the screen when it is laid out."""
        self._found: Item | None = None
        """The item that a search has found, which is marked."""
        self._seen: Item | None = None
        """The first new item that was last on the screen."""

    @property
    def lines_below(self) -> int:
        """Lines below the screen; 0 while the newest is shown."""
        return self._last_top - self._top

    def new_above(self) -> int:
        """Return how many lines above the screen the new ones begin; 0 from when that place is on the screen."""
        first = self._room.first_unread if self._room else None
        if first is None or first is self._seen:
            return 0
        start = next((placed.start for placed in self._items if placed.item is first), self._top)
        if self._top <= start < self._top + self.size.height:
            self._seen = first
        return max(self._top - start, 0)

    @property
    def _last_top(self) -> int:
        return max(len(self._lines) - self.size.height, 0)

    @property
    def is_whole(self) -> bool:
        """Whether all lines of the room are laid out."""
        return self._from == 0

    def show(self, room: Room | None, language: Language, more: bool = False) -> None:
        """Show a room. Where the user has scrolled up, the same lines stay in place. `more`: lay out older lines."""
        is_other = room is None or self._room is None or room.name != self._room.name
        self._follows |= is_other
        anchor = None if self._follows else self._first_item()
        self._room, self._language = room, language
        self._lay_out(anchor, more)
        if anchor is not None:
            item, within = anchor
            self._top = next((placed.start + within for placed in self._items if placed.item == item), self._top)
        self._top = self._last_top if self._follows else min(self._top, self._last_top)
        self._reveal_wanted()
        self.refresh()

    def _reveal_wanted(self) -> None:
        at = next((at for at, placed in enumerate(self._items) if placed.item is self._wanted), None)
        if at is not None and self.size.height:
            self._wanted = None
            # With the day or the `new` that stands before it.
            start, end, height = self._items[at - 1].end if at else 0, self._items[at].end, self.size.height
            if self._items[at].item is self._found:
                if self._top <= start and end <= self._top + height:
                    return
                start -= max(min(height // 3, start + height - end), 0)  # what was said before it is of use, too
            self._move(start - self._top)

    def _lay_out(self, anchor: tuple[Item, int] | None, more: bool) -> None:
        """Make the lines anew, from the first item on that is not as it was: one new line costs one line."""
        width, room, language = self.size.width, self._room, self._language
        if room is None or width < 1:
            self._lines, self._items, self._from, self._made_of = [], [], 0, None
            return
        if self._cached_for != (width, language):
            self._cached_for = (width, language)
            self._cache.clear()
        made_of = (width, language, room.name, room.is_cut, id(room.first_unread))
        if made_of != self._made_of or more:
            self._from = max(self._from - AT_ONCE, 0) if more else self._begin(room.items, anchor)
            start = 0
        else:
            start = self._unchanged(room.items[self._from :])
        self._made_of = made_of
        if self._from and not self._is_more_due:
            self._is_more_due = True
            asyncio.get_running_loop().call_later(MORE_S, self.call_later, self._lay_out_more)
        del self._items[start:]
        del self._lines[self._items[-1].end if start else 0 :]
        for item, lines in timeline(room, width, language, self._lines_of, self._from + start):
            place = len(self._lines)
            self._lines.extend(lines)
            if item is not None:
                self._items.append(_Placed(item, place, len(self._lines)))
        if len(self._cache) > len(self._items) + _OTHERS:
            kept = {id(placed.item) for placed in self._items}
            self._cache = {number: found for number, found in self._cache.items() if number in kept}

    def _begin(self, items: Sequence[Item], anchor: tuple[Item, int] | None) -> int:
        """Return the first item to lay out now: what is on the screen, and all below it."""
        if sum(id(item) not in self._cache for item in items) <= AT_ONCE:
            return 0
        seen = len(items) if anchor is None else next((at for at, item in enumerate(items) if item is anchor[0]), 0)
        return max(seen - max(AT_ONCE, self.size.height), 0)

    def _lay_out_more(self) -> None:
        self._is_more_due = False
        if self._from:
            self.show(self._room, self._language, more=True)
            self.post_message(self.Moved())

    def _unchanged(self, items: Sequence[Item]) -> int:
        """Return how many items from the first on are those that are laid out."""
        pairs = enumerate(zip(self._items, items, strict=False))
        return next((at for at, (placed, item) in pairs if placed.item is not item), min(len(self._items), len(items)))

    def _lines_of(self, item: Item) -> tuple[Line, ...]:
        """Return the lines of an item; the cache holds the item, so that its identity stays its own."""
        found = self._cache.get(id(item))
        if found is None:
            found = self._cache[id(item)] = (item, item_lines(item, self.size.width, self._language))
        return found[1]

    def _first_item(self) -> tuple[Item, int] | None:
        """Return the first item that is shown, and how many of its lines are above."""
        found = None
        for placed in self._items:
            if found is not None and placed.start > self._top:
                break
            found = placed.item, self._top - placed.start
        return found

    def on_resize(self) -> None:
        self._wanted = self._wanted or self._found
        self.show(self._room, self._language)
        self.post_message(self.Resized())

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._move(-WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._move(WHEEL)

    def page(self, direction: int) -> None:
        """Scroll by most of a page: -1 up, 1 down."""
        self._move(direction * max(self.size.height - 2, 1))

    def reveal(self, item: Item) -> None:
        """Scroll to an item, now or when it is laid out: it is the first on the screen, or all below it is shown."""
        self._wanted = item
        self._reveal_wanted()

    def mark(self, item: Item | None) -> None:
        """Mark what a search has found, and reveal it; None: nothing. While it is marked, new lines move nothing."""
        self._found = self._wanted = item
        self._follows &= item is None
        self._reveal_wanted()
        self._move(0)

    def end(self) -> None:
        """Scroll to the newest line."""
        self._move(len(self._lines))

    def _move(self, lines: int) -> None:
        self._top = max(min(self._top + lines, self._last_top), 0)
        self._follows = self._top == self._last_top and self._found is None
        self.refresh()
        if self._top == 0 and lines < 0 and self.is_whole:
            self.post_message(self.AtTop())
        self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        """See Textual. A few lines stand at the bottom."""
        width = self.size.width
        at = self._top + y - max(self.size.height - len(self._lines), 0)
        if not 0 <= at < len(self._lines):
            return strip((), width)
        line = strip(self._lines[at], width)
        if self._is_found(at):
            line = Strip([Segment(line.text, STYLES["shown"])], width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(at)) is not None:
            start, end = span
            text = line.text
            end = len(text) if end == -1 else end
            first, last = cells(text[:start]), cells(text[:end])
            marked = Strip([Segment(line.crop(first, last).text, STYLES["shown"])], last - first)
            line = Strip.join([line.crop(0, first), marked, line.crop(last)])
        return hold_columns(line.apply_offsets(0, at), self.content_region.x)

    def _is_found(self, at: int) -> bool:
        """Return whether a line is marked."""
        place = bisect(self._items, at, key=lambda placed: placed.start) - 1
        return place >= 0 and self._items[place].item is self._found and at < self._items[place].end

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        spans = ((line, selection.get_span(at)) for at, line in enumerate(self._lines))
        return copied((line, *span) for line, span in spans if span is not None), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
