"""Name what can happen in a join's conversation (events), and what it can ask for (commands)."""

from typing import Any

import msgspec

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.codes import Operation, Status

from .account import Account
from .room_list import Listing

# --- events: what happened -----------------------------------------------------------------------------------------


class Received(msgspec.Struct, frozen=True):
    """The client sent bytes."""

    data: bytes


class Quiet(msgspec.Struct, frozen=True):
    """`WaitBriefly` is over and the client sent nothing more."""


class Listed(msgspec.Struct, frozen=True):
    """The directory returned its rooms."""

    rooms: Listing


class Entered(msgspec.Struct, frozen=True):
    """The directory granted the request; room and user as it named them."""

    room: str
    user: str
    token: str
    session: dict[str, Any] | None = None
    """Of version 2: what its client is told instead of the token."""


class Declined(msgspec.Struct, frozen=True):
    """The gateway or the directory refused the request, or the directory could not be asked."""

    status: Status
    detail: str = ""
    close: bool = False
    """End the conversation, even in a dialect that allows another request on the same connection."""
    counted_as: str = ""
    """Name of the reason in the refusal counters, if it is not the status."""


Event = Received | Quiet | Listed | Entered | Declined


# --- commands: what to do ------------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True):
    """Send each frame in a segment of its own, with a pause between two."""

    frames: list[bytes]
    pause_s: float


class WaitBriefly(msgspec.Struct, frozen=True):
    """Report Quiet if no bytes come in a moment.

    A size counted in characters does not say how many bytes follow; the rest of a request comes at once or not at all.
    """


class AskForRooms(msgspec.Struct, frozen=True):
    """Ask the directory for its rooms, then report Listed or Declined."""

    alone: bool
    """The client asked for the list only, on a connection of its own."""


class AskToEnter(msgspec.Struct, frozen=True):
    """Decide about a create or join request (`admission.py`), then report Entered or Declined."""

    dialect: Dialect
    operation: Operation
    room: str
    user: str
    """In normal form; or a signed token, where these are accepted."""
    password: str | None
    suites: tuple[str, ...] = ()
    """Of version 2: see `handshake.Request`."""
    language: str = ""
    """Of the server's words to it, `en` or `ja`; empty: its listener's."""


class Announce(msgspec.Struct, frozen=True):
    """Send the new member's datagrams to this port of the client's host."""

    port: int | None
    """None: the port of this connection."""


class Report(msgspec.Struct, frozen=True):
    """Log how a request ended, and count a refusal: once for each, when its answer has been sent."""

    account: Account


class Finish(msgspec.Struct, frozen=True):
    """Close the connection once everything is sent."""


Command = Send | WaitBriefly | AskForRooms | AskToEnter | Announce | Report | Finish
