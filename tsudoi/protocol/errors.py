"""The exception tree: whose fault is it? Peer, us, or the world (ARCHITECTURE.md, "Errors")."""

from typing import ClassVar

from tsudoi.protocol.codes import Status


class ChatError(Exception):
    """Root of all; caught only at a process's edge."""


class PeerError(ChatError):
    """They broke the rules: count it, answer `status` or stay silent; never a traceback."""

    status: ClassVar[Status] = Status.BAD_REQUEST


class MalformedMessage(PeerError):
    """Bytes that are not what PROTOCOL.md describes. The only exception of every `parse_untrusted`."""


class InvalidName(PeerError):
    """A room or user name that is empty, too long, or has characters that names may not have."""


class RoomExists(PeerError):
    """Create of a room that is there already."""

    status = Status.ROOM_EXISTS


class RoomNotFound(PeerError):
    """Join of a room that is not there."""

    status = Status.ROOM_NOT_FOUND


class WrongPassword(PeerError):
    """Join of a locked room without its password."""

    status = Status.WRONG_PASSWORD


class Full(PeerError):
    """A room with its most members, or a server or an address with its most rooms; the text says which."""

    status = Status.BUSY


class Banned(PeerError):
    """A host or the operator has said that this name or address may not come in."""


class BackboneError(ChatError):
    """The world failed (broker away, time-out): tell the client to try again."""

    status: ClassVar[Status] = Status.BUSY


class StoreError(ChatError):
    """The store could not keep what it must keep; the broker stops rather than acknowledge."""


class SettingError(ChatError):
    """A setting that can not work; one line to the operator, exit status 2."""
