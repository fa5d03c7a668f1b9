"""The lines of a client on their way up: numbers, repeats, what is kept; PROTOCOL.md, "Up: kept, once"."""

from collections import deque
from collections.abc import Iterator

import msgspec

from .client_events import Kept, LineRefused
from .lines import UpLine

WINDOW = 32
"""Lines that are on their way at once."""
FIRST_REPEAT_S = 0.1
"""With less, a fast network gains nothing; with more, two losses in a row take longer than 0.3 s."""
FIRST_REPEAT = 1.25
"""The same in round trips: more than one, or each line would be repeated for nothing."""
FIRST_REPEAT_AT_MOST_S = 1.0
STEADY = 3
"""Times that a line is sent before its repeats become rarer."""
LAST_REPEAT_S = 2.0
AGAIN_S = 1.0
"""Pause after a refusal that is not for good."""
MISSED_S = 0.3
"""How late the entry of a line that is kept may be, before the server is asked for the room's newest offset."""
ENTRY_S = 6.0
"""How long the offset of a line that is kept is waited for."""


class Line(msgspec.Struct):
    """A line that is not known to be kept, or whose offset is not known yet."""

    number: int
    text: str
    has_entry: bool
    """It is a message, so that an entry with its offset comes."""
    due_at: float = 0.0
    repeat_s: float = 0.0
    times: int = 0
    sent_at: float | None = None
    """When it was sent, if it was sent once, and did not have to wait for a line before it."""
    since: float = 0.0
    """When it was sent first in this run."""
    kept_at: float = 0.0
    is_asked_for: bool = False
    """Its entry is late, and `misses_entry` has said so."""
    offset: int | None = None


class Uplink:
    """The lines of one member."""

    def __init__(self) -> None:
        """Begin with the number 1."""
        self._last = 0
        self._base = 0
        """The line that the first waiting one follows."""
        self._waiting: deque[Line] = deque()
        self._kept: deque[Line] = deque()
        """Kept lines whose offset is awaited, older than those that wait."""
        self._paused_until = 0.0

    @property
    def waiting(self) -> int:
        """How many lines are neither kept nor refused."""
        return len(self._waiting)

    @property
    def next_number(self) -> int:
        """The lowest number that is not known to be kept."""
        return self._waiting[0].number if self._waiting else self._last + 1

    @property
    def unkept_since(self) -> float | None:
        """When the oldest line on its way was sent first in this run; None: none is on its way."""
        line = self._waiting[0] if self._waiting else None
        return line.since if line is not None and line.times else None

    def add(self, text: str, has_entry: bool, now: float) -> int:
        """Take a line to say; return its number."""
        self._last += 1
        self._waiting.append(Line(self._last, text, has_entry, due_at=now))
        return self._last

    def due(self, now: float, round_trip_s: float) -> Iterator[UpLine]:
        """Yield the lines to send now."""
        if now < self._paused_until:
            return
        before = self._base
        for line, _ in zip(self._waiting, range(WINDOW), strict=False):
            if line.due_at <= now:
                if not line.times:
                    line.since = now
                    line.repeat_s = min(max(FIRST_REPEAT_S, FIRST_REPEAT * round_trip_s), FIRST_REPEAT_AT_MOST_S)
                line.times += 1
                line.sent_at = now if line.times == 1 and line is self._waiting[0] else None
                line.due_at = now + line.repeat_s
                if line.times >= STEADY:
                    line.repeat_s = min(1.5 * line.repeat_s, LAST_REPEAT_S)
                yield UpLine(say=line.text, number=line.number, after=None if before == line.number - 1 else before)
            before = line.number

    def deadline(self, whole_since: float | None) -> float | None:
        """Return when `due`, `overdue` or `misses_entry` has something; None: never.

        Args:
            whole_since: since when no entry is known to be missing; None: some are.
        """
        times = [line.due_at for line, _ in zip(self._waiting, range(WINDOW), strict=False)]
        if times:
            times = [max(min(times), self._paused_until)]
        if whole_since is not None and self._kept:
            line = self._kept[0]
            times.append(max(line.kept_at, whole_since) + (ENTRY_S if line.is_asked_for else MISSED_S))
        return min(times, default=None)

    def keep(self, number: int, now: float) -> tuple[list[Kept], float | None]:
        """Note that a line and all before it are kept; return the events, and a round trip if this shows one."""
        sample = None
        while self._waiting and self._waiting[0].number <= number:
            line = self._waiting.popleft()
            if line.number == number and line.sent_at is not None:
                sample = now - line.sent_at
            line.kept_at = now
            self._kept.append(line)
        self._base = max(self._base, number)
        return self._settled(), sample

    def note_entry(self, number: int, offset: int) -> None:
        """Note the offset of a line, as its entry shows it."""
        for line in (*self._kept, *self._waiting):
            if line.number == number:
                line.offset = offset
                return

    def refuse(self, number: int, again: bool, text: str, now: float) -> list[LineRefused]:
        """Note that a line was not said; return the event if it never will be."""
        line = next((line for line in self._waiting if line.number == number), None)
        if line is None:
            return []
        events = []
        if again:
            self._paused_until = now + AGAIN_S
        else:
            self._waiting.remove(line)
            events = [LineRefused(number, text)]
        # All behind it were not taken either.
        for other in self._waiting:
            if other.number >= number:
                other.due_at, other.times = now, 0
        return events

    def resume(self, said: int, now: float) -> list[Kept]:
        """Begin anew behind the line that the server has last, `said`."""
        events, _ = self.keep(said, now)
        self._base = said
        self._paused_until = 0.0
        for line in self._waiting:
            line.due_at, line.times = now, 0
        return events

    def overdue(self, now: float, whole_since: float) -> list[Kept]:
        """Give up waiting for offsets that are overdue; return the events."""
        for line in self._kept:
            if max(line.kept_at, whole_since) + ENTRY_S <= now:
                line.has_entry = False
        return self._settled()

    def misses_entry(self, now: float, whole_since: float) -> bool:
        """Return, once for each line, whether the entry of a line that is kept is late."""
        line = self._kept[0] if self._kept else None
        if line is None or line.is_asked_for or now < max(line.kept_at, whole_since) + MISSED_S:
            return False
        for each in self._kept:
            each.is_asked_for = True
        return True

    def stop_waiting_for_entries(self) -> list[Kept]:
        """Note that entries are lost: no offset comes any more for lines that are kept."""
        for line in self._kept:
            line.has_entry = False
        return self._settled()

    def settled(self) -> list[Kept]:
        """Return the events of kept lines whose offset is known by now."""
        return self._settled()

    def _settled(self) -> list[Kept]:
        events = []
        while self._kept and (self._kept[0].offset is not None or not self._kept[0].has_entry):
            line = self._kept.popleft()
            events.append(Kept(line.number, line.offset))
        return events
