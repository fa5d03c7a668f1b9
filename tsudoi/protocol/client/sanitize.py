"""What a text may hold that others' terminals will show; PROTOCOL.md, "Datagrams"."""

import re

# C0 and C1 controls but tab and line feed: what would move a cursor or ring a bell in another's terminal.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# They end a line where they are shown, so they become what ends lines in texts: what shows one line knows one end.
_LINE_ENDS = re.compile("[\u2028\u2029]")

_CLOSE_EMBEDDING, _CLOSE_ISOLATE = "\u202c", "\u2069"
_CLOSERS = dict.fromkeys("\u202a\u202b\u202d\u202e", _CLOSE_EMBEDDING) | dict.fromkeys(
    "\u2066\u2067\u2068", _CLOSE_ISOLATE
)
"""What turns the direction of writing → what ends it (Unicode, UAX #9, 2.1 to 2.5)."""
_TURNS = re.compile("([\u202a-\u202e\u2066-\u2069])")

MAX_OPEN = 8
"""Turns within each other; people need one or two, and a text must not grow much by their ends."""


def clean(text: str) -> str:
    """Return `text` without control characters, and with each turn of the direction of writing ended in its line.

    Its only line ends are line feeds. What a terminal shows behind it is not touched by it. Costs next to nothing where
    there is nothing to do.
    """
    if text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _CONTROLS.sub("", text))
    if _TURNS.search(text) is None:
        return text
    return "\n".join(_ended(line) for line in text.split("\n"))


def without_turns(text: str) -> str:
    """Return `text` without what turns the direction of writing: to be cut, which might lose the ends."""
    return text if text.isprintable() else _TURNS.sub("", text)


def _ended(line: str) -> str:
    """Return a line with what it opens closed, and without closing what it has not opened."""
    out: list[str] = []
    ends: list[str] = []
    for part in _TURNS.split(line):
        if part in _CLOSERS:
            if len(ends) == MAX_OPEN:
                continue
            ends.append(_CLOSERS[part])
        elif part == _CLOSE_EMBEDDING:
            if not ends or ends[-1] != part:
                continue
            ends.pop()
        elif part == _CLOSE_ISOLATE:
            if part not in ends:
                continue
            # It ends what was opened within it too.
            while ends[-1] != part:
                out.append(ends.pop())
            ends.pop()
        out.append(part)
    return "".join(out + ends[::-1])
