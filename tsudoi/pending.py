"""Who waits for which answer: an order is done when its event comes, and refused when the server says why not.

Without I/O and without a clock: `tsudoi/net/room_commands.py` does the waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.events import Answered, Event, Listed, Row

REFUSALS = frozenset(
    {
        "unknown-command",
        "usage",
        "no-such-member",
        "not-host",
        "name-taken",
        "bad-name",
        "too-long",
        "muted",
        "muted-for",
        "nobody-wrote",
        "not-banned",
        "not-muted",
        "yourself",
        "room-stays",
        "busy",
        "too-fast",
        "moved-away",
        "no-such-page",
    }
)
"""Codes of answers that say that something was not done."""


@dataclass
class Order:
    """Something that a member has asked to be done."""

    is_done: Callable[[Event], bool]
    """Says whether an event shows that it is."""
    done: bool = False
    refusal: Answered | None = None

    def offer(self, event: Event) -> bool:
        """Take an event; say whether it was for nobody else."""
        if self.is_done(event):
            self.done = True
            return isinstance(event, Answered)
        if isinstance(event, Answered) and event.code in REFUSALS:
            self.refusal = event
            return True
        return False

    @property
    def over(self) -> bool:
        """Nothing more need be waited for."""
        return self.done or self.refusal is not None


@dataclass
class Question:
    """A list that a member has asked for; it comes in parts, of which some may be lost."""

    what: str
    page: int = 1
    rows: list[Row] = field(default_factory=list)
    pages: int = 1
    refusal: Answered | None = None
    expected: int | None = None
    """Rows of this page; None: that is not known."""
    heard: bool = False

    page_size: int = 20

    def offer(self, event: Event) -> bool:
        """Take an event; say whether it was for nobody else."""
        if isinstance(event, Listed) and event.what == self.what and event.page == self.page:
            self.heard = True
            self.rows += [row for row in event.rows if row not in self.rows]
            self.pages = event.pages
            if event.count:
                self.expected = min(event.count - (self.page - 1) * self.page_size, self.page_size)
            return True
        if isinstance(event, Answered) and event.code in (*REFUSALS, "no-history"):
            self.refusal = event
            return True
        return False

    @property
    def over(self) -> bool:
        """Nothing more need be waited for."""
        return self.refusal is not None or (self.expected is not None and len(self.rows) >= self.expected)
