"""The bytes of a packet: a header of 30 bytes, then what is sealed, or a check; PROTOCOL.md, "Packets"."""

from enum import IntEnum

import msgspec

from tsudoi.protocol.errors import MalformedMessage

MARK = 0
"""The first byte of a packet. No datagram of version 1 begins with it: no room's name is empty."""
MAX_PACKET = 1_200
"""Bytes of a packet: what paths carry without fragments of IP."""
SESSION_SIZE = 16
RUN_SIZE = COUNT_SIZE = 6
COOKIE_SIZE = RUN_SIZE + COUNT_SIZE
"""A cookie stands in the place of run and count."""
HEADER_SIZE = 2 + SESSION_SIZE + RUN_SIZE + COUNT_SIZE
CHECK_SIZE = 16
NO_RUN = bytes(RUN_SIZE)
"""The run in packets of a client that has not been served yet."""

SESSION_AT = 2
RUN_AT = SESSION_AT + SESSION_SIZE
"""Where run and count begin, which are the nonce together."""
COUNT_AT = RUN_AT + RUN_SIZE


class Kind(IntEnum):
    """What a packet is: its second byte."""

    BODY = 1
    PART = 2
    RETRY = 3
    GONE = 4


BODY, PART = int(Kind.BODY), int(Kind.PART)
"""Plain ints: they are compared for each packet."""


class Packet(msgspec.Struct, frozen=True):
    """A packet whose rest has not been opened or checked yet."""

    kind: int
    """A `Kind`."""
    session: bytes
    run: bytes
    count: int
    header: bytes
    """All before the rest: the associated data, or what is checked."""
    rest: bytes
    """What is sealed, or the check."""

    @property
    def nonce(self) -> bytes:
        """The nonce with which it is sealed; of RETRY and GONE, the cookie."""
        return self.header[RUN_AT:]


_KINDS = frozenset(Kind)


def parse_untrusted(data: bytes) -> Packet:
    """Return the packet in a datagram, unopened; raise MalformedMessage if it is none."""
    if len(data) < HEADER_SIZE or data[0] != MARK or data[1] not in _KINDS:
        raise MalformedMessage("not a packet of version 2")
    header = data[:HEADER_SIZE]
    count = int.from_bytes(header[COUNT_AT:])
    return Packet(data[1], header[SESSION_AT:RUN_AT], header[RUN_AT:COUNT_AT], count, header, data[HEADER_SIZE:])


def serialize_header(kind: Kind, session: bytes, run: bytes, count: int) -> bytes:
    """Return the header of a packet; raise OverflowError if all counts are used."""
    return bytes((MARK, kind)) + session + run + count.to_bytes(COUNT_SIZE)


def serialize_cookie_header(kind: Kind, session: bytes, cookie: bytes) -> bytes:
    """Return the header of a RETRY or GONE."""
    return bytes((MARK, kind)) + session + cookie
