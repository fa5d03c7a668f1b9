"""The 32-byte TCP header and how a body falls apart into room and payload; PROTOCOL.md, "TCP"."""

import struct
from dataclasses import dataclass
from typing import Self

from tsudoi.protocol.errors import MalformedMessage

HEADER_SIZE = 32
PROMISE_LIMIT = 2**29
"""The text's limit on a payload. What is really read is bounded by a setting, far below."""

#  | room size: 1 | operation: 1 | state: 1 | payload size: 29, big-endian |
_HEADER = struct.Struct("!BBB29s")


@dataclass(frozen=True, slots=True)
class Header:
    """One TCRP header, H32(room_size, operation, state, payload_size); all sizes as the sender counted them."""

    room_size: int
    operation: int
    state: int
    payload_size: int

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Self:
        """Return the header in exactly 32 bytes.

        Raises:
            MalformedMessage: not 32 bytes, or it promises more than 2^29 bytes.
        """
        if len(data) != HEADER_SIZE:
            raise MalformedMessage("a header has 32 bytes")
        room_size, operation, state, size = _HEADER.unpack(data)
        payload_size = int.from_bytes(size, "big")
        if payload_size > PROMISE_LIMIT:
            raise MalformedMessage("the header promises more than 2^29 bytes")
        return cls(room_size, operation, state, payload_size)

    def serialize(self) -> bytes:
        """Return the 32 bytes."""
        return _HEADER.pack(self.room_size, self.operation, self.state, self.payload_size.to_bytes(29, "big"))

    @property
    def body_size(self) -> int:
        """Bytes to read before anything else, if the sizes are bytes (they are at least characters)."""
        return self.room_size + self.payload_size


def frame(room: bytes, operation: int, state: int, payload: bytes) -> bytes:
    """Return a whole TCP frame: header, room, payload."""
    return Header(len(room), operation, state, len(payload)).serialize() + room + payload


def split_untrusted(header: Header, body: bytes, trailer: int = 0) -> tuple[str, bytes]:
    """Return (room, payload) of a body whose sizes may have been counted in characters.

    Nine of thirty surveyed clients put `len(str)` where bytes belong, some for both fields, some for the room only. The
    split is the first of these that uses up all of `body`: sizes in bytes; room in characters and payload in bytes or
    characters; room in bytes and payload in characters. Bytes left over after that belong to nobody: an exact
    split in bytes is then taken from the front.

    Args:
        header: what was announced.
        body: everything that came with the request at once.
        trailer: bytes at the payload's end that are not text (a port), counted one by one in any case.

    Raises:
        MalformedMessage: no split is valid UTF-8, or `body` is less than the header promises.
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
