"""What the broker has not accepted yet, numbered and in order; ARCHITECTURE.md, "Accepted is kept".

An item goes at once if nothing went lately; else it waits for company until `gather_s` after the last frame, so that
under load one frame carries many.
"""

from collections import deque
from itertools import islice

from tsudoi.ops.histogram import ITEMS, SECONDS, Histogram
from tsudoi.protocol.backbone import Item, Publish
from tsudoi.protocol.codes import EntryKind

GATHER_S = 0.001
"""The least time between two frames: each costs every process on the way a wake-up and the store a commit, whatever it
carries. What comes after a pause goes at once. uvloop's timers know nothing finer."""
BUSY_ITEMS, GATHER_BUSY_S = 6, 0.004
"""While frames carry this many items all the same, fewer and fuller ones are worth the milliseconds: the way of a frame
costs some 0.4 ms of CPU over all processes, however full it is (benchmarks/RESULTS.md)."""
ITEMS_A_FRAME = 512
FRAMES_OUTSTANDING = 16
RESEND_S = 1.0
"""When the broker has not moved on for this long, everything that it has not accepted is sent again."""

_TALK = frozenset({EntryKind.SAID, EntryKind.COMMANDED})


class Publisher:
    """The sender's half of the accepted-once stream to the broker."""

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` items; beyond that, what members say is dropped and counted."""
        self.capacity = capacity
        self._items: deque[Item] = deque()
        """Not accepted; the first has number `_accepted + 1`."""
        self._accepted = 0
        self._sent = 0
        """Number of the last item that was sent since the last start over."""
        self._frames: deque[int] = deque()
        """Last numbers of the frames that are outstanding."""
        self._sent_at: deque[float] = deque()
        """When those were sent."""
        self._moved_at = 0.0
        self._open = False
        self.dropped = 0
        """Items that found the window full: what they say was never accepted."""
        self.resent = 0
        self.accept_s = Histogram(SECONDS)
        """How long frames took to be accepted."""
        self.batches = Histogram(ITEMS)
        """Items in each frame."""
        self.gather_s = GATHER_S
        """How long after the last frame the next one should go."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def accepted(self) -> int:
        """Number of the last item that the broker has."""
        return self._accepted

    @property
    def waiting(self) -> bool:
        """Whether something has not been sent yet."""
        return self._sent < self._accepted + len(self._items)

    @property
    def idle(self) -> bool:
        """Whether nothing is outstanding, so that what comes now can go at once."""
        return not self._frames

    def add(self, item: Item) -> bool:
        """Take an item; False if there is no room for it. For what nobody says there always is: members bound it."""
        if len(self._items) >= self.capacity and item.kind in _TALK:
            self.dropped += 1
            return False
        self._items.append(item)
        return True

    def welcome(self, accepted: int, now: float) -> None:
        """The broker knows us, and has taken all up to `accepted`: start over after that.

        If that is less than it has told us before, it has forgotten us: what it has not accepted gets new numbers.
        """
        self.accept(accepted, now)
        self._start_over(now)
        self._accepted = self._sent = accepted
        self._open = True

    def close(self) -> None:
        """The broker does not know us: send nothing before the next welcome."""
        self._open = False

    def accept(self, number: int, now: float) -> None:
        """The broker has all items up to `number`."""
        while self._accepted < number and self._items:
            self._items.popleft()
            self._accepted += 1
            self._moved_at = now
        while self._frames and self._frames[0] <= number:
            self._frames.popleft()
            self.accept_s.note(now - self._sent_at.popleft())
        self._sent = max(self._sent, self._accepted)

    def frames(self, now: float) -> list[Publish]:
        """Return what is to be sent at `now`, as far as the window is open."""
        if not self._open:
            return []
        if self._frames and now - self._moved_at > RESEND_S:
            self._start_over(now)
        frames = []
        while self.waiting and len(self._frames) < FRAMES_OUTSTANDING:
            skip = self._sent - self._accepted
            items = list(islice(self._items, skip, skip + ITEMS_A_FRAME))
            if not self._frames:
                self._moved_at = now
            frames.append(Publish(self._sent + 1, items))
            self.gather_s = GATHER_BUSY_S if len(items) >= BUSY_ITEMS else GATHER_S
            self._sent += len(items)
            self._frames.append(self._sent)
            self._sent_at.append(now)
            self.batches.note(len(items))
        return frames

    def _start_over(self, now: float) -> None:
        self.resent += self._sent - self._accepted
        self._sent = self._accepted
        self._frames.clear()
        self._sent_at.clear()
        self._moved_at = now
