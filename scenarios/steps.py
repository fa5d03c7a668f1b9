"""The steps of a story, as values; they have the names of the sentences that they are read from."""

from enum import Enum
from typing import TypeAlias

import msgspec

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


class Step(msgspec.Struct, frozen=True):
    """One step; each kind is a subclass."""


class Expectation(Step, frozen=True):
    """A step that waits for what people receive."""

    who: People


class JoinOptions(msgspec.Struct, frozen=True):
    """Where and how a person enters; for None, `people` or the story has the value."""

    room: str
    create: bool
    at: str | None = None
    dialect: str | None = None
    user: str | None = None
    password: str | None = None
    silently: bool = False
    """Send no datagram, and so show no UDP address, until something is said."""


class Enter(Step, frozen=True):
    who: People
    how: JoinOptions


class CannotEnter(Step, frozen=True):
    who: People
    how: JoinOptions
    reason: str


class Say(Step, frozen=True):
    who: People
    texts: tuple[str, ...]


class SayLines(Step, frozen=True):
    """Send numbered lines, all speakers at the same time."""

    who: People
    count: int


class Line(msgspec.Struct, frozen=True):
    sender: str | None
    """A person of the story, or a name as it is shown; None: anybody."""
    text: str


class Hear(Expectation, frozen=True):
    """Receive these as the next messages, with nothing between them."""

    lines: tuple[Line, ...]
    in_any_order: bool = False
    within_s: float | None = None


class HearLines(Expectation, frozen=True):
    """Receive the last `count` numbered lines of one speaker next, in their order."""

    count: int
    sender: str
    within_s: float | None = None


class HearTheSame(Expectation, frozen=True):
    """Receive the same next `count` messages as the others named, with each speaker's lines in order."""

    count: int
    within_s: float | None = None


class BeTold(Expectation, frozen=True):
    """Get these from the server, in this order: each is a part of an answer, a notice or a private message."""

    texts: tuple[str, ...]
    within_s: float | None = None


class HearNothing(Expectation, frozen=True):
    for_s: float


class Ending(Enum):
    CLOSED = "the room is closed"
    TIMED_OUT = "time is up"
    REMOVED = "they are removed"


class HearEnding(Expectation, frozen=True):
    ending: Ending
    within_s: float | None = None


class Act(Enum):
    """What a person does with the membership."""

    LEAVE = "leave"
    VANISH = "vanish"
    """Close the sockets without the leave word, as a program that crashed."""
    FALL_SILENT = "fall silent"
    """Go on receiving, but send no more keep-alives."""


class Do(Step, frozen=True):
    who: People
    act: Act


class Move(Step, frozen=True):
    """Continue at another gateway with the same token."""

    who: People
    to: str


class SeeRooms(Step, frozen=True):
    who: People
    rooms: tuple[str, ...]
    there: bool
    within_s: float | None = None


class Fault(Enum):
    """A fault to inject into a process."""

    KILLED = "killed"
    STOPPED = "stopped"
    FROZEN = "frozen"
    CONTINUED = "continued"
    STARTED = "started"


class InjectFault(Step, frozen=True):
    """Inject a fault into a process; this needs local processes."""

    what: str
    """A server's name, or `BROKER`."""
    fault: Fault


class Wait(Step, frozen=True):
    for_s: float


class Wire(Enum):
    TCP = "tcp"
    UDP = "udp"


class SendRaw(Step, frozen=True):
    """Send bytes from an address that no member has; a TCP connection stays open until the story's end."""

    wire: Wire
    data: bytes
    to: str | None = None


class SendRandom(Step, frozen=True):
    count: int
    seed: int
    to: str | None = None


class HungUp(Step, frozen=True):
    """See the server end the stranger's last TCP connection."""

    within_s: float | None = None


class Unanswered(Step, frozen=True):
    """See no datagram come back to the stranger."""

    for_s: float
