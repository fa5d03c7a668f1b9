"""A room's entries on their way down: in order, exactly once; PROTOCOL.md, "Down: in order, exactly once"."""

from .client_events import Delivered, Gap, Reset

PATIENCE_S = 0.04
"""How long bodies that are missing are waited for: what was overtaken comes within that."""
WANT_S = 0.1
LAST_WANT_S = 1.0
HELD = 512
"""Bodies that wait for those before them; beyond it the one that is farthest ahead is dropped, and asked for later."""


class Range:
    """A body's entries: all that this member gets of the offsets behind `after`, up to `to`."""

    __slots__ = ("after", "entries", "to")

    def __init__(self, after: int, to: int) -> None:
        """Begin without entries."""
        self.after = after
        self.to = to
        self.entries: list[Delivered] = []


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
        self._want_at: float | None = None
        """When to ask for the hole; None: there is none."""
        self._interval_s = WANT_S

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
            if self._want_at is None:
                self._look(now, PATIENCE_S)

    def resume(
        self, state: str, epoch: int, offset: int, lost: tuple[int, int] | None, now: float, round_trip_s: float
    ) -> list[DownEvent]:
        """Take the position from which the server goes on; return what that says about what was before."""
        if state == "reset" or epoch != self.epoch:
            self.epoch, self.offset, self._last = epoch, offset, offset
            self._held.clear()
            self._want_at = None
            return [Reset()]
        if offset <= self.offset:
            return []
        # A server that says "complete" of a position beyond this one is wrong: what is between is lost, too.
        self._last = max(self._last, offset)
        del lost  # It begins behind the position that the client told, so it says nothing new.
        return self._skip(offset) + self._advance(now, round_trip_s)

    def want(self, now: float, round_trip_s: float) -> tuple[int, int] | None:
        """Return the hole to ask for now: the offsets behind the first number, up to the second."""
        if self._want_at is None or now < self._want_at:
            return None
        self._want_at = now + max(self._interval_s, round_trip_s)
        self._interval_s = min(2 * self._interval_s, LAST_WANT_S)
        return self.offset, min(self._held, default=self._last)

    def deadline(self) -> float | None:
        """Return when `want` has something to ask for; None: never."""
        return self._want_at

    def _advance(self, now: float, round_trip_s: float) -> list[DownEvent]:
        """Deliver the bodies that follow, and look whether there is a hole."""
        events: list[DownEvent] = []
        while (body := self._next()) is not None:
            events += self._deliver(body)
        if self.offset >= self._last:
            self._want_at = None
        elif events or self._want_at is None:
            # A hole that was asked for and shrinks is being sent.
            is_coming = self._want_at is not None and self._interval_s > WANT_S
            self._look(now, max(WANT_S, round_trip_s) if is_coming else PATIENCE_S)
        return events

    def _look(self, now: float, patience_s: float) -> None:
        self._want_at = now + patience_s
        self._interval_s = WANT_S

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
