"""Encode what a gateway sends: replies to commands, and pushes; one JSON object each, without a line end."""

from typing import Any

import msgspec

from .codes import Ending, Error

PING = b"{}"
"""A client answers it with the same."""


class Publication(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of a room's log, as a member sees it."""

    data: msgspec.Raw
    """The object that a client of the dialect `tsudoi` gets for it."""
    offset: int = 0
    """0: it is no entry, but an answer to this member alone."""
    time: int = 0
    """When it was stamped, in milliseconds since 1970; 0: it is no entry."""


def reply(command: int, method: str, result: Any) -> bytes:
    """Return the answer to a command, by its id."""
    return msgspec.json.encode({"id": command, method: result})


def error(command: int, code: Error, message: str) -> bytes:
    about: dict[str, Any] = {"code": code, "message": message}
    if code.is_temporary:
        about["temporary"] = True
    return msgspec.json.encode({"id": command, "error": about})


def push(channel: str, what: str, content: Any) -> bytes:
    """Return a message that answers no command: `what` is "pub", "join", "leave" or "unsubscribe"."""
    return msgspec.json.encode({"push": {"channel": channel, what: content}})


def publication(channel: str, data: bytes, offset: int = 0, at_ms: int = 0) -> bytes:
    """Return the push of an entry, or of an answer."""
    return push(channel, "pub", Publication(msgspec.Raw(data), offset, at_ms))


def presence(channel: str, what: str, name: str) -> bytes:
    """Return the push that a member has come ("join") or gone ("leave")."""
    return push(channel, what, {"info": client_info(name)})


def client_info(name: str) -> dict[str, Any]:
    """Return what identifies a member in pushes and in the answer to `presence`: its name, which is its alone."""
    return {"client": name, "user": name}


def unsubscribe(channel: str, ending: Ending, reason: str) -> bytes:
    """Return the push that ends a subscription."""
    return push(channel, "unsubscribe", {"code": ending, "reason": reason})
