"""A fuzzer's bytes as a story of several pieces, so that what has a state can be told one after the other."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


class Pieces:
    """Reads from the front; what is not there any more reads as zero or nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Return the next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def one_of(self, choices: Sequence[_T]) -> _T:
        """Return what the next byte chooses."""
        return choices[self.byte() % len(choices)]

    def rest(self) -> bytes:
        """Return all that is left."""
        at, self._at = self._at, len(self._data)
        return self._data[at:]

    def each(self, most: int = 64) -> Iterator[tuple[int, bytes]]:
        """Yield (what to do with it, some bytes) until nothing is left, as `written` puts it."""
        for _ in range(most):
            if self._at >= len(self._data):
                return
            kind, size = self.byte(), self.byte() << 8 | self.byte()
            yield kind, self._data[self._at : self._at + size]
            self._at += size


def written(*pieces: tuple[int, bytes]) -> bytes:
    """Return what `Pieces.each` reads as these."""
    return b"".join(bytes((kind, len(data) >> 8, len(data) & 255)) + data for kind, data in pieces)
