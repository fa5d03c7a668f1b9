"""What each program's own server answers on TCP, byte by byte; where a payload is JSON, key by key."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from tests.support.legacy.wire import CREATE, Frame, header

JsonCheck = Callable[[dict[str, Any]], bool]


class _Refusal(NamedTuple):
    status: int
    reason: str
    word: str
    """Of tcrp-ok."""
    state: int
    """Of tcrp-bare-ack."""


class Refusal(_Refusal, Enum):
    ROOM_EXISTS = (1, "Room already exists", "ROOM_EXISTS", 3)
    ROOM_NOT_FOUND = (2, "Room does not exist", "NO_ROOM", 4)
    WRONG_PASSWORD = (3, "Wrong password", "WRONG_PASSWORD", 5)


@dataclass(frozen=True, slots=True)
class JsonReply:
    """A frame whose payload is an object for which `check` holds; without the room if that is empty."""

    operation: int
    state: int
    check: JsonCheck
    room: str = ""

    def matches(self, reply: bytes) -> bool:
        frame = Frame.split(reply)
        room, payload = self.room.encode(), frame.body[len(self.room.encode()) :]
        numbers = (frame.room_size, frame.operation, frame.state, frame.payload_size)
        return (
            numbers == (len(room), self.operation, self.state, len(payload))
            and frame.body.startswith(room)
            and self.check(json.loads(payload))
        )


Expected = bytes | JsonReply


def whole(operation: int, state: int, payload: bytes, room: str = "") -> bytes:
    return header(len(room.encode()), operation, state, len(payload)) + room.encode() + payload


def granted(
    dialect: str, operation: int, room: str, token: bytes, request_sizes: tuple[int, int] = (0, 0)
) -> list[Expected]:
    """The replies that bring a token. `request_sizes` as the client declared them; tcrp-bare-ack gets them back."""
    shown = token.decode()
    match dialect:
        case "classic":
            return [token]
        case "tcrp" | "tcrp-named":
            return [whole(operation, 1, b"\0"), whole(operation, 2, token)]
        case "tcrp-room" | "tcrp-json":
            return [whole(operation, 1, b"\0", room), whole(operation, 2, token, room)]
        case "tcrp-200":
            return [whole(operation, 1, b"200", room), whole(operation, 2, token, room)]
        case "tcrp-ok":
            return [whole(operation, 1, b"OK", room), whole(operation, 2, token, room)]
        case "tcrp-bare-ack":
            return [header(request_sizes[0], operation, 1, request_sizes[1]), whole(operation, 2, token, room)]
        case "tcrp-empty-ack":
            return [whole(operation, 1, b""), whole(operation, 2, token)]
        case "tcrp-no-token":
            return [whole(operation, 1, b"ok"), whole(operation, 2, token)]
        case "tcrp-raw":
            return [b"\0" + bytes((len(token),)) + token]
        case "tcrp-two-sockets":
            return [JsonReply(operation, 2, lambda content: said_all(content, "success", token=shown), room)]
        case "tcrp-success":
            return [
                JsonReply(operation, 1, lambda content: content == {"success": 1}),
                JsonReply(operation, 2, lambda content: content == {"token": shown}),
            ]
        case "tcrp-single":
            return [JsonReply(operation, 2, lambda content: spoken(content, 202, token=shown))]
        case "tcrp-202":
            second = 201 if operation == CREATE else 200
            return [
                JsonReply(operation, 1, lambda content: spoken(content, 202)),
                JsonReply(operation, 2, lambda content: spoken(content, second, token=shown)),
            ]
        case "tcrp-typed":
            return [JsonReply(operation, 1, lambda content: spoken(content, 200)), whole(operation, 2, token)]
    raise AssertionError(dialect)


def refused(
    dialect: str, operation: int, room: str, why: Refusal, request_sizes: tuple[int, int] = (0, 0)
) -> list[Expected]:
    """The replies that bring none."""
    status = bytes((why.status,))
    match dialect:
        case "classic":
            return [f"ERROR: {why.reason}".encode()]
        case "tcrp" | "tcrp-named":
            return [whole(operation, 1, status)]
        case "tcrp-room" | "tcrp-json":
            return [whole(operation, 1, status, room)]
        case "tcrp-200":
            return [whole(operation, 1, b"200", room), whole(operation, 2, f"error:{why.reason}".encode(), room)]
        case "tcrp-ok":
            return [whole(operation, 1, why.word.encode(), room)]
        case "tcrp-bare-ack":
            reason = whole(operation, why.state, why.reason.encode(), room)
            return [header(request_sizes[0], operation, 1, request_sizes[1]), reason]
        case "tcrp-empty-ack":
            return [whole(operation, 0, why.reason.encode())]
        case "tcrp-no-token":
            return [whole(operation, 1, why.reason.encode()), whole(operation, 2, b"No token")]
        case "tcrp-raw":
            return [status]
        case "tcrp-two-sockets":
            return [
                JsonReply(operation, 1, lambda content: content == {"status": "error", "message": why.reason}, room)
            ]
        case "tcrp-success":
            return [JsonReply(operation, 1, lambda content: content == {"success": 0})]
        case "tcrp-single":
            return [JsonReply(operation, 0, lambda content: spoken(content, 400))]
        case "tcrp-202" | "tcrp-typed":
            return [JsonReply(operation, 1, lambda content: content.keys() == {"status", "message"})]
    raise AssertionError(dialect)


def said_all(content: dict[str, Any], status: str, token: str) -> bool:
    """An object with a status in a word, the token, and the name as assigned; no more."""
    name = content.get("user_name")
    return content == {"status": status, "token": token, "user_name": name} and isinstance(name, str) and bool(name)


def spoken(content: dict[str, Any], status: int, **others: str) -> bool:
    """An object with a status, words for a person, and `others`; no more."""
    words = content.get("message")
    return content == {"status": status, "message": words, **others} and isinstance(words, str) and bool(words)


def check(replies: tuple[bytes, ...], expected: list[Expected]) -> None:
    assert len(replies) == len(expected), f"{replies} in place of {expected}"
    for reply, wanted in zip(replies, expected, strict=True):
        if isinstance(wanted, bytes):
            assert reply == wanted
        else:
            assert wanted.matches(reply), f"{reply!r} in place of {wanted}"
