"""Remember which counts of a run have come; PROTOCOL.md, "Packets".

The algorithm is that of RFC 4303, section 3.4.3: the highest count, and a bit for each of those behind it.
"""

import msgspec

SIZE = 1_024
"""Counts behind the highest that are still taken: reordering within one round trip at full rate."""
_MASK = (1 << SIZE) - 1


class ReplayWindow(msgspec.Struct, eq=False, gc=False):
    """The counts of one run and direction. A Struct has no header for the garbage collector: there is one a member."""

    highest: int = 0
    """The highest count that has come; 0: none."""
    _bits: int = 0
    """Bit i: the count `highest - i` has come."""

    def has(self, count: int) -> bool:
        """Return whether a count has come, or is too old to know."""
        behind = self.highest - count
        return count < 1 or (behind >= 0 and (behind >= SIZE or bool(self._bits >> behind & 1)))

    def add(self, count: int) -> None:
        """Note a count for which `has` is False, once its packet has been opened."""
        ahead = count - self.highest
        if ahead > 0:
            self._bits = (self._bits << ahead & _MASK | 1) if ahead < SIZE else 1
            self.highest = count
        else:
            self._bits |= 1 << -ahead
