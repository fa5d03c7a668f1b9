"""Hold what a client has sent on a connection, so that it can be explained."""

from typing import NamedTuple

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import Rule
from tsudoi.protocol.errors import MalformedMessage

KEPT = 4_096
"""Bytes of a request that are kept to explain it; of a longer one only the header is explained."""


def keep(data: bytes) -> tuple[bytes, bool]:
    """Return what is kept of the bytes that came, and whether more came."""
    is_cut = len(data) > KEPT
    return data[:HEADER_SIZE] if is_cut else data, is_cut


class Opening(NamedTuple):
    """What a client has sent on a connection up to the end of its request, and how it was read."""

    data: bytes
    listener: str
    """The dialect of the listener, or `auto`."""
    dialect: Dialect | None = None
    """The dialect as which it was read; None: not read, because too little came or the header was refused."""
    rule: Rule | None = None
    """Why, on an `auto` listener."""
    is_all: bool = True
    """The client has sent all that it was going to send: its time is up, or it was read to its end."""
    room: bytes = b""
    """The bare room name in a `classic` join, which follows the list."""
    is_cut: bool = False
    """More came than is kept."""

    @property
    def header(self) -> Header | None:
        """The header, if it has come and can be read."""
        try:
            return Header.parse_untrusted(self.data[:HEADER_SIZE])
        except MalformedMessage:
            return None

    @property
    def body(self) -> bytes:
        """What came after the header."""
        return self.data[HEADER_SIZE:]
