"""tsudoi's SDK: chat rooms for asyncio programs.

import tsudoi

async with await tsudoi.create("den", name="alice") as room:
    await room.say("hello")
    async for event in room:
        print(event)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsudoi.errors import *
    from tsudoi.events import *
    from tsudoi.net.bot import *
    from tsudoi.net.chat import *
    from tsudoi.net.enter import *
    from tsudoi.net.line import *
    from tsudoi.server_address import *
    from tsudoi.settings import *

__all__ = [
    "Announced",
    "Answered",
    "BadRequest",
    "Bot",
    "Busy",
    "Call",
    "ChatClient",
    "ClientError",
    "CommandHelp",
    "CommandRefused",
    "Earlier",
    "Emote",
    "Event",
    "FirstContact",
    "Gap",
    "HostChanged",
    "InvalidName",
    "InvalidText",
    "Joined",
    "Kicked",
    "Left",
    "Line",
    "LineRefused",
    "Listed",
    "LockChanged",
    "Message",
    "Muted",
    "NoAnswer",
    "NotInDialect",
    "NotInRoom",
    "Notice",
    "OtherVersion",
    "Past",
    "PeopleChanged",
    "Person",
    "Private",
    "ProtocolViolation",
    "Refused",
    "Rejoined",
    "Renamed",
    "Rerouted",
    "Reset",
    "RoomClosed",
    "RoomExists",
    "RoomInfo",
    "RoomNotFound",
    "Sanction",
    "Server",
    "ServerAway",
    "ServerBack",
    "ServerNotTrusted",
    "ServerUnreachable",
    "Settings",
    "TimedOut",
    "TooManyLines",
    "TopicChanged",
    "Unmuted",
    "WrongPassword",
    "create",
    "join",
    "rooms",
]

_MODULES = ("errors", "events", "server_address", "settings", "net.chat", "net.enter", "net.line", "net.bot")
"""Where these names are."""


def __getattr__(name: str) -> object:
    """Import the SDK when the first of its names is used: every program here imports this package, most without it."""
    if name in __all__:
        for module in _MODULES:
            found = import_module(f"{__name__}.{module}")
            if hasattr(found, name):
                return globals().setdefault(name, getattr(found, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
