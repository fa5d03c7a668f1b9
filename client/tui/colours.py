"""Styles by the names that `client/state/view.py` gives them."""

from rich.segment import ControlType, Segment
from rich.style import Style
from textual.strip import Strip

from .. import palette
from ..state.columns import Line, is_agreed, span_width

_QUIET, _LOUD, _MORE = (f"color({number})" for number in (palette.QUIET, palette.LOUD, palette.MORE))

STYLES: dict[str, Style] = {
    **{f"name{at}": Style(color=f"color({number})", bold=True) for at, number in enumerate(palette.NAMES)},
    "text": Style(),
    "time": Style(color=_QUIET),
    "bar": Style(color=_QUIET),
    "joined": Style(),
    "spaced": Style(),
    "wide-spaced": Style(),
    "newline": Style(),
    "hang": Style(color=_QUIET),
    "rule": Style(color=_QUIET),
    "quiet": Style(color=_QUIET),
    "table": Style(),
    "loud": Style(color=_LOUD, bold=True),
    "day": Style(bold=True),
    "new": Style(color="bright_red", bold=True),
    "mention": Style(color=_LOUD, bold=True),
    "waiting": Style(color=_QUIET),
    "refused": Style(color="red"),
    "mark": Style(color="red"),
    "title": Style(reverse=True, bold=True),
    "topic": Style(reverse=True),
    "me": Style(reverse=True, bold=True),
    "shown": Style(bold=True, reverse=True),
    "room": Style(),
    "ended": Style(color=_QUIET, strike=True),
    "unread": Style(color=_MORE, bold=True),
    "mentions": Style(color="bright_red", bold=True),
    "head": Style(bold=True, underline=True),
    "host": Style(color=_LOUD, bold=True),
    "key": Style(bold=True, reverse=True),
    "bad": Style(color="yellow", bgcolor="black", reverse=True),
    "good": Style(color="green", bgcolor="black", reverse=True),
    "hint": Style(color=_MORE, bold=True),
}


def strip(line: Line, columns: int) -> Strip:
    """Return a line as Textual draws it, filled up to its width.

    Each part has a style, the filling too: where colours are not wanted (`NO_COLOR`), Textual changes all styles.
    """
    segments = [Segment(text, STYLES[style]) for text, style in line]
    return Strip(segments, span_width(line)).adjust_cell_length(columns, STYLES["text"])


def hold_columns(strip: Strip, x: int) -> Strip:
    """Return a strip behind which the cursor is where it belongs, also if the terminal has other widths than we think.

    `x`: the screen's column at which the strip begins. What stood there before is erased, as the terminal may write
    fewer columns. Textual joins the strips of a row without telling the terminal where each begins.
    """
    if is_agreed(strip.text):
        return strip
    erase, move = f"\x1b[{strip.cell_length}X", f"\x1b[{x + strip.cell_length + 1}G"
    return Strip([_control(erase), *strip, _control(move)], strip.cell_length)


def _control(sequence: str) -> Segment:
    return Segment(sequence, STYLES["text"], ((ControlType.CURSOR_MOVE_TO_COLUMN, 0),))
