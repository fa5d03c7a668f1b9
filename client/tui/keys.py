"""Tell keys that write from keys that act."""

import unicodedata

from textual.events import Key

_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, half characters, and ends of lines and paragraphs."""


def is_text(event: Key) -> bool:
    """Return whether a key writes its character.

    Textual asks `str.isprintable`, which refuses the wide space of Japanese, the joiners of emoji and Persian, and
    characters that are younger than Python.
    """
    character = event.character
    return character is not None and len(character) == 1 and unicodedata.category(character) not in _NO_TEXT
