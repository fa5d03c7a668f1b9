"""The state of the terminal client, as frozen values; `reduce.py` makes the next one from an event."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from tsudoi.protocol.client.words import Language

from .items import Items

MAX_ITEMS = 12_000
"""Items of one room that are held, more than the 10,000 entries that a server's log keeps by default; when there are a
tenth more, the oldest go. So many are loaded by scrolling, too."""


class Mark(Enum):
    """How far an own line has come."""

    NONE = ""
    """Another member's line."""
    WAITING = "waiting"
    """The server has not said yet that it is kept."""
    SENT = "sent"
    """It was sent in a protocol without receipts; it may be lost."""
    KEPT = "kept"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """The membership ended before the server said whether it is kept."""


class Tone(Enum):
    """How loud a notice is."""

    QUIET = "quiet"
    LOUD = "loud"
    """What a user must not miss: announcements, the end of a membership, missing messages."""
    TABLE = "table"
    """A row of an answer with several lines."""


class End(Enum):
    """Whether the user's membership in a room is over, and how."""

    NONE = ""
    OVER = "over"
    """The room may be entered again."""
    CLOSED = "closed"
    """It has ended for all; one of this name is another room."""
    BANNED = "banned"
    """The user may not enter it again, at least for a time."""


class SpeechKind(Enum):
    """How a member spoke."""

    SAID = "said"
    ACTED = "acted"
    WHISPERED = "whispered"


@dataclass(frozen=True, slots=True)
class Speech:
    """A line of a member."""

    sender: str
    text: str
    at: datetime
    """In the user's time zone."""
    offset: int | None = None
    """The position in the room's log; None: not known (yet)."""
    kind: SpeechKind = SpeechKind.SAID
    to: str = ""
    """Of a whisper: the name of the member that gets it."""
    mark: Mark = Mark.NONE
    number: int = 0
    """Of an own line: its number in this client; 0 for lines of others."""
    is_mention: bool = False
    why: str = ""
    """Of a refused line: the reason."""


@dataclass(frozen=True, slots=True)
class Note:
    """Words of the server or the client between the lines."""

    text: str
    at: datetime
    offset: int | None = None
    tone: Tone = Tone.QUIET


Item: TypeAlias = Speech | Note


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a room."""

    name: str
    is_host: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Pages of `/who` that are being collected."""

    page: int = 0
    """The one that was asked for, or came, last."""
    names: frozenset[str] = frozenset()
    """Of the rows of this page that have come."""
    count: int = 0
    """The number of members when they were listed: with another one, it is another answer."""
    is_whole: bool = False
    """All rows of this page have come."""
    tries: int = 0
    """How often this page was asked for."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """Lines from before that were asked for, and have not all come: a part of the answer may be lost."""

    line: str
    """The question, such as `/history 50 120`."""
    by_user: bool
    tries: int = 1
    offsets: frozenset[int] = frozenset()
    """Of the lines that have come; without a position in the question, with the last answer."""


@dataclass(frozen=True, slots=True)
class Room:
    """A room in which the user is, or was."""

    name: str
    me: str
    items: Items = field(default_factory=Items)
    people: tuple[Person, ...] = ()
    """Sorted: the host, then by name. In a big room the first of them."""
    count: int = 0
    """Members; 0: not known."""
    listing: Listing = Listing()
    epoch: int | None = None
    """The number of the room's history, which positions belong to; None: not known."""
    topic: str = ""
    unread: int = 0
    mentions: int = 0
    first_unread: Item | None = None
    """The line before which `new` stands."""
    silent: frozenset[str] = frozenset()
    """Lists that the client asked for by itself (`who`, `history`): their answers are not shown as text."""
    awaited: Awaited | None = None
    asked_older_at: datetime | None = None
    """When older lines were asked for; None: they have come, or none were."""
    has_all: bool = False
    """No older lines can be loaded: the server has none, or so many are held already."""
    is_cut: bool = False
    """The user asked for older lines when that was found; it is told above the oldest one."""
    away_since: datetime | None = None
    banner: str = ""
    """A sentence about the server; empty: all is well."""
    is_banner_bad: bool = False
    end: End = End.NONE
    may_ask: bool = True
    """The client may ask for members and old lines: there are commands, and they are answered with values."""
    has_receipts: bool = False
    """The server tells which lines are kept, and they wait while it is away."""
    draft: str = ""
    """What is typed and not sent, while another room is shown."""

    @property
    def ended(self) -> bool:
        """Whether the user is no member any more."""
        return self.end is not End.NONE

    @property
    def host(self) -> str:
        """The host's name; empty: not known."""
        return next((person.name for person in self.people if person.is_host), "")

    @property
    def is_host(self) -> bool:
        """Whether the user is the host."""
        return not self.ended and self.host == self.me

    @property
    def others(self) -> int | None:
        """The number of other members; None: not known."""
        return max(self.count - 1, 0) if self.count else None


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for in the lines of the shown room, and what was found."""

    text: str = ""
    found: Item | None = None
    place: int = 0
    """Of the found line among those that have the text; 1: the newest."""
    count: int = 0
    """Lines that have the text."""
    lines: int = 0
    """Lines that were looked at."""
    wants_older: bool = False
    """Older lines were asked for: none of those that are loaded has the text, or no older one."""


@dataclass(frozen=True, slots=True)
class Panels:
    """Which panels the user wants beside the timeline; None: as the width allows."""

    rooms: bool | None = None
    people: bool | None = None
    latest: str = ""
    """The one that was asked for last: it stays where there is no room for both."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the client shows."""

    language: Language = "en"
    server: str = ""
    rooms: tuple[Room, ...] = ()
    shown: str = ""
    """The name of the room that is shown."""
    has_focus: bool | None = None
    """Whether the terminal's window has the focus; None: it has not told."""
    known_rooms: tuple[str, ...] = field(default=())
    """Names of rooms on the server, as the last list had them; for completion."""
    panels: Panels = Panels()
    search: Search | None = None
    """None: the user says lines, and looks for none."""

    def room(self, name: str) -> Room | None:
        """Return a room by its name."""
        return next((room for room in self.rooms if room.name == name), None)

    @property
    def current(self) -> Room | None:
        """The room that is shown."""
        return self.room(self.shown)
