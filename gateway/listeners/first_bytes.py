"""Decide by its first bytes what a client of an ordinary TCP listener speaks: TLS, packets, or a request."""

from enum import Enum, auto

from tsudoi.protocol.sealed.packets import MARK
from tsudoi.protocol.sealed.tcp_framing import SIZE_SIZE, begins_with_packet

from ..explain.other_protocols import TLS_RECORD


class Spoken(Enum):
    """What a client speaks."""

    UNKNOWN = auto()
    """More bytes must come first."""
    TLS = auto()
    PACKETS = auto()
    """Packets of version 2; PROTOCOL.md, "Over TCP"."""
    REQUEST = auto()


def recognise_spoken(data: bytes, *, may_be_tls: bool, may_be_packets: bool) -> Spoken:
    """Return what a client speaks whose bytes so far, one or more, are `data`."""
    if may_be_packets and data[0] == MARK:
        if len(data) < SIZE_SIZE:
            return Spoken.UNKNOWN
        return Spoken.PACKETS if begins_with_packet(data) else Spoken.REQUEST
    if may_be_tls and TLS_RECORD.startswith(data[: len(TLS_RECORD)]):
        return Spoken.UNKNOWN if len(data) < len(TLS_RECORD) else Spoken.TLS
    return Spoken.REQUEST
