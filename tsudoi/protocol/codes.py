"""Define the numbers in messages: PROTOCOL.md, "Codes", for clients; kinds and reasons of log entries for gateways."""

from enum import IntEnum, IntFlag


class Operation(IntEnum):
    """Second byte of the TCP header: what the client asks for."""

    CREATE = 1
    JOIN = 2


class State(IntEnum):
    """Third byte of the TCP header: which step of the handshake this is."""

    REQUEST = 0
    RESPONSE = 1
    COMPLETE = 2


class Status(IntEnum):
    """Result of a request. Each dialect spells it in its own way."""

    OK = 0
    ROOM_EXISTS = 1
    ROOM_NOT_FOUND = 2
    WRONG_PASSWORD = 3
    BAD_REQUEST = 4
    BUSY = 5


class EntryKind(IntEnum):
    """Kind of an entry in a room's log; a few kinds are only sent from gateway to broker.

    Fields are those of `backbone.Entry`: the member, `peer`, `text`, `code`.
    """

    SAID = 1
    JOINED = 2
    LEFT = 3
    CLOSED = 4
    ADDRESSED = 5
    """Only from gateway to broker: the address to which the member's datagrams go."""
    RELEASED = 6
    """Only from gateway to broker: the gateway has released the member."""
    COMMANDED = 7
    """Only from gateway to broker: a slash command (`client/slash_commands.py`), to be carried out by the broker."""
    ACTED = 8
    """A message in the third person (`/me`)."""
    WHISPERED = 9
    """A message to `peer` alone."""
    RENAMED = 10
    """`sender` is the old name, `text` the new one."""
    TOPIC = 11
    """`text` is the new topic; empty: there is none any more."""
    HOST = 12
    """The member is the new host; `peer` handed over, or is 0 if the former host left."""
    MUTED = 13
    """The member is muted for `code` minutes; 0: until the room closes."""
    UNMUTED = 14
    LOCKED = 15
    """`code` 1: the room has a new password; 0: it has none any more."""
    ANSWERED = 16
    """An answer to the member alone: `code` is a `phrases.Phrase`, `text` its {arg}."""
    ANNOUNCED = 17
    """An announcement of the operator."""
    KEPT = 18
    """Only from gateway to broker, in reply to Release: the gateway goes on serving the member."""
    CLAIMED = 19
    """Only from gateway to broker: the first datagram of a member without its wished name has come, from the address in
    `text`. It may be a client that joins again."""


class LeaveReason(IntEnum):
    """Why a member is no longer in its room, or why the room has closed."""

    LEFT = 1
    IDLE = 2
    HOST_LEFT = 3
    HOST_IDLE = 4
    KICKED = 6
    BANNED = 7
    OPERATOR = 8
    """The operator removed the member, or closed the room."""
    HOST_CLOSED = 9
    """The host closed the room with `/close`."""
    REJOINED = 10
    """The member's client has joined again, as another member of the same name."""


class Rights(IntFlag):
    """Rights that a signed token gives a member; PROTOCOL.md, "Trust"."""

    VERIFIED = 1
    """The token's issuer vouches for the member's name."""
    MODERATOR = 2
    """Has all rights of the room's host."""
