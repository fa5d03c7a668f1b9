"""Which dialect a client speaks, as far as its first request shows; PROTOCOL.md, "auto"."""

from typing import Any

import msgspec

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import (
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
from tsudoi.protocol.client.handshake import is_meant_as_object
from tsudoi.protocol.client.header import Header, split_untrusted
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage

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
    payload = _payload(header, body)
    if is_meant_as_object(payload):
        return _by_keys(_json(payload))
    if header.operation == Operation.JOIN and header.room_size == 0:
        return CLASSIC
    if isinstance(_json(payload), str):
        return TCRP_SUCCESS
    if listed_before and _ends_in_port(body):
        return TCRP_OK
    return TCRP if header.operation == Operation.JOIN else CLASSIC


def _by_keys(value: Any) -> Dialect:
    """Return whose object this is; what is nobody's, or no JSON, is refused by the dialect that it looks most like."""
    match value:
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
    return TCRP_JSON


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


def _payload(header: Header, body: bytes) -> bytes:
    """Return the payload; what is at its place if that is no text: there may be a port at its end."""
    try:
        return split_untrusted(header, body)[1]
    except MalformedMessage:
        return body[header.room_size :]


def _json(payload: bytes) -> Any:
    """Return the payload's JSON value, None if it has none: a payload that only ends in JSON is a plain one."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
