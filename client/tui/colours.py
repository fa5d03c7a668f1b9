"""Styles by the names that `client/state/view.py` gives them: the terminal's own colours, for light and dark ones."""

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from ..state.columns import Line, span_width

_NAMES = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan")
"""Can be read on light and on dark."""

STYLES: dict[str, Style] = {
    **{f"name{number}": Style(color=colour, bold=True) for number, colour in enumerate(_NAMES)},
    "text": Style(),
    "time": Style(color="bright_black"),
    "bar": Style(color="bright_black"),
    "rule": Style(color="bright_black"),
    "quiet": Style(color="bright_black"),
    "table": Style(),
    "loud": Style(color="yellow", bold=True),
    "day": Style(bold=True),
    "new": Style(color="bright_red", bold=True),
    "mention": Style(color="yellow", bold=True),
    "waiting": Style(color="bright_black"),
    "refused": Style(color="red"),
    "mark": Style(color="red"),
    "title": Style(reverse=True, bold=True),
    "topic": Style(reverse=True),
    "me": Style(reverse=True, bold=True),
    "shown": Style(bold=True, reverse=True),
    "room": Style(),
    "ended": Style(color="bright_black", strike=True),
    "unread": Style(color="cyan", bold=True),
    "mentions": Style(color="bright_red", bold=True),
    "head": Style(bold=True, underline=True),
    "host": Style(color="yellow", bold=True),
    "key": Style(bold=True, reverse=True),
    "bad": Style(color="yellow", bgcolor="black", reverse=True),
    "good": Style(color="green", bgcolor="black", reverse=True),
    "hint": Style(color="cyan", bold=True),
}


def strip(line: Line, columns: int) -> Strip:
    """Return a line as Textual draws it, filled up to its width.

    Each part has a style, the filling too: where colours are not wanted (`NO_COLOR`), Textual changes all styles.
    """
    segments = [Segment(text, STYLES[style]) for text, style in line]
    return Strip(segments, span_width(line)).adjust_cell_length(columns, STYLES["text"])
