"""Recognise a client's dialect by its first request; PROTOCOL.md, "auto"."""

from typing import Any

from tsudoi.protocol.client import dialects
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.handshake import is_meant_as_object
from tsudoi.protocol.client.header import Header, split_untrusted
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import parse_json_untrusted

AUTO = "auto"


def asks_for_rooms(header: Header) -> bool:
    """Return whether the request is H32(0, 2, 0, 0): it asks for the room names."""
    return header.operation == Operation.JOIN and header.room_size == 0 and header.payload_size == 0


def recognise(header: Header, body: bytes, listed_before: bool) -> Dialect:
    """Return the dialect of a request.

    Create requests of classic, tcrp, tcrp-named, tcrp-200, tcrp-bare-ack, tcrp-empty-ack and tcrp-no-token are the same
    bytes: this returns classic, the most frequent. A join that names its room can not be classic: this returns tcrp.

    `listed_before`: this IP address has lately asked for the room names, as clients of tcrp-ok do first. Other clients
    may share the address, so the payload must also end in a plausible port.
    """
    if asks_for_rooms(header):
        return dialects.TCRP_OK
    payload = _payload(header, body)
    if is_meant_as_object(payload):
        return _by_keys(_json(payload))
    if header.operation == Operation.JOIN and header.room_size == 0:
        return dialects.CLASSIC
    if isinstance(_json(payload), str):
        return dialects.TCRP_SUCCESS
    if listed_before and _ends_in_port(body):
        return dialects.TCRP_OK
    return dialects.TCRP if header.operation == Operation.JOIN else dialects.CLASSIC


def _by_keys(value: Any) -> Dialect:
    """Return the dialect that has these JSON keys; tcrp-json, which then refuses the request, if none has."""
    match value:
        case {"tsudoi": _}:
            return dialects.TSUDOI
        case {"user_name": _, "user_address": _}:
            return dialects.TCRP_SINGLE
        case {"user_name": _, "udp_port": _}:
            return dialects.TCRP_TWO_SOCKETS
        case {"user_name": _}:
            return dialects.TCRP_ROOM
        case {"username": _, "port": _} | {"username": _, "ip": _}:
            return dialects.TCRP_202
    return dialects.TCRP_JSON


def _ends_in_port(body: bytes) -> bool:
    """Return whether the last two bytes are more likely a port than the end of a name.

    A port if the body is not UTF-8, if its last character has two bytes (many ports look so, few names do), or if its
    last two characters are ASCII and not both letters or digits.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return True
    return len(text[-1:].encode()) == 2 or (text[-2:].isascii() and not text[-2:].isalnum())


def _payload(header: Header, body: bytes) -> bytes:
    """Return the payload; by the sizes in bytes if it is not UTF-8, since a port may be at its end."""
    try:
        return split_untrusted(header, body)[1]
    except MalformedMessage:
        return body[header.room_size :]


def _json(payload: bytes) -> Any:
    """Return the JSON value that the whole payload is, or None."""
    try:
        return parse_json_untrusted(payload)
    except MalformedMessage:
        return None
