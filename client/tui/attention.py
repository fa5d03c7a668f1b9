"""Draw the user's attention: the bell, and a desktop notification where the terminal can show one."""

import os
from collections.abc import Mapping

LONGEST = 120
"""Characters of a notification."""


def sequence(title: str, text: str, is_away: bool, environment: Mapping[str, str] = os.environ) -> str:
    """Return what is written to the terminal.

    OSC 9 is iTerm2's, OSC 777 that of most others; terminals that know neither ignore both. Not both: some know both.
    tmux and screen pass the bell on, and no notification.
    """
    if not is_away or environment.get("TMUX") or environment.get("TERM", "").startswith("screen"):
        return "\a"
    title, text = _clean(title).replace(";", ","), _clean(text)[:LONGEST]
    if environment.get("TERM_PROGRAM") == "iTerm.app":
        return f"\a\x1b]9;{title}: {text}\x1b\\"
    return f"\a\x1b]777;notify;{title};{text}\x1b\\"


def _clean(text: str) -> str:
    """Return a text without characters that would end the sequence early."""
    return "".join(char if char.isprintable() else " " for char in text)
