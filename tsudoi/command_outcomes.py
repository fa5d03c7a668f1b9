"""Commands that wait for their answers. `tsudoi/net/room_commands.py` does the waiting; nothing here does I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.events import Answered, Event, Listed, Past, Person, RoomInfo, Row
from tsudoi.protocol import names

REFUSALS = frozenset(
    (
        *("unknown-command", "usage", "no-such-member", "no-such-page", "not-host", "name-taken", "bad-name"),
        *("misleading-name", "too-long", "too-fast", "muted", "muted-for", "nobody-wrote", "yourself"),
        *("not-muted", "not-banned", "room-stays", "busy", "moved-away"),
    )
)
"""Codes of answers that refuse a command."""
NAMING = frozenset(("no-such-member", "name-taken", "not-banned", "not-muted"))
"""Those that are about a name. A command that was cancelled, or timed out, may be answered while the next one waits:
a refusal about another name is not that one's."""
PAGE_SIZE = 20
"""Rows of a page (PROTOCOL.md, "Commands")."""
PAGED = frozenset(("who", "rooms", "bans"))
"""Lists that come in pages."""


@dataclass
class PendingCommand:
    """A command that is done when its event comes, or refused by an answer."""

    is_done: Callable[[Event], bool]
    """Says whether an event shows that the command is done."""
    name: str = ""
    """The name that the command is about, if it is about one."""
    done: Event | None = None
    refusal: Answered | None = None

    def offer(self, event: Event) -> bool:
        """Take an event; return whether it belongs to this command alone."""
        if self.is_done(event):
            self.done = event
            return isinstance(event, Answered)
        if isinstance(event, Answered) and event.code in REFUSALS:
            if event.code in NAMING and not are_same_name(event.about, self.name):
                return False
            self.refusal = event
            return True
        return False

    @property
    def over(self) -> bool:
        return (self.done or self.refusal) is not None


@dataclass
class PendingList:
    """A command whose answer is a list; the list comes in parts, of which some may be lost."""

    what: str
    page: int = 1
    before: int = 0
    """As in `Listed`: a part of a late answer to another question is no part of this one."""
    pages: int = 1
    refusal: Answered | None = None
    expected: int | None = None
    """Rows of this page; None: not known."""
    has_begun: bool = False
    """A part of the list has come."""
    _by_key: dict[object, Row] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """The rows that have come, in the order in which they came first."""
        return list(self._by_key.values())

    def offer(self, event: Event) -> bool:
        """Take an event; return whether it belongs to this command alone."""
        question = self.what, self.page, self.before
        if isinstance(event, Listed) and (event.what, event.page, event.before) == question:
            self.has_begun = True
            # Parts may be lost, and come again: who is here has been silent for longer then.
            self._by_key |= {_key(row): row for row in event.rows}
            self.pages = event.pages
            if event.count:
                one_page = min(event.count - (self.page - 1) * PAGE_SIZE, PAGE_SIZE)
                self.expected = one_page if self.what in PAGED else event.count
            return True
        if isinstance(event, Answered) and event.code in (REFUSALS | {"no-history"}) - NAMING:
            self.refusal = event
            return True
        return False

    @property
    def is_incomplete(self) -> bool:
        """Whether a part is known to be missing."""
        return self.expected is not None and len(self._by_key) < self.expected

    @property
    def over(self) -> bool:
        return self.refusal is not None or (self.expected is not None and len(self.rows) >= self.expected)


def are_same_name(one: str, other: str) -> bool:
    """Return whether two texts are one name for the server."""
    return one == other or names.in_normal_form(one) == names.in_normal_form(other)


def _key(row: Row) -> object:
    """Return what a row has in each answer to the same question."""
    match row:
        case Person(name) | RoomInfo(name):
            return name
        case Past():
            return row.offset
        case _:
            return row
