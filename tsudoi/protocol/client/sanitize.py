"""Remove characters from texts that could harm another member's terminal; PROTOCOL.md, "Datagrams".

These are control characters, and characters that set the direction of writing ("bidi") beyond their own line.
"""

import re

# C0 and C1 controls except tab and line feed: they move cursors and ring bells.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Line and paragraph separators become line feeds, so that a text has one kind of line end.
_LINE_ENDS = re.compile("[\u2028\u2029]")

_CLOSE_EMBEDDING, _CLOSE_ISOLATE = "\u202c", "\u2069"
_CLOSERS = dict.fromkeys("\u202a\u202b\u202d\u202e", _CLOSE_EMBEDDING) | dict.fromkeys(
    "\u2066\u2067\u2068", _CLOSE_ISOLATE
)
"""Character that opens an embedding, override or isolate → the character that closes it (Unicode, UAX #9, 2.1–2.5)."""
_BIDI = re.compile("([\u202a-\u202e\u2066-\u2069])")

MAX_OPEN = 8
"""Nested openings that are kept. People need one or two, and closing them must not make a text much longer."""


def clean(text: str) -> str:
    """Return `text` with line feeds as its only line ends, no control characters, and bidi closed in each line.

    Returns a printable text at once, so that the common case costs nearly nothing.
    """
    if text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _CONTROLS.sub("", text))
    if _BIDI.search(text) is None:
        return text
    return "\n".join(_close_bidi(line) for line in text.split("\n"))


def clean_line(text: str) -> str:
    """Return a name, or a text that stands in a line of other words, as `clean` does, with line feeds as spaces."""
    return clean(text).replace("\n", " ")


def strip_bidi(text: str) -> str:
    """Return `text` without bidi characters. For texts that are cut: the cut might remove the closing ones."""
    return text if text.isprintable() else _BIDI.sub("", text)


def _close_bidi(line: str) -> str:
    """Return `line` with each opening closed, and without closings that close nothing."""
    out: list[str] = []
    ends: list[str] = []
    for part in _BIDI.split(line):
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
            # Closing an isolate closes the embeddings inside it too.
            while ends[-1] != part:
                out.append(ends.pop())
            ends.pop()
        out.append(part)
    return "".join(out + ends[::-1])
