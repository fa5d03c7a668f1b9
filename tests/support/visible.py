"""Where the next visible character of a text ends."""

from tsudoi.protocol.visible_characters import boundary


def next_boundary(text: str, at: int) -> int:
    """Return the first place behind `at` where the text may be cut; its end if there is none."""
    return next((end for end in range(at + 1, len(text)) if boundary(text, end) == end), len(text))
