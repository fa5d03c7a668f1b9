"""The steps of a story, as values; they have the names of the sentences that they are read from."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import tsudoi

EVERYONE = "everyone"
EVERYONE_ELSE = "everyone else"
BROKER = "the broker"

People: TypeAlias = tuple[str, ...]
"""Names, or one of the first two words above."""

REASONS: dict[str, tuple[type[tsudoi.ClientError], ...]] = {
    "room exists": (tsudoi.RoomExists,),
    "no such room": (tsudoi.RoomNotFound,),
    "wrong password": (tsudoi.WrongPassword,),
    "bad request": (tsudoi.BadRequest, tsudoi.InvalidName),
    "busy": (tsudoi.Busy,),
    "unreachable": (tsudoi.ServerUnreachable,),
    "no answer": (tsudoi.NoAnswer,),
    "refused": (tsudoi.Refused,),
}
"""Why a person cannot enter → the SDK's errors for it."""


class Step:
    """One step; each kind is a subclass."""

    __slots__ = ()


class Expectation(Step):
    """A step that waits for what people receive."""

    __slots__ = ()
    who: People


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """Where and how a person enters; what is None is as `people` or the story says."""

    room: str
    create: bool
    at: str | None = None
    dialect: str | None = None
    user: str | None = None
    password: str | None = None
    silently: bool = False
    """Send no datagram, and so show no UDP address, until something is said."""


@dataclass(frozen=True, slots=True)
class Enter(Step):
    who: People
    how: JoinOptions


@dataclass(frozen=True, slots=True)
class CannotEnter(Step):
    who: People
    how: JoinOptions
    reason: str


@dataclass(frozen=True, slots=True)
class Say(Step):
    who: People
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SayLines(Step):
    """Send numbered lines, all speakers at the same time."""

    who: People
    count: int


@dataclass(frozen=True, slots=True)
class Line:
    sender: str | None
    """A person of the story, or a name as it is shown; None: anybody."""
    text: str


@dataclass(frozen=True, slots=True)
class Hear(Expectation):
    """Receive these as the next messages, with nothing between them."""

    who: People
    lines: tuple[Line, ...]
    in_any_order: bool = False
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HearLines(Expectation):
    """Receive the last `count` numbered lines of one speaker next, in their order."""

    who: People
    count: int
    sender: str
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HearTheSame(Expectation):
    """Receive the same next `count` messages as the others named, with each speaker's lines in order."""

    who: People
    count: int
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class BeTold(Expectation):
    """Get these from the server, in this order: each is a part of an answer, a notice or a private message."""

    who: People
    texts: tuple[str, ...]
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HearNothing(Expectation):
    who: People
    for_s: float


class Ending(Enum):
    CLOSED = "the room is closed"
    TIMED_OUT = "time is up"
    REMOVED = "they are removed"


@dataclass(frozen=True, slots=True)
class HearEnding(Expectation):
    who: People
    ending: Ending
    within_s: float | None = None


class Act(Enum):
    """What a person does with the membership."""

    LEAVE = "leave"
    VANISH = "vanish"
    """Close the sockets without the leave word, as a program that crashed."""
    FALL_SILENT = "fall silent"
    """Receive on, but send no keep-alives any more."""


@dataclass(frozen=True, slots=True)
class Do(Step):
    who: People
    act: Act


@dataclass(frozen=True, slots=True)
class Move(Step):
    """Go on at another gateway with the same token."""

    who: People
    to: str


@dataclass(frozen=True, slots=True)
class SeeRooms(Step):
    who: People
    rooms: tuple[str, ...]
    there: bool
    within_s: float | None = None


class Fault(Enum):
    """What is done to a process."""

    KILLED = "killed"
    STOPPED = "stopped"
    FROZEN = "frozen"
    CONTINUED = "continued"
    STARTED = "started"


@dataclass(frozen=True, slots=True)
class InjectFault(Step):
    """Do something to a process; this needs local processes."""

    what: str
    """A server's name, or `BROKER`."""
    fault: Fault


@dataclass(frozen=True, slots=True)
class Wait(Step):
    for_s: float


class Wire(Enum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class SendRaw(Step):
    """Send bytes from an address that is no member's; a TCP connection stays open until the story's end."""

    wire: Wire
    data: bytes
    to: str | None = None


@dataclass(frozen=True, slots=True)
class SendRandom(Step):
    count: int
    seed: int
    to: str | None = None


@dataclass(frozen=True, slots=True)
class HungUp(Step):
    """See the server end the stranger's last TCP connection."""

    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unanswered(Step):
    """See no datagram come back to the stranger."""

    for_s: float
