"""Keep items that the broker has not accepted yet, numbered and in order; ARCHITECTURE.md, "Accepted is kept"."""

from bisect import bisect_left
from collections import deque
from itertools import accumulate, islice

from tsudoi.ops.histogram import Histogram
from tsudoi.protocol.backbone import Item, Publish
from tsudoi.protocol.codes import EntryKind

from ..counters import Counters
from .gathering import Gathering, further_lines

LINES_A_FRAME, FRAMES_OUTSTANDING = 512, 16
"""Lines in a frame from which on it takes no further item, and most frames that are not yet accepted."""
RESEND_S = 1.0
"""After this time without progress all unaccepted items are sent again."""

TALK = frozenset({EntryKind.SAID, EntryKind.COMMANDED})
"""Items that are refused when too many wait. The others are few: the number of members here bounds them."""


class Publisher:
    """The sending half of a stream whose items the broker accepts exactly once; `now` is monotonic seconds."""

    def __init__(self, capacity: int) -> None:
        """Begin closed; keep at most `capacity` lines before messages and commands are refused."""
        self.capacity = capacity
        self._items: deque[Item] = deque()
        """Unaccepted; the first has number `accepted + 1`."""
        self._further = 0
        """Lines of these beyond one each."""
        self.accepted = 0
        """Number of the last item that the broker has accepted."""
        self._sent = 0
        """Number of the last item that has been sent since everything was last sent again."""
        self._highest = 0
        """Number of the last item that has ever been sent."""
        self._frames: deque[tuple[int, float]] = deque()
        """(last number, when it was sent) of each frame that is not accepted."""
        self._moved_at = 0.0
        """When the broker last accepted an item."""
        self._open = False
        self.settled = 0
        """Items that were accepted, or taken back, since the start."""
        self.resent = 0
        """Items that were sent again."""
        self.accept_s = Histogram()
        self.gathering = Gathering(Counters())
        """Notes how many items are sent; links of one gateway share it."""

    def __len__(self) -> int:
        """Return how many items are not accepted."""
        return len(self._items)

    @property
    def lines(self) -> int:
        """How many messages, commands and events wait to be accepted: an item may have several lines."""
        return len(self._items) + self._further

    @property
    def added(self) -> int:
        """How many items were taken since the start."""
        return self.settled + len(self._items)

    @property
    def waiting(self) -> int:
        """How many items have not been sent yet."""
        return self.accepted + len(self._items) - self._sent

    def add(self, item: Item) -> bool:
        """Take an item; return False if it is a message or a command and too many items wait."""
        items = self._items
        if len(items) + self._further >= self.capacity and item.kind in TALK:
            return False
        items.append(item)
        if item.more:
            self._further += len(item.more)
        return True

    def take_back(self) -> list[Item]:
        """Return all items that are not accepted, and keep none."""
        items = list(self._items)
        self._items.clear()
        self.settled += len(items)
        self._further = 0
        self._frames.clear()
        self._sent = self.accepted
        return items

    def welcome(self, accepted: int, now: float) -> None:
        """Begin to send: the broker knows this gateway, and has accepted everything up to `accepted`.

        The rest is sent again. If the broker had accepted more before, it has forgotten this gateway, and the items get
        new numbers. If it has accepted numbers that were never given here, they say nothing about the items here.
        """
        if accepted < self.accepted:
            self._highest = accepted  # the numbers above it are given anew
        self.accept(min(accepted, self._highest), now)
        self._send_again()
        self.accepted = self._sent = accepted
        self._highest = max(self._highest, accepted)
        self._open = True

    def close(self) -> None:
        """Send nothing before the next welcome: the broker does not know this gateway."""
        self._open = False

    def accept(self, number: int, now: float) -> None:
        """Forget all items up to `number`: the broker has accepted them."""
        items, frames = self._items, self._frames
        count = min(number - self.accepted, len(items))
        if count > 0:
            self._further -= further_lines(islice(items, count))
            for _ in range(count):
                items.popleft()
            self.settled += count
            self.accepted += count
            self._moved_at = now
        while frames and frames[0][0] <= number:
            self.accept_s.note(now - frames.popleft()[1])
        if self._sent < self.accepted:
            self._sent = self.accepted

    def frames(self, now: float) -> list[Publish]:
        """Return the frames to send now, as far as frames may be outstanding."""
        if not self._open:
            return []
        if self._frames and now - self._moved_at > RESEND_S:
            self._send_again()
        frames = []
        while (skip := self._sent - self.accepted) < len(self._items) and len(self._frames) < FRAMES_OUTSTANDING:
            items = list(islice(self._items, skip, skip + LINES_A_FRAME))
            if self._further:
                del items[bisect_left(list(accumulate(1 + len(item.more) for item in items)), LINES_A_FRAME) + 1 :]
            if not self._frames:
                self._moved_at = now
            frames.append(Publish(self._sent + 1, items))
            self.gathering.note(items, now)
            self._sent += len(items)
            if self._sent > self._highest:
                self._highest = self._sent
            self._frames.append((self._sent, now))
        return frames

    def _send_again(self) -> None:
        self.resent += self._sent - self.accepted
        self._sent = self.accepted
        self._frames.clear()
