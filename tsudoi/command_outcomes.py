"""What comes of commands in version 2, whose answers name their lines; `tsudoi/net/room_commands.py` waits. No I/O."""

from dataclasses import dataclass, field

from tsudoi.events import Answered, Event, Listed, Past, Person, RoomInfo, Row
from tsudoi.protocol.client.slash_commands import PAGE_SIZE

REFUSALS = frozenset(
    (
        *("unknown-command", "usage", "no-such-member", "no-such-page", "not-host", "name-taken", "bad-name"),
        *("misleading-name", "too-long", "too-fast", "muted", "muted-for", "nobody-wrote", "yourself"),
        *("not-muted", "not-banned", "room-stays", "busy", "moved-away"),
    )
)
"""Codes of answers that refuse a command."""
PAGED = frozenset(("who", "rooms", "bans"))
"""Lists that come in pages."""


@dataclass
class PendingCommand:
    """A command that changes something: over with the first thing that comes of it."""

    is_lost: bool = False
    """Whether its membership has ended: nothing more comes of it."""
    result: Event | None = None

    @property
    def refusal(self) -> Answered | None:
        """The answer that refuses it."""
        return self.result if isinstance(self.result, Answered) and self.result.code in REFUSALS else None

    @property
    def over(self) -> bool:
        return self.result is not None

    def offer(self, event: Event, number: int) -> bool:
        """Take an event that comes of its line; return whether that is for the one who gave the command alone."""
        self.result = self.result or event
        return isinstance(event, Answered)


@dataclass
class PendingList:
    """A question whose answer is a list; the list comes in parts, of which some may be lost.

    It may be asked several times. Each answer shows its own moment, so it is over with the first answer that is
    complete: with rows of two, a member that was renamed between them would stand there twice. Answers that are always
    the same, those to `/history` before a position and to `/help`, add up.
    """

    is_lost: bool = False
    """Whether its membership has ended: nothing more comes of it."""
    over: bool = False
    refusal: Answered | None = None
    rows: list[Row] = field(default_factory=list)
    """All rows of the page, once it is over."""
    pages: int = 1
    _found: dict[object, dict[object, Row]] = field(default_factory=dict)
    """Of each answer the rows that have come."""

    @property
    def is_partial(self) -> bool:
        """Whether only parts of answers have come."""
        return not self.over and bool(self._found)

    def offer(self, event: Event, number: int) -> bool:
        """Take an event that comes of its line `number`; return whether that is for the one who asked alone."""
        if self.over:
            return True
        if isinstance(event, Answered):
            self.over = True
            self.refusal = event if event.code != "no-history" else None
        elif isinstance(event, Listed):
            self._take(event, number)
        return True

    def _take(self, part: Listed, number: int) -> None:
        is_paged = part.what in PAGED
        # A log that was trimmed meanwhile gives fewer rows, and another list.
        found = self._found.setdefault(number if is_paged else part.count, {})
        rows = {_key(row): row for row in part.rows}
        if is_paged and not found.keys().isdisjoint(rows):
            found.clear()  # the line was answered again, by another server
        found |= rows
        if len(found) >= (min(part.count - (part.page - 1) * PAGE_SIZE, PAGE_SIZE) if is_paged else part.count):
            self.over, self.rows, self.pages = True, list(found.values()), part.pages


def _key(row: Row) -> object:
    """Return what a row has in each answer to the same question."""
    match row:
        case Person(name) | RoomInfo(name):
            return name
        case Past():
            return row.offset
        case _:
            return row
