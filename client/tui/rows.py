"""A widget that shows rows of spans: the title, the room bar, the lists, the banner, the keys."""

from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ..state.columns import Line
from .colours import hold_columns, strip


class Rows(Widget):
    """Shows the rows that it is given, from the top."""

    class Chosen(Message):
        """A row was clicked."""

        def __init__(self, rows: "Rows", row: int, column: int) -> None:
            super().__init__()
            self.rows = rows
            self.row = row
            self.column = column

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._rows: list[Line] = []

    def show(self, rows: list[Line]) -> None:
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def render_line(self, y: int) -> Strip:
        line = strip(self._rows[y] if y < len(self._rows) else (), self.size.width)
        return hold_columns(line, self.content_region.x)

    def on_click(self, event: Click) -> None:
        self.post_message(self.Chosen(self, event.y, event.x))
