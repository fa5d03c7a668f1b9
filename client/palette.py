"""Colours that can be read on dark and on light backgrounds: numbers of the 256 that terminals have.

Not the first 16, which each terminal's theme sets: there yellow is nearly white on white, and in Solarized bright black
is the background itself.
"""

import zlib

NAMES = (31, 28, 130, 133, 63, 162, 64)
"""Of members."""
QUIET = 243
"""Of notices, times and lines between."""
LOUD = 130
"""Of what is for the user: mentions, and what must not be missed."""
MORE = 31
"""Of signs that there is more to read."""


def place_of(name: str) -> int:
    """Return the place of a member's colour in NAMES; the same name always has the same one."""
    return zlib.crc32(name.encode(errors="replace")) % len(NAMES)
