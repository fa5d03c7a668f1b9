"""Define the exceptions by their cause: the peer, the network or this program; ARCHITECTURE.md, "Errors"."""

from typing import ClassVar

from tsudoi.protocol.codes import Status


class ChatError(Exception):
    """Base of all our exceptions; caught only at a process's edge."""


class PeerError(ChatError):
    """The peer broke the rules: count it, and reply with `status` or stay silent; no traceback."""

    status: ClassVar[Status] = Status.BAD_REQUEST


class MalformedMessage(PeerError):
    """Bytes from outside that are not a valid message. The only exception of every `…_untrusted` parser."""


class InvalidName(PeerError):
    """A room or user name that breaks the rules of PROTOCOL.md, "Names"."""


class RoomExists(PeerError):
    """Create of a room that exists."""

    status = Status.ROOM_EXISTS


class MisleadingName(InvalidName):
    """A user's name that would make this member's lines look like another's."""


class RoomNotFound(PeerError):
    """Join of a room that does not exist."""

    status = Status.ROOM_NOT_FOUND


class WrongPassword(PeerError):
    """Join of a locked room with a wrong password or none; or a signed token that does not hold."""

    status = Status.WRONG_PASSWORD


class Full(PeerError):
    """A limit on members or rooms is reached; the text says which."""

    status = Status.BUSY


class Banned(PeerError):
    """The room's host or the operator has banned this name or address."""


class Muted(PeerError):
    """The room's host has muted this name or address."""


class BackboneError(ChatError):
    """The broker does not answer: one line to the operator."""


class StoreError(ChatError):
    """The store could not commit: the broker stops and acknowledges nothing."""


class SettingError(ChatError):
    """A setting that can not work: one line to the operator, exit status 2."""
