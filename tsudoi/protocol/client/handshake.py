"""Parse TCP requests and encode the replies, as a dialect's profile says; PROTOCOL.md, "Handshake".

Also encodes requests, for the SDK; `reply_decoder.py` reads the replies there.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tsudoi.protocol.client.dialect import Dialect, DownForm, PortPlace, Reply, RequestForm
from tsudoi.protocol.client.dialects import SESSION_KEYS
from tsudoi.protocol.client.header import Header, frame, split_untrusted
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import MAX_NAME_SIZE, cut
from tsudoi.protocol.untrusted import parse_json_untrusted

_T = TypeVar("_T")

PORT = struct.Struct("!H")
MAX_SUITES = 16
"""Suites of a request of version 2 that are looked at."""

_OBJECT = re.compile(r"[\s\ufeff]*\{")

LIST_LIMIT = 4096
"""Bytes of the room list in a `classic` join: its client reads it with one recv(4096), then the token with another."""

REASONS: Mapping[Status, str] = {
    Status.OK: "ok",
    Status.ROOM_EXISTS: "Room already exists",
    Status.ROOM_NOT_FOUND: "Room does not exist",
    Status.WRONG_PASSWORD: "Wrong password",
    Status.BAD_REQUEST: "Bad request",
    Status.BUSY: "Busy, try again",
}
"""Status → words for a person; the same in every dialect that sends words."""


@dataclass(frozen=True, slots=True)
class Request:
    """A create or join as the client wrote it; its names are not yet in normal form."""

    header: Header
    operation: Operation
    room: str
    """Empty in a `classic` join, which asks for the room list first."""
    user: str
    password: str | None = None
    port: int | None = None
    """The announced UDP port, 1 to 65535; None if there is none."""
    suites: tuple[str, ...] = ()
    """Of version 2: what the client speaks, best first."""
    language: str = ""
    """Of version 2: `en`, `ja` or empty."""


def parse_request_untrusted(dialect: Dialect, header: Header, body: bytes) -> Request:
    """Return the request in a header and the bytes that came with it.

    Raises:
        MalformedMessage: neither create nor join; or sizes, UTF-8, JSON or its keys do not fit the dialect.
    """
    if header.operation not in (Operation.CREATE, Operation.JOIN):
        raise MalformedMessage(f"operation {header.operation} is neither create (1) nor join (2)")
    trailer = trailer_size(dialect)
    room, payload = split_untrusted(header, body, trailer)
    port: int | None = None
    if trailer:
        if len(payload) < trailer:
            raise MalformedMessage("the payload has no port at its end")
        (port,) = PORT.unpack(payload[-trailer:])
        payload = payload[:-trailer]
    operation = Operation(header.operation)
    if dialect.request is RequestForm.PLAIN or (dialect.bare_name and not is_meant_as_object(payload)):
        return Request(header, operation, room, payload.decode(), None, port or None)
    value = parse_json_untrusted(payload, "the payload")
    if dialect.request is RequestForm.JSON_STRING:
        return Request(header, operation, room, _typed(value, str, "the payload"))
    fields = _typed(value, dict, "the payload")
    if dialect.marker_key:
        version = fields.get(dialect.marker_key, 1)
        if version not in (1, 2) or isinstance(version, bool):
            # A client of a later version must not become a member of version 1, without seals, in silence.
            raise MalformedMessage(
                f'"{dialect.marker_key}" is neither the number 1 nor 2, the versions that this server knows'
            )
    user = _typed(fields.get(dialect.user_key), str, f'"{dialect.user_key}"')
    password = fields.get(dialect.password_key) if dialect.password_key else None
    if password is not None:
        password = _typed(password, str, '"password"')
    if dialect.port is PortPlace.KEY:
        port = announced_port(fields.get(dialect.port_key))
    if dialect.down.form is DownForm.SEALED:
        suites, language = _suites(fields.get("suites")), fields.get("language") or ""
        if language not in ("", "en", "ja"):
            raise MalformedMessage('"language" is neither "en" nor "ja"')
        return Request(header, operation, room, user, password or None, None, suites, language)
    return Request(header, operation, room, user, password or None, port)


def _suites(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise MalformedMessage('"suites" is not a list of strings')
    return tuple(value[:MAX_SUITES])


def trailer_size(dialect: Dialect) -> int:
    """Return how many bytes at the end of a request's payload are no text, but a port."""
    return PORT.size if dialect.port is PortPlace.PAYLOAD_END else 0


def is_meant_as_object(payload: bytes) -> bool:
    """Return whether a payload begins like a JSON object, after white space and byte order marks.

    Even if it is no JSON, it must not be taken for a user name: the room would be shown the password in it.
    """
    return _OBJECT.match(payload.decode(errors="replace")) is not None


