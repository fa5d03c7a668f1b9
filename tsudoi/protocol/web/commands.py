"""Parse what a client sends: JSON objects, one a line, several in a frame."""

from typing import Annotated, Literal, TypeVar

import msgspec

from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import PARSE_ERRORS

MAX_COMMANDS = 100
"""Commands in one frame."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A number that JavaScript has exactly."""
_Name = Annotated[str, msgspec.Meta(max_length=1_024)]
_Token = Annotated[str, msgspec.Meta(max_length=8_192)]
_EMPTY = msgspec.Raw(b"{}")

_T = TypeVar("_T")


class Position(msgspec.Struct, frozen=True):
    """A position in a room's log, as a client knows it."""

    offset: _Number = 0
    epoch: Annotated[str, msgspec.Meta(max_length=32)] = ""


class Connect(msgspec.Struct, frozen=True):
    """The first command of a connection."""

    token: _Token = ""
    """A signed token, which stands for the name."""
    data: msgspec.Raw = _EMPTY
    """`ConnectData`"""


class ConnectData(msgspec.Struct, frozen=True):
    """Who the client is."""

    name: _Name = ""
    session: Annotated[str, msgspec.Meta(max_length=128)] = ""
    language: Literal["", "en", "ja"] = ""


class Subscribe(msgspec.Struct, frozen=True):
    """Enter a room, or continue to be in it."""

    channel: _Name
    token: _Token = ""
    """A signed token for this room alone."""
    recover: bool = False
    epoch: Annotated[str, msgspec.Meta(max_length=32)] = ""
    offset: _Number = 0
    data: msgspec.Raw = _EMPTY
    """`SubscribeData`"""


class SubscribeData(msgspec.Struct, frozen=True):
    """How to enter a room."""

    password: Annotated[str, msgspec.Meta(max_length=1_024)] | None = None
    create: bool = False
    """Create the room if there is none of that name."""
    name: _Name = ""
    """Of a new member; empty: the connection's."""


class Unsubscribe(msgspec.Struct, frozen=True):
    """Leave a room."""

    channel: _Name


class Publish(msgspec.Struct, frozen=True):
    """Send a message, or a command, to a room."""

    channel: _Name
    data: msgspec.Raw
    """`PublishData`"""


class PublishData(msgspec.Struct, frozen=True):
    """A message."""

    text: str
    number: _Number = 0
    """The client's own, which grows; 0: none."""


class History(msgspec.Struct, frozen=True):
    """Ask for entries of a room's log."""

    channel: _Name
    limit: Annotated[int, msgspec.Meta(ge=-1, le=2**31)] = 0
    """Most publications; 0: the position alone, -1: as many as there may be in one answer."""
    since: Position | None = None
    reverse: bool = False


class Presence(msgspec.Struct, frozen=True):
    """Ask for a room's members, or for their number."""

    channel: _Name


class Rpc(msgspec.Struct, frozen=True):
    """Ask for something else."""

    method: Annotated[str, msgspec.Meta(max_length=64)] = ""
    data: msgspec.Raw = _EMPTY


class Command(msgspec.Struct, frozen=True):
    """One command; without an id and a method it answers a ping."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    connect: Connect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Unsubscribe | None = None
    publish: Publish | None = None
    history: History | None = None
    presence: Presence | None = None
    presence_stats: Presence | None = None
    rpc: Rpc | None = None


class RoomsData(msgspec.Struct, frozen=True):
    """Which page of the rooms."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1


_commands = msgspec.json.Decoder(Command)
_connect_data = msgspec.json.Decoder(ConnectData)
_subscribe_data = msgspec.json.Decoder(SubscribeData)
_rooms_data = msgspec.json.Decoder(RoomsData)
_publish_data = msgspec.json.Decoder(PublishData)


def parse_untrusted(frame: bytes) -> list[Command]:
    """Return the commands in a frame, or raise MalformedMessage."""
    lines = frame.strip().split(b"\n", MAX_COMMANDS)
    if len(lines) > MAX_COMMANDS:
        raise MalformedMessage(f"more than {MAX_COMMANDS} commands in one frame")
    return [_decode(_commands, line, "a command") for line in lines]


def parse_connect_data_untrusted(raw: msgspec.Raw) -> ConnectData:
    """Return the `data` of a connect command, or raise MalformedMessage."""
    return _decode(_connect_data, bytes(raw), '"data" with "name"')


def parse_subscribe_data_untrusted(raw: msgspec.Raw) -> SubscribeData:
    """Return the `data` of a subscribe command, or raise MalformedMessage."""
    return _decode(_subscribe_data, bytes(raw), '"data" with "password" or "create"')


def parse_publish_data_untrusted(raw: msgspec.Raw) -> PublishData:
    """Return the `data` of a publish command, or raise MalformedMessage."""
    return _decode(_publish_data, bytes(raw), '"data" with "text"')


def parse_page_untrusted(raw: msgspec.Raw) -> int:
    """Return the page in the `data` of the rpc `rooms`, or raise MalformedMessage."""
    return _decode(_rooms_data, bytes(raw), '"data" with "page"').page


def _decode(decoder: msgspec.json.Decoder[_T], raw: bytes, what: str) -> _T:
    try:
        return decoder.decode(raw)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not {what}: {exc}") from exc
