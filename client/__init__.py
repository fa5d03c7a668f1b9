"""tsudoi's SDK: chat rooms for asyncio programs.

import client as tsudoi_client

async with await tsudoi_client.create("den", name="alice") as room:
    await room.say("hello")
    async for event in room:
        print(event)
"""

from client.errors import (
    BadRequest,
    Busy,
    ClientError,
    InvalidName,
    InvalidText,
    NoAnswer,
    NotInDialect,
    NotInRoom,
    ProtocolViolation,
    Refused,
    RoomExists,
    RoomNotFound,
    ServerUnreachable,
    WrongPassword,
)
from client.events import Event, Kicked, Message, Notice, RoomClosed, ServerAway, TimedOut
from client.net.chat import ChatClient, create, join, rooms
from client.server import Server
from client.settings import Settings

__all__ = [
    "BadRequest",
    "Busy",
    "ChatClient",
    "ClientError",
    "Event",
    "InvalidName",
    "InvalidText",
    "Kicked",
    "Message",
    "NoAnswer",
    "NotInDialect",
    "NotInRoom",
    "Notice",
    "ProtocolViolation",
    "Refused",
    "RoomClosed",
    "RoomExists",
    "RoomNotFound",
    "Server",
    "ServerAway",
    "ServerUnreachable",
    "Settings",
    "TimedOut",
    "WrongPassword",
    "create",
    "join",
    "rooms",
]
