"""What gateways want and have not been given yet: a line for each key, served in turn by the time that it takes.

A gateway whose key was stolen may say whatever costs us most, as fast as it can. So nobody is served by what it says,
but by the clock: each line has a slice, what it takes beyond that is its debt, and it waits until all others have had
as much. Who is alone has all the time, and what a gateway says stays in order.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

SLICE_S = 0.001
"""What a line is served for before it is the next one's turn."""
EACH = 200
"""Bytes that each thing in a line costs beside its own."""

_Thing = TypeVar("_Thing")


class _Line(Generic[_Thing]):
    __slots__ = ("credit_s", "size", "things")

    def __init__(self) -> None:
        self.things: deque[tuple[str, int, _Thing]] = deque()
        """(gateway instance, bytes, what it wants)"""
        self.size = 0
        self.credit_s = 0.0
        """Less than zero: it has had more than its share."""


class Lines(Generic[_Thing]):
    """Lines of things that wait. Knows no clock but the one it is given."""

    def __init__(self, most: int) -> None:
        """Let a line have room as long as it has no more than so many bytes."""
        self._most = most
        self._lines: dict[str, _Line[_Thing]] = {}
        """Account → what waits; the first is served next. None is empty."""
        self._debts: dict[str, float] = {}
        """Account → credit below zero of one whose line came to its end while others waited."""

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def has_room(self, account: str) -> bool:
        """Say whether one more thing may wait, however large it is."""
        line = self._lines.get(account)
        return line is None or line.size <= self._most

    def add(self, account: str, peer: str, thing: _Thing, size: int = 0) -> None:
        """Let a thing wait; whether there is room, is to be asked before.

        Args:
            account: whose line it is: all gateways of a key have one.
            peer: the gateway instance that wants it.
            thing: what it wants.
            size: bytes that it holds.
        """
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line()
            line.credit_s = self._debts.pop(account, 0.0)
        size += EACH
        line.size += size
        line.things.append((peer, size, thing))

    def serve(
        self, until: float, clock: Callable[[], float], handle: Callable[[str, _Thing], Sequence[tuple[_Thing, int]]]
    ) -> None:
        """Handle what waits, until nothing does or the clock says `until`; at least one thing.

        Args:
            until: see above.
            clock: monotonic seconds.
            handle: takes (gateway instance, thing), and returns (thing, size) of the parts that it is to be handled in:
                these come next in its line.
        """
        lines, now = self._lines, clock()
        while lines:
            account = next(iter(lines))
            line = lines[account]
            line.credit_s = min(line.credit_s + SLICE_S, SLICE_S)
            things = line.things
            if line.credit_s > 0 or len(lines) == 1:
                while things:
                    peer, size, thing = things.popleft()
                    line.size -= size
                    if parts := handle(peer, thing):
                        for part, size in reversed(parts):
                            line.size += size + EACH
                            things.appendleft((peer, size + EACH, part))
                    before, now = now, clock()
                    line.credit_s -= now - before
                    if now >= until or line.credit_s <= 0:
                        break
            del lines[account]
            if things:
                lines[account] = line
            elif line.credit_s < 0:
                self._debts[account] = line.credit_s
            if now >= until:
                break
        if not lines:
            # Nobody waits, so nobody is owed anything.
            self._debts.clear()

    def forget(self, account: str) -> None:
        """Drop a line with all that waits in it."""
        self._lines.pop(account, None)

    def waiting(self) -> Iterable[tuple[str, _Thing]]:
        """Return (gateway instance, thing) of all that waits."""
        return [(peer, thing) for line in self._lines.values() for peer, _, thing in line.things]
