"""Every number that crosses a wire; PROTOCOL.md, "Codes"."""

from enum import IntEnum, IntFlag


class Operation(IntEnum):
    """Second byte of the TCP header."""

    CREATE = 1
    JOIN = 2


class State(IntEnum):
    """Third byte of the TCP header."""

    REQUEST = 0
    RESPONSE = 1
    COMPLETE = 2


class Status(IntEnum):
    """What became of a request. The first four are the survey's common ground; dialects spell them in their own way."""

    OK = 0
    ROOM_EXISTS = 1
    ROOM_NOT_FOUND = 2
    WRONG_PASSWORD = 3
    BAD_REQUEST = 4
    BUSY = 5


class EntryKind(IntEnum):
    """What an entry of a room's log says."""

    SAID = 1
    JOINED = 2
    LEFT = 3
    CLOSED = 4
    ADDRESSED = 5
    """Only from gateway to broker, never in a log: where a member's datagrams go."""
    RELEASED = 6
    """Likewise: the gateway serves the member no more."""


class LeaveReason(IntEnum):
    """Why a member is no longer in its room, or why the room is no more."""

    LEFT = 1
    IDLE = 2
    HOST_LEFT = 3
    HOST_IDLE = 4
    LOST = 5


class Rights(IntFlag):
    """What a member may do that others may not, because a signed token said so; PROTOCOL.md, "Trust"."""

    VERIFIED = 1
    """The name is the one that the token's issuer vouches for."""
    MODERATOR = 2
    """May do in any room what its host may."""
