"""The TCP requests and answers of every dialect, read from its profile; PROTOCOL.md, "Handshake"."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tsudoi.protocol.client.dialect import Dialect, PortPlace, Reply, RequestForm
from tsudoi.protocol.client.header import Header, frame, split_untrusted
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import MAX_NAME_SIZE, cut

_T = TypeVar("_T")

PORT = struct.Struct("!H")

_OBJECT = re.compile(r"[\s\ufeff]*\{")

LIST_LIMIT = 4096
"""Bytes of a room list: the seed's client reads it with one recv(4096) and takes what comes next for its token."""

REASONS: Mapping[Status, str] = {
    Status.OK: "ok",
    Status.ROOM_EXISTS: "Room already exists",
    Status.ROOM_NOT_FOUND: "Room does not exist",
    Status.WRONG_PASSWORD: "Wrong password",
    Status.BAD_REQUEST: "Bad request",
    Status.BUSY: "Busy, try again",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for, as it wrote it: names are not yet in normal form."""

    header: Header
    operation: Operation
    room: str
    """Empty for a join that first wants the list."""
    user: str
    password: str | None = None
    port: int | None = None
    """The UDP port that it announced, 1 to 65535."""


def parse_request_untrusted(dialect: Dialect, header: Header, body: bytes) -> Request:
    """Return the request in a header and all the bytes that came after it at once.

    Raises:
        MalformedMessage: not a create or join; sizes, UTF-8, JSON or its keys are not what the dialect wants.
    """
    if header.operation not in (Operation.CREATE, Operation.JOIN):
        raise MalformedMessage(f"operation {header.operation} is neither create (1) nor join (2)")
    trailer = PORT.size if dialect.port is PortPlace.PAYLOAD_END else 0
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
    value = _json(payload)
    if dialect.request is RequestForm.JSON_STRING:
        return Request(header, operation, room, _typed(value, str, "the payload"))
    fields = _typed(value, dict, "the payload")
    user = _typed(fields.get(dialect.user_key), str, f'"{dialect.user_key}"')
    password = fields.get(dialect.password_key) if dialect.password_key else None
    if password is not None:
        password = _typed(password, str, '"password"')
    if dialect.port is PortPlace.KEY:
        port = _port(fields.get(dialect.port_key))
    return Request(header, operation, room, user, password or None, port)


def is_meant_as_object(payload: bytes) -> bool:
    """Say whether a payload begins as a JSON object does, behind white space or byte order marks.

    It may be none for all that: with such a mark, NaN or half an escape in it. But it may hold a password all the same,
    and to take it for a user's name would show that to the room.
    """
    return _OBJECT.match(payload.decode(errors="replace")) is not None


def serialize_request(
    dialect: Dialect, operation: Operation, room: str, user: str, password: str | None = None, port: int = 0
) -> bytes:
    """Return the bytes that a client of `dialect` sends first. A classic join leaves the room out."""
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


def granted(dialect: Dialect, request: Request, room: str, user: str, token: str) -> list[bytes]:
    """Return the frames that tell a client its token; `room` and `user` as assigned."""
    replies = dialect.created
    if request.operation is Operation.JOIN and dialect.joined is not None:
        replies = dialect.joined
    values = _values(dialect, Status.OK, REASONS[Status.OK]) | {"token": token, "room": room, "user": user}
    return [_frame(reply, request.header, request.room, values) for reply in replies]


def refused(dialect: Dialect, header: Header, room: str, status: Status, detail: str = "") -> list[bytes]:
    """Return the frames that tell a client why not; `detail` says more than the status does, where there are words."""
    reason = f"{REASONS[status]}: {detail}" if detail else REASONS[status]
    values = _values(dialect, status, reason) | {"token": "", "room": room, "user": ""}
    frames = [_frame(reply, header, room, values) for reply in dialect.refused]
    state = dialect.refused_states.get(status)
    if state is not None:
        last = bytearray(frames[-1])
        last[2] = state
        frames[-1] = bytes(last)
    return frames


def join_list(rooms: list[str]) -> bytes:
    """Return the seed's room list, Python's `str(list)`, with as many of the newest rooms as fit 4096 bytes.

    Args:
        rooms: names, oldest first.
    """
    kept: list[str] = []
    size = len("[]") - len(", ")
    for room in reversed(rooms):
        size += len(repr(room).encode()) + len(", ")
        if size > LIST_LIMIT:
            break
        kept.append(room)
    return str(kept[::-1]).encode()


def rooms_reply(rooms: list[str]) -> bytes:
    """Return the answer to H32(0, 2, 0, 0): the names, joined by commas."""
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
        payload = msgspec.json.encode({key: _fill(value, values) for key, value in reply.json.items()})
    else:
        text = reply.text.format_map(values)
        # Without a header, one recv(255) takes it for a token, whose size then goes into one byte.
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


def _json(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedMessage("the payload is not JSON") from exc


def _typed(value: Any, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind):
        raise MalformedMessage(f"{what} is not {'an object' if kind is dict else 'a string'}")
    return value


def _port(value: Any) -> int | None:
    """Return the port in a number, a string of digits or [ip, port]; None if it is none: it was only a hint."""
    if isinstance(value, list) and len(value) == 2:
        value = value[1]
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    # Not isinstance: JSON's true is an int to Python.
    return value if type(value) is int and 0 < value < 65536 else None
