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
EARLY_REPEAT_S = 0.12
EARLY = 3
"""So many repeats wait no longer than that, however long a round trip takes: two losses in a row must not cost two."""
RIDES, RIDE_S, RIDE_SIZE = 5, 0.03, 300
"""A line goes again so often with the next ones, if these go so much later: that costs no packet. All that go so have
so many bytes at most."""
STEADY = 3
"""Times that a line is sent before its repeats become rarer."""
LAST_REPEAT_S = 2.0
AGAIN_S = 1.0
"""Pause after a refusal that is not for good."""
MISSED_S = 0.3
"""How late the entry of a line that is kept may be, before the server is asked for the room's newest offset."""
ASK_AGAIN_S = 1.0
"""Between two such questions: the server may not have the entry yet, if its broker has just been started again."""
ENTRY_S = 30.0
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
    rides: int = 0
    """How often it went with others before its time."""
    sent_at: float | None = None
    """When it was sent, if it was sent once, and did not have to wait for a line before it."""
    since: float = 0.0
    """When it was sent first in this run."""
    went_at: float = 0.0
    """When it was sent last."""
    kept_at: float = 0.0
    ask_at: float = 0.0
    """When `misses_entry` says again that its entry is late."""
    offset: int | None = None

    def may_ride(self, now: float) -> bool:
        """Return whether it may go again with others, before its time."""
        return self.times > 0 and self.rides < RIDES and now >= self.went_at + RIDE_S

    def ride(self, now: float) -> None:
        """Note that it goes with others now."""
        self.rides += 1
        self.went_at = now
        self.sent_at = None
        self.due_at = max(self.due_at, now + EARLY_REPEAT_S)

    def send(self, now: float, round_trip_s: float, early: int, *, is_first: bool) -> None:
        """Note that it is sent now; `early` repeats wait for no round trip. `is_first`: no line before it waits."""
        if not self.times:
            self.since, self.rides = now, 0
            self.repeat_s = min(max(FIRST_REPEAT_S, FIRST_REPEAT * round_trip_s), FIRST_REPEAT_AT_MOST_S)
        self.times += 1
        self.went_at = now
        self.sent_at = now if self.times == 1 and is_first else None
        self.due_at = now + (min(self.repeat_s, EARLY_REPEAT_S) if self.times <= early else self.repeat_s)
        if self.times >= STEADY:
            self.repeat_s = min(1.5 * self.repeat_s, LAST_REPEAT_S)


class Uplink:
    """The lines of one member."""

    def __init__(self) -> None:
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

    def due(self, now: float, round_trip_s: float, *, is_lossless: bool = False) -> Iterator[UpLine]:
        """Yield the lines to send now; over TCP, which `is_lossless`, none goes again before its answer is late."""
        if now < self._paused_until:
            return
        window = [line for line, _ in zip(self._waiting, range(WINDOW), strict=False)]
        room = RIDE_SIZE if not is_lossless and any(line.due_at <= now for line in window) else 0
        before = self._base
        for line in window:
            size = len(line.text.encode())
            is_due = line.due_at <= now
            if is_due:
                line.send(now, round_trip_s, 0 if is_lossless else EARLY, is_first=line is self._waiting[0])
            elif size <= room and line.may_ride(now):
                room -= size
                line.ride(now)
                is_due = True
            if is_due:
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
            begun = max(line.kept_at, whole_since)
            times.append(min(max(line.ask_at, begun + MISSED_S), begun + ENTRY_S))
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
        return self.settled(), sample

    def note_entry(self, number: int, offset: int) -> None:
        """Note the offset of a line, as its entry shows it."""
        for line in (*self._kept, *self._waiting):
            if line.number == number:
                line.offset = offset
                return

    def keep_heard(self, now: float) -> list[Kept]:
        """Note that all lines up to the last one whose entry has come are kept; return the events."""
        return self.keep(max((line.number for line in self._waiting if line.offset is not None), default=0), now)[0]

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
        return self.settled()

    def misses_entry(self, now: float, whole_since: float) -> bool:
        """Return, each `ASK_AGAIN_S`, whether the entry of a line that is kept is late."""
        line = self._kept[0] if self._kept else None
        if line is None or now < max(line.ask_at, max(line.kept_at, whole_since) + MISSED_S):
            return False
        for each in self._kept:
            each.ask_at = now + ASK_AGAIN_S
        return True

    def stop_waiting_for_entries(self) -> list[Kept]:
        """Note that entries are lost: no offset comes any more for lines that are kept."""
        for line in self._kept:
            line.has_entry = False
        return self.settled()

    def settled(self) -> list[Kept]:
        """Return the events of kept lines whose offset is known by now."""
        events = []
        while self._kept and (self._kept[0].offset is not None or not self._kept[0].has_entry):
            line = self._kept.popleft()
            events.append(Kept(line.number, line.offset))
        return events
