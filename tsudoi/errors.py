"""The errors of the SDK: one base class; each message is one line for a person."""

from tsudoi.protocol import errors
from tsudoi.protocol.client.sanitize import clean_line
from tsudoi.protocol.codes import Status

_REASON = 1_000
"""Characters of a server's words that are shown."""


class ClientError(errors.ChatError):
    """The base class of all errors that the SDK raises."""


class ServerUnreachable(ClientError):
    """Nothing answers at the server's address."""


class ServerNotTrusted(ClientError):
    """The server's certificate is not for its name, from no trusted authority, not valid now, or has changed."""


class NoAnswer(ClientError):
    """The server took the request and did not answer in time."""


class ProtocolViolation(ClientError):
    """The server's answer does not belong to the dialect; perhaps the server speaks another one."""


class Refused(ClientError):
    """The server refused the request."""

    def __init__(self, message: str, status: Status | None = None) -> None:
        super().__init__(message)
        self.status = status
        """None where the dialect gives no reason."""


class RoomExists(Refused):
    """A room of that name exists already."""


class RoomNotFound(Refused):
    """There is no room of that name."""


class WrongPassword(Refused):
    """The room is locked, and the password is missing or wrong."""


class BadRequest(Refused):
    """The server did not understand the request, or does not accept the name."""


class Busy(Refused):
    """The server can not serve the request now; try again."""


class InvalidName(ClientError, errors.InvalidName):
    """No server would accept this room or user name."""


class InvalidText(ClientError):
    """The text can not be sent: it is empty, too long, or a word that the dialect reserves."""


class CommandRefused(ClientError):
    """The server refused a command; the message is the server's."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
        """PROTOCOL.md, "Phrases": `no-such-member`, `not-host`, …"""


class LineRefused(ClientError):
    """The server did not say a line, and will not; the message is the server's."""


class TooManyLines(ClientError):
    """`Settings.lines_waiting` lines (10,000 by default) are not kept yet; this one was not taken."""


class OtherVersion(ClientError):
    """The server does not speak the requested version of the protocol, or does not allow its suite `plain`."""


class NotInRoom(ClientError):
    """The member has left or was removed, or the room is closed."""


class NotInDialect(ClientError):
    """The dialect has no way to express this."""


_BY_STATUS: dict[Status, tuple[type[Refused], str]] = {
    Status.ROOM_EXISTS: (RoomExists, "there is a room called {room} already"),
    Status.ROOM_NOT_FOUND: (RoomNotFound, "there is no room called {room}"),
    Status.WRONG_PASSWORD: (WrongPassword, "wrong password for {room}"),
    Status.BAD_REQUEST: (BadRequest, "the server does not accept the request"),
    Status.BUSY: (Busy, "the server is busy; try again"),
}


def refusal(status: Status | None, reason: str, room: str) -> Refused:
    """Return the error for a refusal, with `reason`, the server's words, where it says more than the status."""
    reason = clean_line(reason)[:_REASON]
    kind, words = _BY_STATUS.get(status or Status.OK, (Refused, "the server refused"))
    _, _, detail = reason.partition(": ")
    if kind is WrongPassword and detail:
        words = "the server does not let you into {room}"  # The reason is about a signed token.
    text = words.format(room=room)
    if kind is Refused:
        detail = reason
    return kind(f"{text}: {detail}" if detail else text, status)
