"""Keep a text's further lines from looking like the room's, and from filling screens; PROTOCOL.md, "Datagrams"."""

import re

FURTHER = "  | "
"""Before each further line of a member's text, in forms that clients print as they come. No name begins with white
space, so a line feed in a text can not begin what looks like a line of another member or of the server."""
MAX_LINES = 50
"""Lines of one text. A datagram of unbroken text fills about as many, of 80 columns."""

_BLANK_LINES = re.compile(r"\n\s*\n")
_FURTHER_LINE = re.compile(r"\n(?=[^\n])")


def mark_further_lines(text: str) -> str:
    """Return a member's text with a mark before each further line that is not empty."""
    return _FURTHER_LINE.sub("\n" + FURTHER, text) if "\n" in text else text


def unmark_further_lines(text: str) -> str:
    """Return a text as it was before `mark_further_lines`."""
    return text.replace("\n" + FURTHER, "\n")


def bound_lines(text: str) -> str:
    """Return a text with runs of blank lines as one, none at its end, and at most `MAX_LINES` lines.

    Line feeds beyond that become spaces, so no word is lost. One line feed at the end stays: some clients send it.
    """
    if "\n" not in text:
        return text
    *lines, rest = without_blank_runs(text).split("\n", MAX_LINES - 1)
    return "\n".join([*lines, rest.replace("\n", " ")])


def has_too_many_lines(text: str) -> bool:
    """Return whether `bound_lines` joins lines of a text."""
    return without_blank_runs(text).rstrip("\n").count("\n") >= MAX_LINES


def without_blank_runs(text: str) -> str:
    """Return a text with runs of blank lines as one, and none at its end."""
    text = _BLANK_LINES.sub("\n\n", text)
    printed = text.rstrip()
    return printed + "\n" if "\n" in text[len(printed) :] else text
