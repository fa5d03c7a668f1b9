"""What can go wrong for a client; one base class, and every message is one line for a person."""

from tsudoi.protocol import errors
from tsudoi.protocol.codes import Status


class ClientError(errors.ChatError):
    """Root of all that the SDK raises."""


class ServerUnreachable(ClientError):
    """Nothing answers at the server's address."""


class ServerNotTrusted(ClientError):
    """The server's certificate is not for its name, not of a trusted authority, or not valid now."""


class NoAnswer(ClientError):
    """The server took the request and did not answer in time."""


class ProtocolViolation(ClientError):
    """The server's answer is not one of the dialect; perhaps the server speaks another one."""


class Refused(ClientError):
    """The server said no."""

    def __init__(self, message: str, status: Status | None = None) -> None:
        super().__init__(message)
        self.status = status
        """None where the dialect does not say why."""


class RoomExists(Refused):
    """Create of a room that is there already."""


class RoomNotFound(Refused):
    """Join of a room that is not there."""


class WrongPassword(Refused):
    """Join of a locked room without its password."""


class BadRequest(Refused):
    """The server did not understand the request, or does not take the name."""


class Busy(Refused):
    """Try again: the server can not serve the request just now."""


class InvalidName(ClientError, errors.InvalidName):
    """A room or user name that no server would take."""


class InvalidText(ClientError):
    """A text that can not be said as it is: empty, too long, or a word that the dialect keeps for itself."""


class CommandRefused(ClientError):
    """The server does not do what it was asked; the message is its own."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
        """PROTOCOL.md, "Phrases": `no-such-member`, `not-host`, …"""


class NotInRoom(ClientError):
    """The room was left, closed, or the member removed."""


class NotInDialect(ClientError):
    """The dialect has no way to say this."""


_BY_STATUS: dict[Status, tuple[type[Refused], str]] = {
    Status.ROOM_EXISTS: (RoomExists, "there is a room called {room} already"),
    Status.ROOM_NOT_FOUND: (RoomNotFound, "there is no room called {room}"),
    Status.WRONG_PASSWORD: (WrongPassword, "wrong password for {room}"),
    Status.BAD_REQUEST: (BadRequest, "the server does not accept the request"),
    Status.BUSY: (Busy, "the server is busy; try again"),
}


def refusal(status: Status | None, reason: str, room: str) -> Refused:
    """Return the error for a refusal; `reason` is told too where it says more than the status."""
    kind, words = _BY_STATUS.get(status, (Refused, "the server refused")) if status else (Refused, "the server refused")
    _, _, detail = reason.partition(": ")
    if kind is WrongPassword and detail:
        words = "the server does not let you into {room}"  # Not for a password: for a signed token.
    text = words.format(room=room)
    if kind is Refused:
        detail = reason
    return kind(f"{text}: {detail}" if detail else text, status)
