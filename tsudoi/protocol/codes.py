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
    COMMANDED = 7
    """Likewise: a line that a member typed, to be parsed by `commands.py` and carried out."""
    ACTED = 8
    """Said in the third person."""
    WHISPERED = 9
    """Said to one member alone: the peer."""
    RENAMED = 10
    """`sender` is the old name, `text` the new one."""
    TOPIC = 11
    """What the room is about; empty when it was taken off."""
    HOST = 12
    """The member is the host now; the peer handed over, or nobody did."""
    MUTED = 13
    """The member may not speak; `code` is the minutes, 0: until the room closes."""
    UNMUTED = 14
    LOCKED = 15
    """`code` 1: the room has a password (another one); 0: none any more."""
    ANSWERED = 16
    """Told to the member alone: `code` is a `phrases.Phrase`, `text` what it is about."""
    ANNOUNCED = 17
    """From the operator, to everybody."""
    KEPT = 18
    """Only from gateway to broker, as an answer to Release: it serves the member still."""


class LeaveReason(IntEnum):
    """Why a member is no longer in its room, or why the room is no more."""

    LEFT = 1
    IDLE = 2
    HOST_LEFT = 3
    HOST_IDLE = 4
    LOST = 5
    KICKED = 6
    BANNED = 7
    OPERATOR = 8
    """The operator removed the member, or closed the room."""
    HOST_CLOSED = 9
    """The host closed the room and did not just leave it."""


class Rights(IntFlag):
    """What a member may do that others may not, because a signed token said so; PROTOCOL.md, "Trust"."""

    VERIFIED = 1
    """The name is the one that the token's issuer vouches for."""
    MODERATOR = 2
    """May do in any room what its host may."""
