"""Measure and cut text by terminal columns, and leave only characters about whose width terminals agree.

Emoji made of several parts, by joiners, skin tones, flags or variation selectors, are two columns wide in some
terminals and up to eight in others, and a wrong guess shifts all that stands to the right. So their parts are shown
side by side: a family as its members, a flag as its letters.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from unicodedata import category

from rich.cells import cell_len, get_character_cell_size

Span = tuple[str, str]
"""(text, name of a style)"""
Line = tuple[Span, ...]

TAB = "    "
_FLAG = "[\U0001f1e6-\U0001f1ff]"
_PARTS = re.compile("[\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
_TAGS = re.compile("[\U000e0000-\U000e007f]")
_INVISIBLE = re.compile("[\u2066-\u2069\u202a-\u202e\u200e\u200f\u061c\u00ad\u115f\u1160\u3164\uffa0]")
"""Controls of direction, the soft hyphen, and the fillers of Hangul: blanks of no column, one, or two."""
_AGREED = re.compile("[ -~\u00a0-\u02ff\u2010-\u203f\u2500-\u257f\u3000-\u30ff\u4e00-\u9fff\uff01-\uffdc]*").fullmatch
"""Matches a text of characters about whose width terminals agree: Latin, punctuation, lines, Japanese, Chinese."""


@lru_cache(2048)
def plain(text: str) -> str:
    """Return a text whose width is the sum of its characters' widths, in every terminal."""
    if text.isascii():
        return text.replace("\t", TAB)
    text = _INVISIBLE.sub("", _TAGS.sub("", _PARTS.sub("", text)))
    text = re.sub(_FLAG, lambda found: chr(ord("A") + ord(found[0]) - 0x1F1E6), text)
    return text.replace("\t", TAB)


def width(text: str) -> int:
    """Return the columns that a `plain` text takes: where terminals disagree, the most."""
    return cell_len(text) if is_agreed(text) else sum(map(_columns, text))


def is_agreed(text: str) -> bool:
    """Return whether all terminals agree about the width of a `plain` text."""
    return _AGREED(text) is not None


@lru_cache(4096)
def _columns(char: str) -> int:
    """Return the columns of a character: also one of a vowel sign beside its letter, as most terminals have it."""
    return 1 if category(char) == "Mc" else get_character_cell_size(char)


def fit(text: str, columns: int, right: bool = False) -> str:
    """Return a text of exactly this width: cut with `…`, or filled up with spaces, on the left if `right`."""
    text = plain(text)
    missing = columns - width(text)
    if missing < 0:
        text = cut(text, columns - 1) + "…"
        missing = columns - width(text)
    return " " * missing + text if right else text + " " * missing


def cut(text: str, columns: int) -> str:
    """Return the beginning of a text, at most this wide."""
    taken = 0
    for at, char in enumerate(text):
        taken += _columns(char)
        if taken > columns:
            return text[:at]
    return text


def wrap(text: str, columns: int) -> list[str]:
    """Break one line of `plain` text into lines of at most this width.

    It breaks behind spaces, which begin no line, and beside wide characters, as Japanese is broken; a word that is too
    long is broken anywhere. Closing brackets and marks of punctuation do not begin a line, opening brackets do not end
    one.
    """
    return list(wrapped(text, columns)) or [""]


def wrapped(text: str, columns: int) -> Iterator[str]:
    """Give the lines of `wrap` one by one; none for an empty text."""
    start = 0
    while start < len(text):
        end = _overflow(text, start, columns)
        if end < len(text) and text[end] not in SPACES:
            end = next((at for at in range(end, start, -1) if _may_break(text, at)), end)
            while end - 1 > start and get_character_cell_size(text[end]) == 0:
                end -= 1
        yield text[start:end].rstrip(SPACES) if end < len(text) else text[start:end]
        start = end
        while start < len(text) and text[start] in SPACES and end < len(text):
            start += 1


def _overflow(text: str, start: int, columns: int) -> int:
    """Return the place of the first character that does not fit; at least one character is taken."""
    taken = 0
    for at in range(start, len(text)):
        taken += _columns(text[at])
        if taken > columns and at > start:
            return at
    return len(text)


def _may_break(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if before in SPACES or before == "-":
        return True
    is_wide = _columns(before) == 2 or _columns(after) == 2
    return is_wide and after not in _NOT_FIRST and before not in _NOT_LAST


SPACES = " \u3000"
_NOT_FIRST = frozenset(
    "、。，．・：；？！‼⁇⁈⁉…‥）」』】〕〉》］｝〙〗｠”’々〻ー゠〜～ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ゛゜ゝゞヽヾ"
    "､｡･｣ｰﾞﾟｧｨｩｪｫｯｬｭｮ%％‰℃,.:;?!)]}"
)
_NOT_LAST = frozenset("（「『【〔〈《［｛〘〖｟“‘([{")
"""As JIS X 4051 has them, in wide and narrow forms."""


def span_width(line: Iterable[Span]) -> int:
    """Return the columns of a line of spans."""
    return sum(width(text) for text, _ in line)
