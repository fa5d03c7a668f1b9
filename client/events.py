"""What a member hears, as values."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody said something."""

    sender: str
    """The name as the server gave it; empty where the dialect's datagram has none."""
    text: str
    """Without control characters but tab and line feed."""
    offset: int | None = None
    """The message's place in its room; places between may be joins and leaves. None where the dialect does not tell."""


@dataclass(frozen=True, slots=True)
class RoomClosed:
    """The room is no more. The last event."""

    text: str
    """The server's words."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """This member was removed for silence. The last event."""

    text: str


@dataclass(frozen=True, slots=True)
class Kicked:
    """This member was removed by somebody. The last event."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The server says something that this client has no other name for."""

    text: str


@dataclass(frozen=True, slots=True)
class ServerAway:
    """The server's machine says that nobody listens there. Told once until the server is heard again."""

    text: str


Event: TypeAlias = Message | RoomClosed | TimedOut | Kicked | Notice | ServerAway

LAST: tuple[type[Event], ...] = (RoomClosed, TimedOut, Kicked)
"""After one of these nothing more comes."""
