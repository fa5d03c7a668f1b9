"""Strip the sender's own name from the front of a text: some clients write it there."""

import re
import unicodedata

from tsudoi.protocol.names import MAX_NAME_SIZE

_LONGEST_NAME = 2 * MAX_NAME_SIZE
"""Characters of a name in any normal form of Unicode."""
_NUMBERED = re.compile(r"#\d+\Z")
"""What the directory appends to a name that is taken already."""


def own_prefixes(name: str, wished: str = "") -> tuple[str, ...]:
    """Return the prefixes that a client may write: its assigned name, also without number, and its wished name."""
    names = dict.fromkeys((name, _NUMBERED.sub("", name), *([wished] if wished else [])))
    return tuple(f"{own}{separator}" for own in names for separator in (": ", " : "))


def without_own_name(text: str, prefixes: tuple[str, ...]) -> str:
    """Return `text` without one of the sender's `own_prefixes`, in any normal form of Unicode."""
    for prefix in prefixes:
        if text.startswith(prefix):
            return text[len(prefix) :]
    name, separator, rest = text.partition(": ")
    # Sorting thousands of combining marks takes milliseconds; no name has so many.
    if separator and len(name) <= _LONGEST_NAME and unicodedata.normalize("NFC", name).strip() + separator in prefixes:
        return rest
    return text
