"""What happens to the terminal client, and what it does about it, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import tsudoi

from .model import Mark, SpeechKind, Tone

# --- events ---


@dataclass(frozen=True, slots=True)
class Entered:
    """The user has created or joined a room."""

    room: str
    me: str
    at: datetime
    is_host: bool = False
    has_receipts: bool = False
    answers_with_values: bool = True
    """The dialect is `tsudoi`: the client may ask for members and history by itself, if there are commands."""
    position: tuple[int, int] | None = None
    """The number of the room's history, and the offset up to which the user is there; None: not known."""
    wished: str = ""
    """The name that the user asked for; empty: a signed token had it."""
    has_commands: bool = True
    """A line that begins with a slash is a command."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event of the SDK."""

    room: str
    event: tsudoi.Event
    at: datetime
    me: str
    """The user's name, which the event may have changed."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The user has sent a line."""

    room: str
    number: int
    text: str
    at: datetime
    kind: SpeechKind = SpeechKind.SAID
    to: str = ""
    """Of a whisper."""
    has_receipt: bool = True
    """The server will say whether it is kept."""


@dataclass(frozen=True, slots=True)
class Settled:
    """It is known whether the server keeps a line; or the membership ended before (`UNKNOWN`)."""

    room: str
    number: int
    mark: Mark
    at: datetime
    offset: int | None = None
    """The position of a kept line; None: the server does not say where it is."""
    why: str = ""
    """Of a refused line: the reason."""


@dataclass(frozen=True, slots=True)
class Notified:
    """The client has something to say, in the user's language; in the shown room where none is named."""

    text: str
    at: datetime
    room: str = ""
    tone: Tone = Tone.QUIET


@dataclass(frozen=True, slots=True)
class Ended:
    """The membership is over, for a reason that no event of the SDK told."""

    room: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """The user has left a room; it is taken off the screen."""

    room: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The user looks at a room."""

    room: str


@dataclass(frozen=True, slots=True)
class LookedAway:
    """Another room is shown than this one; `draft` is what stood in the composer."""

    room: str
    draft: str


@dataclass(frozen=True, slots=True)
class FocusChanged:
    """The terminal's window got or lost the focus."""

    has_focus: bool


@dataclass(frozen=True, slots=True)
class BannerSeen:
    """A good banner has been there for long enough."""

    room: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A list was asked for: by the user, whose answer is shown, or by the client itself."""

    room: str
    what: str
    by_user: bool
    line: str = ""
    """The question."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The server has taken a command; in a dialect without receipts: it was sent."""

    room: str
    line: str


@dataclass(frozen=True, slots=True)
class AnswerDue:
    """A while ago, the server has taken this line, which asks for people or old lines."""

    room: str
    line: str


@dataclass(frozen=True, slots=True)
class ScrolledToTop:
    """The user has scrolled to the oldest line that is here."""

    room: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Searched:
    """The user looks for a text in the shown room, or goes on to an older line (-1) or a newer one (1) that has it."""

    text: str
    step: int | None
    """0: the text is another one; None: the search ends."""
    at: datetime


@dataclass(frozen=True, slots=True)
class PanelToggled:
    """The user shows or hides a panel: `rooms` or `people`."""

    panel: str
    is_visible: bool
    """Whether it is visible now."""


Event: TypeAlias = (
    Entered
    | Received
    | Posted
    | Settled
    | Notified
    | Ended
    | Closed
    | Shown
    | LookedAway
    | FocusChanged
    | BannerSeen
    | Asked
    | Taken
    | AnswerDue
    | ScrolledToTop
    | Searched
    | PanelToggled
)

# --- commands ---


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the server for a list, by a line such as `/who 2`."""

    room: str
    line: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Draw the user's attention to a line that mentions the user."""

    title: str
    text: str
    is_away: bool
    """The window is known not to have the focus, so a desktop notification is wanted too."""


@dataclass(frozen=True, slots=True)
class SendLater:
    """Send an event after a while."""

    event: BannerSeen | AnswerDue


Command: TypeAlias = Ask | Notify | SendLater
