"""Keep the order of a member's numbered lines; PROTOCOL.md, "Up: kept, once". No I/O, no clock.

A line names the line before it. It is *published* as soon as that one is, and the broker keeps it only directly behind
that one. So no line is doubled or overtakes another, whatever the network loses. A published line is *kept* when it
comes back in the room's order. If it does not and the client repeats it, the broker is asked. Consecutive lines of one
body are published together.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto

from tsudoi.protocol.backbone import MAX_LINES
from tsudoi.protocol.sealed.lines import UpLine

WINDOW = MAX_LINES
"""Lines of a client that are on their way at once."""
HELD = 32_768
"""Characters of lines of one client that wait for lines before them; the client repeats what is dropped. Texts that are
too long to be said are found out only when their turn comes: 32 of these would be half a megabyte a member."""


class LineAction(Enum):
    """What a gateway is to do about a numbered line that a client has sent; `NumberedLines.judge` returns it."""

    TAKE = auto()
    """Its turn has come: publish it and call `published`, or ask the broker and call `asked`."""
    ASK = auto()
    """It was published, and its client does not know whether it is kept: if it should be kept by now, ask."""
    KEPT = auto()
    """It is kept: say so."""
    REFUSED = auto()
    """It was refused for good: say so again."""
    WAIT = auto()
    """It waits for lines before it; or it is being published or asked about; or it does not fit."""


def before(line: UpLine) -> int:
    """Return the number of the line that a line names as the one before it."""
    return line.number - 1 if line.after is None else line.after


class NumberedLines:
    """The lines of one member at this gateway: those with `say` and a `number`."""

    __slots__ = ("_published", "_waiting", "asking", "held", "kept", "last", "refused")

    def __init__(self, kept: int) -> None:
        """Begin with the number of the member's last line that is kept."""
        self.kept = self.last = kept
        """`last`: the number of the last line that was published, behind which the next one goes."""
        self._published: deque[tuple[int, int, int]] = deque()
        """Numbers of the first and the last of published lines that are not all known to be kept, and the count of
        items with theirs (`Publisher`)."""
        self._waiting = 0
        """How many lines these are, with those of them that are kept."""
        self.held: dict[int, UpLine] = {}
        """Lines that came too early, by the number of the line that they follow on; `next` gives them out."""
        self.refused: dict[int, str] = {}
        """Numbers of lines that are refused for good → why."""
        self.asking = 0
        """The number of the line that the broker is asked about; 0: none."""

    def judge(self, line: UpLine) -> LineAction:
        """Decide on a line of the client, and hold it if it came too early."""
        after = before(line)
        if line.number in self.refused:
            return LineAction.REFUSED
        if line.number <= self.kept or after < self.kept:
            return LineAction.KEPT
        if line.number > self.last:
            if after == self.last and not self.asking and self._waiting < WINDOW:
                return LineAction.TAKE
            if after >= self.last:
                self.hold(line)
        elif self._published and max(self._published[0][0], self.kept + 1) == line.number and not self.asking:
            return LineAction.ASK
        return LineAction.WAIT

    def together(self, lines: Sequence[UpLine]) -> Sequence[UpLine]:
        """Return those lines, from the first on, that can be taken together; the first can be taken."""
        number, refused = lines[0].number, self.refused
        lines = lines[: WINDOW - self._waiting]
        for count, line in enumerate(lines[1:], 1):
            after = number
            number += 1
            if line.number != number or (line.after is not None and line.after != after) or number in refused:
                return lines[:count]
        return lines

    def hold(self, line: UpLine) -> None:
        """Hold a line that can not be taken yet."""
        place = before(line)
        others = [len(each.say or "") for after, each in self.held.items() if after != place]
        if len(others) < WINDOW and sum(others) + len(line.say or "") <= HELD:
            self.held[place] = line

    def next(self) -> UpLine | None:
        """Return the held line whose turn has come, and hold it no more."""
        if self.asking or self._waiting >= WINDOW:
            return None
        line = self.held.pop(self.last, None)
        return line if line is not None and line.number > self.last and line.number not in self.refused else None

    @property
    def are_all_kept(self) -> bool:
        """Whether all published lines are kept; a command is not sent to the broker before that."""
        return not self._published

    def published(self, first: int, last: int, item: int) -> None:
        """Note that lines were published as item number `item` of their shard (`Routes.published`)."""
        self._published.append((first, last, item))
        self._waiting += last - first + 1
        self.last = last

    def item_of(self, number: int) -> int:
        """Return the number of the item as which a line was published; 0 if it was not."""
        return next((item for first, last, item in self._published if first <= number <= last), 0)

    def note_kept(self, number: int) -> None:
        """Note that a line is kept, and so all before it."""
        if number <= self.kept:
            return
        self.kept = number
        while self._published and self._published[0][1] <= number:
            first, last, _ = self._published.popleft()
            self._waiting -= last - first + 1
        self.last = max(self.last, number)
        if self.held:
            self.held = {after: line for after, line in self.held.items() if line.number > number}

    def refuse(self, number: int, why: str, *, for_good: bool) -> None:
        """Note that a line was refused, with the reason `why`; published lines behind it are not kept either."""
        self._forget_published()
        self.last = self.kept
        if for_good:
            self.refused[number] = why
            if len(self.refused) > WINDOW:
                del self.refused[next(iter(self.refused))]

    def begin_run(self, said: int) -> None:
        """Begin again for a client that has resumed; `said` is its last kept line, as the directory knows."""
        self.held.clear()
        self.refused.clear()
        self.asking = 0
        self._forget_published()
        self.kept = self.last = said

    def _forget_published(self) -> None:
        self._published.clear()
        self._waiting = 0
