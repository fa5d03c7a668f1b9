"""The client protocol's bytes, made and taken apart the way small public programs do it.

Nothing here may import the project's own packages: these clients stand for programs that have never heard of them.

    TCP   | room size: 1 | operation: 1 | state: 1 | payload size: 29 | room | payload |     integers big-endian
    UDP   | room size: 1 | token size: 1 | room | token | text |
"""

import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

CREATE = 1
JOIN = 2
HEADER_SIZE = 32
PATIENCE_S = 60.0
"""How long a client waits for what must come; long, so that a busy machine fails no test."""

Address = tuple[str, int]


class Listener(NamedTuple):
    """A TCP listener, and the UDP socket that goes with it."""

    tcp: Address
    udp: Address


class Counts(StrEnum):
    """What a client's `len` counted when it filled in the two sizes."""

    BYTES = "bytes"
    CHARACTERS = "characters"
    ROOM = "room"
    """The room in characters, the payload in bytes."""

    def of_room(self, room: str) -> int:
        return len(room.encode()) if self is Counts.BYTES else len(room)

    def of_payload(self, payload: bytes) -> int:
        return len(payload.decode()) if self is Counts.CHARACTERS else len(payload)


def header(room_size: int, operation: int, state: int, payload_size: int) -> bytes:
    return bytes((room_size, operation, state)) + payload_size.to_bytes(29, "big")


def datagram(room: str, token: bytes, text: str, counts: Counts) -> bytes:
    return bytes((counts.of_room(room), len(token))) + room.encode() + token + text.encode()


@dataclass(frozen=True, slots=True)
class Frame:
    """One reply as it came: the header's four numbers and what followed."""

    room_size: int
    operation: int
    state: int
    payload_size: int
    body: bytes

    @classmethod
    def split(cls, data: bytes) -> "Frame":
        """Take the first 32 bytes as the header and all the rest as the body, as clients do that read once."""
        assert len(data) >= HEADER_SIZE, f"a reply of {len(data)} bytes has no header: {data!r}"
        return cls(data[0], data[1], data[2], int.from_bytes(data[3:HEADER_SIZE], "big"), data[HEADER_SIZE:])

    @property
    def raw(self) -> bytes:
        return header(self.room_size, self.operation, self.state, self.payload_size) + self.body

    @property
    def payload(self) -> bytes:
        return self.body[self.room_size :]


class Stream:
    """A blocking TCP connection that waits `PATIENCE_S` for whatever it expects."""

    def __init__(self, address: Address, source: str) -> None:
        self._socket = socket.create_connection(address, PATIENCE_S, (source, 0))

    @property
    def port(self) -> int:
        """The port at this end."""
        return int(self._socket.getsockname()[1])

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive_once(self, limit: int) -> bytes:
        """Return the bytes of one `recv`."""
        return self._socket.recv(limit)

    def receive_exactly(self, size: int) -> bytes:
        assert size < 2**20, f"this client would wait for {size} bytes"
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more, f"connection closed after {data!r}, {size - len(data)} bytes early"
            data += more
        return data

    def receive_frame(self) -> Frame:
        """Receive a header, and then exactly the body that it promises."""
        head = Frame.split(self.receive_exactly(HEADER_SIZE))
        return Frame.split(head.raw + self.receive_exactly(head.room_size + head.payload_size))

    def close(self) -> None:
        self._socket.close()


class Deadline:
    """The time left until waiting ends."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._at - time.monotonic())