def serialize_request(
    dialect: Dialect, operation: Operation, room: str, user: str, password: str | None = None, port: int = 0
) -> bytes:
    """Return the first bytes that a client of `dialect` sends. A `classic` join leaves the room out."""
    if dialect.request is RequestForm.PLAIN:
        payload = user.encode()
    elif dialect.request is RequestForm.JSON_STRING:
        payload = msgspec.json.encode(user)
    else:
        fields: dict[str, Any] = {dialect.marker_key: 1} if dialect.marker_key else {}
        fields[dialect.user_key] = user
        if dialect.password_key:
            fields[dialect.password_key] = password
        if dialect.port is PortPlace.KEY:
            fields[dialect.port_key] = port
        payload = msgspec.json.encode(fields)
    if dialect.port is PortPlace.PAYLOAD_END:
        payload += PORT.pack(port)
    named = b"" if dialect.join_lists_rooms and operation is Operation.JOIN else room.encode()
    return frame(named, operation, 0, payload)


def encode_grant(
    dialect: Dialect, request: Request, room: str, user: str, token: str, session: Mapping[str, Any] | None = None
) -> list[bytes]:
    """Return the frames with a client's token. `room` and `user` are the names as assigned.

    `session`: of version 2, the values of `dialects.SESSION_KEYS`, without those that its suite does not have.
    """
    replies = dialect.created
    if request.operation is Operation.JOIN and dialect.joined is not None:
        replies = dialect.joined
    values = _values(dialect, Status.OK, REASONS[Status.OK]) | {"token": token, "room": room, "user": user}
    if session is not None:
        values |= dict.fromkeys(SESSION_KEYS) | dict(session)
    return [_frame(reply, request.header, request.room, values) for reply in replies]


def encode_refusal(dialect: Dialect, header: Header, room: str, status: Status, detail: str = "") -> list[bytes]:
    """Return the frames of a refusal. `detail` follows the status' words, in dialects that send words."""
    reason = refusal_words(status, detail)
    values = _values(dialect, status, reason) | {"token": "", "room": room, "user": ""}
    frames = [_frame(reply, header, room, values) for reply in dialect.refused]
    state = dialect.refused_states.get(status)
    if state is not None:
        last = bytearray(frames[-1])
        last[2] = state
        frames[-1] = bytes(last)
    return frames


def refusal_words(status: Status, detail: str) -> str:
    """Return what a refusal says, in dialects that send words."""
    return f"{REASONS[status]}: {detail}" if detail else REASONS[status]


def encode_join_list(rooms: list[str]) -> bytes:
    """Return the room list in a `classic` join: Python's `str(list)` of the last (newest) that fit 4096 bytes."""
    kept: list[str] = []
    size = len("[]") - len(", ")
    for room in reversed(rooms):
        size += len(repr(room).encode()) + len(", ")
        if size > LIST_LIMIT:
            break
        kept.append(room)
    return str(kept[::-1]).encode()


def encode_room_list(rooms: list[str]) -> bytes:
    """Return the reply to H32(0, 2, 0, 0): the room names, joined by commas."""
    return frame(b"", Operation.JOIN, 1, ",".join(rooms).encode())


def _values(dialect: Dialect, status: Status, reason: str) -> dict[str, Any]:
    return {
        "status": int(status),
        "code": dialect.codes.get(status, int(status)),
        "word": dialect.words.get(status, reason),
        "reason": reason,
    }


def _frame(reply: Reply, header: Header, room: str, values: Mapping[str, Any]) -> bytes:
    if reply.header_only:
        return Header(header.room_size, header.operation, reply.state or 0, header.payload_size).serialize()
    if reply.status_byte:
        payload = bytes((values["status"],))
    elif reply.json is not None:
        filled = {key: _fill(value, values) for key, value in reply.json.items()}
        payload = msgspec.json.encode({key: value for key, value in filled.items() if value is not None})
    else:
        text = reply.text.format_map(values)
        # Without a header, the client takes the text for a token, and has one byte for its size in datagrams.
        payload = (text if reply.state is not None else cut(text, MAX_NAME_SIZE)).encode()
    if reply.state is None:
        return payload
    return frame(cut(room, MAX_NAME_SIZE).encode() if reply.room else b"", header.operation, reply.state, payload)


def _fill(template: str | int, values: Mapping[str, Any]) -> Any:
    if isinstance(template, int):
        return template
    name = template[1:-1]
    if template == f"{{{name}}}" and name in values:
        return values[name]
    return template.format_map(values)


def _typed(value: Any, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind):
        raise MalformedMessage(f"{what} is not {'an object' if kind is dict else 'a string'}")
    return value


def announced_port(value: Any) -> int | None:
    """Return the port under a dialect's `port_key`; None if the value is none.

    It may be a number, a string of digits or a list [ip, port].
    """
    if isinstance(value, list) and len(value) == 2:
        value = value[1]
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    # Not isinstance: JSON's true is an int in Python.
    return value if type(value) is int and 0 < value < 65536 else None
