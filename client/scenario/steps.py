"""What can happen in a story, as values."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

EVERYONE = "everyone"
EVERYONE_ELSE = "everyone else"
BROKER = "the broker"

People: TypeAlias = tuple[str, ...]
"""Names, or one of the two words above."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where and how somebody enters; what is None is as `people` says, or as usual."""

    room: str
    create: bool
    at: str | None = None
    dialect: str | None = None
    user: str | None = None
    password: str | None = None
    silently: bool = False
    """Shows no UDP address until something is said."""


@dataclass(frozen=True, slots=True)
class Enter:
    who: People
    place: HostPort


@dataclass(frozen=True, slots=True)
class CannotEnter:
    who: People
    place: HostPort
    reason: str


@dataclass(frozen=True, slots=True)
class Say:
    who: People
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SayLines:
    """Numbered lines, all speakers at the same time."""

    who: People
    count: int


@dataclass(frozen=True, slots=True)
class Line:
    sender: str | None
    """Somebody of the story, or a name as it is shown; None: anybody."""
    text: str


@dataclass(frozen=True, slots=True)
class Hear:
    """These are the next messages, and nothing is between them."""

    who: People
    lines: tuple[Line, ...]
    in_any_order: bool = False
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HearLines:
    """The last `count` numbered lines of one speaker are next, in their order."""

    who: People
    count: int
    sender: str
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HearTheSame:
    """The next `count` messages are the same for all of them, and each speaker's lines are in order."""

    who: People
    count: int
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class BeTold:
    """The server tells these: each is a part of an answer, a notice or a private word, in this order."""

    who: People
    texts: tuple[str, ...]
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HearNothing:
    who: People
    for_s: float


class Ending(Enum):
    CLOSED = "the room is closed"
    TIMED_OUT = "time is up"
    REMOVED = "they are removed"


@dataclass(frozen=True, slots=True)
class HearEnding:
    who: People
    ending: Ending
    within_s: float | None = None


class Act(Enum):
    """What people do with their place in the room."""

    LEAVE = "leave"
    VANISH = "vanish"
    """Gone without a word, as a program that crashed."""
    FALL_SILENT = "fall silent"
    """Listens on, but its program shows no sign of life."""


@dataclass(frozen=True, slots=True)
class Do:
    who: People
    act: Act


@dataclass(frozen=True, slots=True)
class Move:
    """Go on at another gateway with the same token."""

    who: People
    to: str


@dataclass(frozen=True, slots=True)
class SeeRooms:
    who: People
    rooms: tuple[str, ...]
    there: bool
    within_s: float | None = None


class Fate(Enum):
    """What befalls a process."""

    KILLED = "killed"
    STOPPED = "stopped"
    FROZEN = "frozen"
    CONTINUED = "continued"
    STARTED = "started"


@dataclass(frozen=True, slots=True)
class Befall:
    """Needs local processes."""

    what: str
    """A server's name, or `BROKER`."""
    fate: Fate


@dataclass(frozen=True, slots=True)
class Wait:
    for_s: float


class Wire(Enum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class SendRaw:
    """A stranger sends these bytes; a TCP connection stays open until the story's end."""

    wire: Wire
    data: bytes
    to: str | None = None


@dataclass(frozen=True, slots=True)
class SendRandom:
    count: int
    seed: int
    to: str | None = None


@dataclass(frozen=True, slots=True)
class HungUp:
    """The server ends the stranger's last TCP connection."""

    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nothing at all has come back to the stranger by UDP."""

    for_s: float


Step: TypeAlias = (
    Enter
    | CannotEnter
    | Say
    | SayLines
    | Hear
    | HearLines
    | HearTheSame
    | HearNothing
    | BeTold
    | HearEnding
    | Do
    | Move
    | SeeRooms
    | Befall
    | Wait
    | SendRaw
    | SendRandom
    | HungUp
    | Unanswered
)
