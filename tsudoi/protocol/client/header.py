"""Parse and serialize the 32-byte TCP header, and split a body into room and payload; PROTOCOL.md, "TCP"."""

import struct
from dataclasses import dataclass
from typing import Self

from tsudoi.protocol.errors import MalformedMessage

HEADER_SIZE = 32
PROMISE_LIMIT = 2**29
"""Bytes that a header may promise; a gateway reads far less."""
PAYLOAD_LIMIT = 65_536
"""Bytes of the longest payload of a request, whatever its header promises."""

#  | room size: 1 | operation: 1 | state: 1 | payload size: 29, big-endian |
_HEADER = struct.Struct("!BBB29s")


@dataclass(frozen=True, slots=True)
class Header:
    """A header, H32(room_size, operation, state, payload_size), with its sizes as the sender counted them."""

    room_size: int
    operation: int
    state: int
    payload_size: int

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Self:
        """Return the header in exactly 32 bytes; raise MalformedMessage, also for a payload size above 2^29."""
        if len(data) != HEADER_SIZE:
            raise MalformedMessage("a header has 32 bytes")
        room_size, operation, state, size = _HEADER.unpack(data)
        payload_size = int.from_bytes(size, "big")
        if payload_size > PROMISE_LIMIT:
            raise MalformedMessage("the header promises more than 2^29 bytes")
        return cls(room_size, operation, state, payload_size)

    def serialize(self) -> bytes:
        return _HEADER.pack(self.room_size, self.operation, self.state, self.payload_size.to_bytes(29, "big"))

    @property
    def body_size(self) -> int:
        """Bytes of the body if the sizes are bytes; its least number of bytes if they are characters."""
        return self.room_size + self.payload_size


def frame(room: bytes, operation: int, state: int, payload: bytes) -> bytes:
    return Header(len(room), operation, state, len(payload)).serialize() + room + payload


def split_untrusted(header: Header, body: bytes, trailer: int = 0) -> tuple[str, bytes]:
    """Return (room, payload) of a body whose sizes may be counted in characters.

    Nine of thirty surveyed clients put `len(str)` where bytes belong, some in both fields, some in the room's only.
    Tries these splits and returns the first that is UTF-8 and uses all of `body`: both sizes in bytes; the room's in
    characters and the payload's in bytes or characters; the room's in bytes and the payload's in characters. If none
    does, returns the split by bytes and ignores what follows it.

    `trailer` is the number of bytes at the payload's end that are not text (a port); they always count as bytes.

    Raises:
        MalformedMessage: no split is UTF-8, or `body` is shorter than the header says.
    """
    room_size, payload_size = header.room_size, header.payload_size
    if len(body) < header.body_size:
        raise MalformedMessage("less than the header promises")
    exact = _text(body[:room_size])
    if exact is not None and len(body) == header.body_size and _is_text(body[room_size:], trailer):
        return exact, body[room_size:]
    whole = _text(body[: len(body) - trailer])
    if whole is not None:
        room = whole[:room_size]
        payload = body[len(room.encode()) :]
        if len(room) == room_size and payload_size in (len(payload), len(whole) - room_size + trailer):
            return room, payload
    if exact is not None:
        text = _text(body[room_size : len(body) - trailer])
        if text is not None and payload_size == len(text) + trailer:
            return exact, body[room_size:]
        if _is_text(body[room_size : header.body_size], trailer):
            return exact, body[room_size : header.body_size]
    raise MalformedMessage("room and payload are not UTF-8 at the sizes that the header gives")


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _is_text(raw: bytes, trailer: int) -> bool:
    return _text(raw[: len(raw) - trailer]) is not None
