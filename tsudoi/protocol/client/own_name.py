"""Strip the sender's own name from the front of a text: some clients write it there; PROTOCOL.md, "Datagrams"."""

import re
import unicodedata

from tsudoi.protocol.names import MAX_NAME_SIZE

_LONGEST_NAME = 2 * MAX_NAME_SIZE
"""Characters of a name in any normal form of Unicode."""
_NUMBERED = re.compile(r"#\d+\Z")
"""What the directory appends to a name that is taken already."""
_SEPARATOR = re.compile(" ?: ?")
"""What clients write between the name and the text: `: `, ` : `, `:` and ` :`."""
_SMILEY = re.compile(r":-?[()]+\Z")
"""In `alice:)` the colon is an eye: nearly no client sends a closing bracket alone as its user's text."""


def own_names(name: str, wished: str = "") -> tuple[str, ...]:
    """Return the names that a client may write, longest first: as assigned, that without its number, and as wished."""
    names = dict.fromkeys((name, _NUMBERED.sub("", name), *([wished] if wished else [])))
    return tuple(sorted(names, key=len, reverse=True))


def without_own_name(text: str, names: tuple[str, ...]) -> str:
    """Return `text` without one of the sender's `own_names`, in any normal form of Unicode, and its separator."""
    if text.startswith(names):
        for name in names:
            if text.startswith(name) and (rest := _after_separator(text, len(name))) is not None:
                return rest
    colon = text.find(":", 0, _LONGEST_NAME + 2)
    # A name may contain colons, so the first one need not be the separator. Sorting thousands of combining marks takes
    # milliseconds; no name has so many.
    tries = 1 + max((name.count(":") for name in names), default=-1) if colon >= 0 else 0
    while colon >= 0 and tries:
        name = text[:colon].removesuffix(" ")
        if len(name) <= _LONGEST_NAME and unicodedata.normalize("NFC", name).strip() in names:
            rest = _after_separator(text, len(name))
            return text if rest is None else rest
        colon = text.find(":", colon + 1, _LONGEST_NAME + 2)
        tries -= 1
    return text


def _after_separator(text: str, at: int) -> str | None:
    """Return what follows a separator that begins at `at`, or None if there is none, or a smiley."""
    if text.startswith(": ", at):
        return text[at + 2 :]  # as most clients write it, without the patterns
    found = _SEPARATOR.match(text, at)
    if found is None or _SMILEY.match(text, at + (text[at] == " ")):
        return None
    return text[found.end() :]
