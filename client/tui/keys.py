"""Tell keys that write from keys that act."""

import unicodedata

from textual.events import Key
from textual.widget import Widget

_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, half characters, and ends of lines and paragraphs."""


def is_text(event: Key) -> bool:
    """Return whether a key writes its character.

    Textual asks `str.isprintable`, which refuses the wide space of Japanese, the joiners of emoji and Persian, and
    characters that are younger than Python.
    """
    character = event.character
    return character is not None and len(character) == 1 and unicodedata.category(character) not in _NO_TEXT


async def act(widget: Widget, key: str) -> bool:
    """Do what a widget's own bindings do for a key; return whether there is one.

    Textual does it when the event has gone from the widget up to the app, behind the keys that were pressed meanwhile:
    of Ctrl-U and a word that come at once, the word would be deleted.
    """
    bindings = widget._bindings.key_to_bindings.get(key, ())
    for binding in bindings:
        await widget.run_action(binding.action)
    return bool(bindings)
