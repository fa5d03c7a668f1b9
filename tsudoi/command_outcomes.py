"""Commands that wait for their answers. `tsudoi/net/room_commands.py` does the waiting; nothing here does I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.events import Answered, Event, Listed, Row

REFUSALS = frozenset(
    (
        *("unknown-command", "usage", "no-such-member", "no-such-page", "not-host", "name-taken", "bad-name"),
        *("too-long", "too-fast", "muted", "muted-for", "not-muted", "not-banned", "nobody-wrote", "yourself"),
        *("room-stays", "busy", "moved-away"),
    )
)
"""Codes of answers that refuse a command."""
PAGE_SIZE = 20
"""Rows of a page (PROTOCOL.md, "Commands")."""


@dataclass
class PendingCommand:
    """A command that is done when its event comes, or refused by an answer."""

    is_done: Callable[[Event], bool]
    """Says whether an event shows that the command is done."""
    done: Event | None = None
    refusal: Answered | None = None

    def offer(self, event: Event) -> bool:
        """Take an event; return whether it belongs to this command alone."""
        if self.is_done(event):
            self.done = event
            return isinstance(event, Answered)
        if isinstance(event, Answered) and event.code in REFUSALS:
            self.refusal = event
            return True
        return False

    @property
    def over(self) -> bool:
        """Whether the waiting is over."""
        return (self.done or self.refusal) is not None


@dataclass
class PendingList:
    """A command whose answer is a list; the list comes in parts, of which some may be lost."""

    what: str
    page: int = 1
    rows: list[Row] = field(default_factory=list)
    pages: int = 1
    refusal: Answered | None = None
    expected: int | None = None
    """Rows of this page; None: not known."""
    has_begun: bool = False
    """A part of the list has come."""

    def offer(self, event: Event) -> bool:
        """Take an event; return whether it belongs to this command alone."""
        if isinstance(event, Listed) and event.what == self.what and event.page == self.page:
            self.has_begun = True
            self.rows += [row for row in event.rows if row not in self.rows]
            self.pages = event.pages
            if event.count:
                self.expected = min(event.count - (self.page - 1) * PAGE_SIZE, PAGE_SIZE)
            return True
        if isinstance(event, Answered) and event.code in (*REFUSALS, "no-history"):
            self.refusal = event
            return True
        return False

    @property
    def over(self) -> bool:
        """Whether the waiting is over."""
        return self.refusal is not None or (self.expected is not None and len(self.rows) >= self.expected)
