"""A room's entries on their way down: in order, exactly once; PROTOCOL.md, "Down: in order, exactly once"."""

import msgspec

from .client_events import Delivered, Gap, Reset

PATIENCE_S = 0.04
"""How long bodies that are missing are waited for: what was overtaken comes within that."""
WANT_S = 0.1
EARLY_S = 0.12
EARLY = 2
"""So many questions wait no longer than that for the one before: it may be lost, or its answer."""
STEADY = 3
"""Times that a hole is asked for again before that becomes rarer: else two losses in a row take more than 0.3 s."""
LAST_WANT_S = 1.0
HOLES = 8
"""Holes that are asked for at once, the first ones. With one at a time, a room of 50 lines a second falls behind at a
loss of a tenth: holes come as fast as they are filled."""
HELD = 512
"""Bodies that wait for those before them; beyond it the one that is farthest ahead is dropped, and asked for later."""


class Hole(msgspec.Struct):
    """Offsets behind `after` up to `to` that are missing."""

    after: int
    to: int
    due_at: float
    """When to ask for them."""
    interval_s: float = WANT_S
    times: int = 0
    """How often they were asked for."""

    def ask(self, now: float, round_trip_s: float) -> None:
        self.times += 1
        if self.times > STEADY:
            self.interval_s = min(2 * self.interval_s, LAST_WANT_S)
        patience_s = max(self.interval_s, round_trip_s)
        self.due_at = now + (min(patience_s, EARLY_S) if self.times <= EARLY else patience_s)


class Range(msgspec.Struct):
    """A body's entries: all that this member gets of the offsets behind `after`, up to `to`."""

    after: int
    to: int
    entries: list[Delivered] = []


DownEvent = Delivered | Gap | Reset


class Downlink:
    """The position of one member, and what has come from beyond it."""

    def __init__(self, epoch: int, offset: int) -> None:
        """Begin behind `offset`."""
        self.epoch = epoch
        self.offset = offset
        """Everything up to here is delivered, or reported as lost."""
        self._last = offset
        """The newest offset that the server has named."""
        self._held: dict[int, Range] = {}
        """`after` → a body from beyond a hole."""
        self._holes: list[Hole] = []
        """In their order; the first begins at `offset`."""

    def take(self, body: Range, now: float, round_trip_s: float) -> list[DownEvent]:
        """Take a body's entries; return what can be delivered now."""
        if body.to <= self.offset:
            return []
        self._last = max(self._last, body.to)
        held = self._held.get(body.after)
        if held is None or held.to < body.to:
            self._held[body.after] = body
            if len(self._held) > HELD:
                del self._held[max(self._held)]
        return self._advance(now, round_trip_s)

    def note_last(self, epoch: int, last: int, now: float) -> None:
        """Take the newest offset of the room."""
        if epoch == self.epoch and last > self._last:
            self._last = last
            self._find_holes(now, 0.0)

    def resume(self, state: str, epoch: int, offset: int, now: float, round_trip_s: float) -> list[DownEvent]:
        """Take the position from which the server goes on; return the events about entries before it.

        An offset that the server calls lost lies behind the position that the client sent, so it says nothing more.
        """
        if state == "reset" or epoch != self.epoch:
            self.epoch, self.offset, self._last = epoch, offset, offset
            self._held.clear()
            self._holes = []
            return [Reset()]
        if offset <= self.offset:
            return []
        # A server that says "complete" of a position beyond this one is wrong: what is between is lost, too.
        self._last = max(self._last, offset)
        return self._skip(offset) + self._advance(now, round_trip_s)

    def give_up(self) -> list[DownEvent]:
        """Deliver what is held, and report what is missing before the newest offset as lost: nothing more comes."""
        self._holes = []
        return self._skip(self._last)

    def wants(self, now: float, round_trip_s: float) -> list[tuple[int, int]]:
        """Return the holes to ask for now: for each the offsets behind the first number, up to the second."""
        due = [hole for hole in self._holes[:HOLES] if hole.due_at <= now]
        for hole in due:
            hole.ask(now, round_trip_s)
        return [(hole.after, hole.to) for hole in due]

    def deadline(self) -> float | None:
        """Return when `wants` has something to ask for; None: never."""
        return min((hole.due_at for hole in self._holes[:HOLES]), default=None)

    def _advance(self, now: float, round_trip_s: float) -> list[DownEvent]:
        """Deliver the bodies that follow, and look which holes there are."""
        events: list[DownEvent] = []
        while (body := self._next()) is not None:
            events += self._deliver(body)
        self._find_holes(now, round_trip_s)
        return events

    def _find_holes(self, now: float, round_trip_s: float) -> None:
        if self.offset >= self._last:
            self._holes = []
            return
        before, self._holes = {hole.to: hole for hole in self._holes}, []
        end = self.offset
        for after in (*sorted(self._held), self._last):
            if after > end:
                self._holes.append(self._hole(before.get(after), end, after, now, round_trip_s))
            end = max(end, self._held[after].to if after in self._held else after)

    def _hole(self, known: Hole | None, after: int, to: int, now: float, round_trip_s: float) -> Hole:
        if known is None:
            return Hole(after, to, now + PATIENCE_S)
        if known.after < after:
            # One that was asked for and shrinks is being sent.
            return Hole(after, to, now + (max(WANT_S, round_trip_s) if known.times else PATIENCE_S))
        return known

    def _next(self) -> Range | None:
        """Return the held body that goes on from the position, if there is one; drop those that are behind it."""
        for after in [after for after, body in self._held.items() if body.to <= self.offset]:
            del self._held[after]
        first = min(self._held, default=self.offset + 1)
        return None if first > self.offset else self._held.pop(first)

    def _deliver(self, body: Range) -> list[DownEvent]:
        entries = sorted((entry for entry in body.entries if self.offset < entry.offset <= body.to), key=_offset)
        self.offset = body.to
        return [entry for at, entry in enumerate(entries) if not at or entry.offset > entries[at - 1].offset]

    def _skip(self, end: int) -> list[DownEvent]:
        """Go to `end`, which the server can not fill: deliver what is held, and report the rest as lost."""
        events: list[DownEvent] = []
        while self.offset < end:
            if (body := self._next()) is not None:
                events += self._deliver(body)
                continue
            stop = min(min(self._held, default=end), end)
            events.append(Gap(self.offset + 1, stop))
            self.offset = stop
        return events


def _offset(entry: Delivered) -> int:
    return entry.offset
