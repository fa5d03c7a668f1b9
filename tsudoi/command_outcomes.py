"""What comes of commands in version 2, whose answers name their lines; `tsudoi/net/room_commands.py` waits. No I/O."""

from dataclasses import dataclass, field

from tsudoi.events import Answered, Event, Listed, Past, Person, RoomInfo, Row

REFUSALS = frozenset(
    (
        *("unknown-command", "usage", "no-such-member", "no-such-page", "not-host", "name-taken", "bad-name"),
        *("misleading-name", "too-long", "too-fast", "muted", "muted-for", "nobody-wrote", "yourself"),
        *("not-muted", "not-banned", "room-stays", "busy", "moved-away"),
    )
)
"""Codes of answers that refuse a command."""
PAGE_SIZE = 20
"""Rows of a page (PROTOCOL.md, "Commands")."""
PAGED = frozenset(("who", "rooms", "bans"))
"""Lists that come in pages."""


@dataclass
class PendingCommand:
    """A command that changes something: over with the first thing that comes of it."""

    result: Event | None = None

    @property
    def refusal(self) -> Answered | None:
        """The answer that refuses it."""
        return self.result if isinstance(self.result, Answered) and self.result.code in REFUSALS else None

    @property
    def over(self) -> bool:
        return self.result is not None

    def offer(self, event: Event) -> bool:
        """Take an event that comes of it; return whether that is for the one who gave the command alone."""
        self.result = self.result or event
        return isinstance(event, Answered)


@dataclass
class PendingList:
    """A question whose answer is a list; the list comes in parts, of which some may be lost."""

    pages: int = 1
    refusal: Answered | None = None
    is_empty: bool = False
    expected: int | None = None
    """Rows of this page; None: not known."""
    _by_key: dict[object, Row] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """The rows that have come, in the order in which they came first."""
        return list(self._by_key.values())

    @property
    def over(self) -> bool:
        has_all = self.expected is not None and len(self._by_key) >= self.expected
        return self.is_empty or self.refusal is not None or has_all

    def offer(self, event: Event) -> bool:
        """Take an event that comes of it; return whether that is for the one who asked alone."""
        if isinstance(event, Answered):
            self.is_empty = event.code == "no-history"
            self.refusal = None if self.is_empty else event
        elif isinstance(event, Listed):
            # Parts may be lost, and come again: who is here has been silent for longer then.
            self._by_key |= {_key(row): row for row in event.rows}
            self.pages = event.pages
            one_page = min(event.count - (event.page - 1) * PAGE_SIZE, PAGE_SIZE)
            self.expected = one_page if event.what in PAGED else event.count
        return True


def _key(row: Row) -> object:
    """Return what a row has in each answer to the same question."""
    match row:
        case Person(name) | RoomInfo(name):
            return name
        case Past():
            return row.offset
        case _:
            return row
