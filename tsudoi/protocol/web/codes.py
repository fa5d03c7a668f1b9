"""Define the numbers of errors, of ended subscriptions and of closed connections; PROTOCOL.md, "WebSocket".

Their ranges are Centrifuge's, and tell its clients what to do: a subscription that ends with 2500 or more is made
again; a connection that is closed with 3000 to 3499 is too, one with 3500 to 3999 is not.
"""

from enum import IntEnum


class Error(IntEnum):
    """Why a command is refused. The first two are temporary: the same command may succeed later."""

    INTERNAL = 100
    """The broker is away or busy."""
    TOO_MANY = 111
    UNAUTHORIZED = 101
    UNKNOWN_CHANNEL = 102
    """There is no room of that name."""
    PERMISSION_DENIED = 103
    """A wrong password, a ban, a mute, a signed token that does not fit; or the client is not in that room."""
    METHOD_NOT_FOUND = 104
    ALREADY_SUBSCRIBED = 105
    LIMIT_EXCEEDED = 106
    BAD_REQUEST = 107

    @property
    def is_temporary(self) -> bool:
        return self in (Error.INTERNAL, Error.TOO_MANY)


class Ending(IntEnum):
    """Why a subscription ended."""

    LEFT = 2000
    """The member left by a command."""
    CLOSED = 2100
    """The room is closed."""
    KICKED = 2101
    BANNED = 2102
    REMOVED = 2103
    """By the operator."""
    IDLE = 2104
    ELSEWHERE = 2105
    """Another connection has taken the member over."""
    INSUFFICIENT = 2500
    """Messages are lost between the last one sent and the next, or the membership is, or another gateway has the
    member: subscribe again, with the position."""


class Close(IntEnum):
    """Why the server closes a connection."""

    SHUTDOWN = 3001
    SLOW = 3008
    """The client reads too slowly."""
    NO_PONG = 3012
    TOO_MANY = 3013
    """The client sends too much."""
    BAD_REQUEST = 3501
    STALE = 3502
    """No connect command came in time."""
    DISPLACED = 3503
    """Its address has its most connections in rooms, and it gave way to another one."""
