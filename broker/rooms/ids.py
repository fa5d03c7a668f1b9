"""Give rooms and members ids that are never given twice, not even by a broker that has lost its store."""

_TIME_SHIFT = 16


class Ids:
    """Ids begin with the milliseconds of their creation, and grow."""

    def __init__(self) -> None:
        self._last = 0

    def seen(self, used: int) -> None:
        """Note an id that is in use."""
        self._last = max(self._last, used)

    def new(self, wall_ms: int) -> int:
        """Return a new id."""
        # CPython allocates room for a carry with a sum, and keeps it; `| 0` copies the number without.
        self._last = max(self._last + 1, wall_ms << _TIME_SHIFT) | 0
        return self._last


def created_ms(given: int) -> int:
    """Return when an id was given, in milliseconds of Unix time, as far as the clock was right."""
    return given >> _TIME_SHIFT
