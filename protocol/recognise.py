"""Which dialect a client speaks, as far as its first request shows; PROTOCOL.md, "auto"."""

from typing import Any

import msgspec

from protocol.codes import Operation
from protocol.dialect import Dialect
from protocol.dialects import (
    CLASSIC,
    TCRP,
    TCRP_202,
    TCRP_JSON,
    TCRP_OK,
    TCRP_ROOM,
    TCRP_SINGLE,
    TCRP_SUCCESS,
    TCRP_TWO_SOCKETS,
    TSUDOI,
)
from protocol.errors import MalformedMessage
from protocol.header import Header, split_untrusted

AUTO = "auto"


def asks_for_rooms(header: Header) -> bool:
    """Say whether the request is H32(0, 2, 0, 0): a list of rooms, on a connection of its own."""
    return header.operation == Operation.JOIN and header.room_size == 0 and header.payload_size == 0


def recognise(header: Header, body: bytes, listed_before: bool) -> Dialect:
    """Return the dialect of a request.

    Create requests of classic, tcrp, tcrp-named, tcrp-200, tcrp-bare-ack, tcrp-empty-ack and tcrp-no-token are the
    same bytes; the seed's clients are the most, so classic it is. A join that names its room can not be classic's.

    Args:
        header: of the request.
        body: all that came after the header at once.
        listed_before: this address lately asked for the room list on a connection of its own, as tcrp-ok's clients do;
            others behind the same address do not, so the payload must also end in what may be a port.
    """
    if asks_for_rooms(header):
        return TCRP_OK
    if header.operation == Operation.JOIN and header.room_size == 0:
        return CLASSIC
    payload = _payload(header, body)
    match payload:
        case str():
            return TCRP_SUCCESS
        case {"tsudoi": _}:
            return TSUDOI
        case {"user_name": _, "user_address": _}:
            return TCRP_SINGLE
        case {"user_name": _, "udp_port": _}:
            return TCRP_TWO_SOCKETS
        case {"user_name": _}:
            return TCRP_ROOM
        case {"username": _, "port": _} | {"username": _, "ip": _}:
            return TCRP_202
        case {"username": _}:
            return TCRP_JSON
    if listed_before and _ends_in_port(body):
        return TCRP_OK
    return TCRP if header.operation == Operation.JOIN else CLASSIC


def _ends_in_port(body: bytes) -> bool:
    """Say whether the last two bytes are rather a port than the end of a name.

    Most ports do not leave UTF-8, or are no letters. Those that are two letters or digits of ASCII count as a name's
    end; one letter of two bytes counts as a port, as many clients' ports look so and few names do.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return True
    return len(text[-1:].encode()) == 2 or (text[-2:].isascii() and not text[-2:].isalnum())


def _payload(header: Header, body: bytes) -> Any:
    """Return the payload's JSON value, None if it has none: a payload that only ends in JSON is a plain one."""
    try:
        return msgspec.json.decode(split_untrusted(header, body)[1])
    except (MalformedMessage, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
