"""tsudoi's SDK: chat rooms for asyncio programs.

import client as tsudoi_client

async with await tsudoi_client.create("den", name="alice") as room:
    await room.say("hello")
    async for event in room:
        print(event)
"""

import sys

try:
    from client.errors import (
        BadRequest,
        Busy,
        ClientError,
        CommandRefused,
        InvalidName,
        InvalidText,
        NoAnswer,
        NotInDialect,
        NotInRoom,
        ProtocolViolation,
        Refused,
        RoomExists,
        RoomNotFound,
        ServerNotTrusted,
        ServerUnreachable,
        WrongPassword,
    )
    from client.events import (
        Announced,
        Answered,
        CommandHelp,
        Emote,
        Event,
        HostChanged,
        Joined,
        Kicked,
        Left,
        Listed,
        LockChanged,
        Message,
        Muted,
        Notice,
        Past,
        PeopleChanged,
        Person,
        Private,
        Renamed,
        RoomClosed,
        RoomInfo,
        Sanction,
        ServerAway,
        TimedOut,
        TopicChanged,
        Unmuted,
    )
    from client.net.chat import ChatClient, create, join, rooms
    from client.server import Server
    from client.settings import Settings
except ModuleNotFoundError:
    # `python -m client` comes by here first, called just "-m" so far; its __main__ misses the same, and says so.
    if sys.argv[:1] != ["-m"]:
        raise

__all__ = [
    "Announced",
    "Answered",
    "BadRequest",
    "Busy",
    "ChatClient",
    "ClientError",
    "CommandHelp",
    "CommandRefused",
    "Emote",
    "Event",
    "HostChanged",
    "InvalidName",
    "InvalidText",
    "Joined",
    "Kicked",
    "Left",
    "Listed",
    "LockChanged",
    "Message",
    "Muted",
    "NoAnswer",
    "NotInDialect",
    "NotInRoom",
    "Notice",
    "Past",
    "PeopleChanged",
    "Person",
    "Private",
    "ProtocolViolation",
    "Refused",
    "Renamed",
    "RoomClosed",
    "RoomExists",
    "RoomInfo",
    "RoomNotFound",
    "Sanction",
    "Server",
    "ServerAway",
    "ServerNotTrusted",
    "ServerUnreachable",
    "Settings",
    "TimedOut",
    "TopicChanged",
    "Unmuted",
    "WrongPassword",
    "create",
    "join",
    "rooms",
]
