"""Packets on a TCP connection, each behind its size; PROTOCOL.md, "Over TCP".

| size: 2, big-endian, 30 to 1,200 | packet |
"""

from tsudoi.protocol.errors import MalformedMessage

from .packets import HEADER_SIZE, MARK, MAX_PACKET

SIZE_SIZE = 2
"""Bytes of a size."""


def begins_with_packet(data: bytes) -> bool:
    """Return whether a connection that begins with these bytes, two or more, carries packets.

    A request has no empty room with an operation of 30 or more.
    """
    return data[0] == MARK and data[1] >= HEADER_SIZE


def framed(packet: bytes) -> bytes:
    """Return a packet behind its size."""
    return len(packet).to_bytes(SIZE_SIZE) + packet


class PacketReader:
    """Takes the bytes of one connection in pieces of any size, and returns its packets."""

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        """Where what has not been returned begins."""

    def feed(self, data: bytes) -> None:
        del self._data[: self._at]
        self._at = 0
        self._data += data

    def next_untrusted(self) -> bytes | None:
        """Return the next packet, unparsed; None: more must come; raise MalformedMessage for a size out of bounds."""
        start = self._at + SIZE_SIZE
        if len(self._data) < start:
            return None
        size = int.from_bytes(self._data[self._at : start])
        if not HEADER_SIZE <= size <= MAX_PACKET:
            raise MalformedMessage(f"a packet of {size} bytes")
        if len(self._data) < start + size:
            return None
        self._at = start + size
        return bytes(self._data[start : self._at])
