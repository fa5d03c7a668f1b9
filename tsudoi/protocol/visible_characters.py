"""Find where a text can be cut without taking apart what people see as one character.

This knows the most frequent rules of Unicode's grapheme clusters (UAX #29): marks, joiners, emoji, flags, Hangul.
"""

import unicodedata

FAR = 32
"""Code points that a cut moves back at most: a letter under a heap of marks is taken apart rather than a text lost."""

_JOINER = "\u200d"
_FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")


def boundary(text: str, end: int) -> int:
    """Return the last place at or before `end` where `text` can be cut between two visible characters."""
    for at in range(end, max(end - FAR, -1), -1):
        if not _joined(text, at):
            return at
    return end


def _joined(text: str, at: int) -> bool:
    """Return whether the code points before and at a place belong to one visible character."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if after.isascii() or before.isspace():
        return False
    if (
        before == _JOINER
        or unicodedata.category(after)[0] == "M"
        or after in "\u200c\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin
        or "\U000e0020" <= after <= "\U000e007f"  # tags, of regional flags
        or "\u1160" <= after <= "\u11ff"  # vowels and finals of Hangul
    ):
        return True
    if not (_is_flag_letter(before) and _is_flag_letter(after)):
        return False
    start = at
    while start > 0 and _is_flag_letter(text[start - 1]):
        start -= 1
    return (at - start) % 2 == 1


def _is_flag_letter(char: str) -> bool:
    return _FLAG_LETTERS[0] <= char <= _FLAG_LETTERS[1]
