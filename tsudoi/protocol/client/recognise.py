"""Recognise a client's dialect by its first request; PROTOCOL.md, "auto"."""

from enum import Enum
from typing import Any, NamedTuple

from tsudoi.protocol.client import dialects
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.handshake import is_meant_as_object
from tsudoi.protocol.client.header import Header, split_untrusted
from tsudoi.protocol.client.words import Words
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.untrusted import json_or_none

AUTO = "auto"


def asks_for_rooms(header: Header) -> bool:
    """Return whether the request is H32(0, 2, 0, 0): it asks for the room names."""
    return header.operation == Operation.JOIN and header.room_size == 0 and header.payload_size == 0


class Rule(Enum):
    """A rule of `auto`, in the order in which they are tried; its words say why the dialect was chosen."""

    ROOM_LIST = Words(
        "no room and no payload: a join that asks for the room list", "ルームもペイロードもない参加: ルーム一覧の要求"
    )
    TSUDOI = Words('the payload is JSON with "tsudoi"', 'ペイロードは "tsudoi" のある JSON')
    DAMAGED_TSUDOI = Words(
        'the payload has "tsudoi", begins with { and is no JSON',
        'ペイロードは { で始まり "tsudoi" を含むが、JSON ではない',
    )
    USER_ADDRESS = Words(
        'the payload is JSON with "user_name" and "user_address"',
        'ペイロードは "user_name" と "user_address" のある JSON',
    )
    UDP_PORT = Words(
        'the payload is JSON with "user_name" and "udp_port"', 'ペイロードは "user_name" と "udp_port" のある JSON'
    )
    USER_NAME = Words('the payload is JSON with "user_name"', 'ペイロードは "user_name" のある JSON')
    PORT_OR_IP = Words(
        'the payload is JSON with "username" and "port" or "ip"',
        'ペイロードは "username" と、"port" または "ip" のある JSON',
    )
    USERNAME = Words('the payload is JSON with "username"', 'ペイロードは "username" のある JSON')
    BRACE = Words(
        "the payload begins with { and is no JSON object with a key that a dialect has",
        "ペイロードは { で始まるが、どの方言のキーも持つ JSON オブジェクトではない",
    )
    JOIN_WITHOUT_ROOM = Words("a join that names no room", "ルーム名のない参加")
    JSON_STRING = Words("the payload is a JSON string", "ペイロードは JSON の文字列")
    ENDS_IN_PORT = Words(
        "the address has asked for the room list, and the payload ends like a port",
        "同じアドレスがルーム一覧を求めたあとで、ペイロードの末尾がポート番号に見える",
    )
    PLAIN = Words("the payload is a plain user name", "ペイロードはただの名前")


class Recognised(NamedTuple):
    """A dialect, and the rule by which it was chosen."""

    dialect: Dialect
    rule: Rule


def recognise(header: Header, body: bytes, listed_before: bool) -> Recognised:
    """Return the dialect of a request, and the rule that found it.

    Requests with a room and a plain name are the same bytes in classic, tcrp, tcrp-named, tcrp-200, tcrp-bare-ack,
    tcrp-empty-ack, tcrp-no-token and tcrp-raw: this returns classic, the most frequent, for a create and for a join, so
    that a client that can do one can do the other.

    `listed_before`: this IP address has lately asked for the room names, as clients of tcrp-ok do first. Other clients
    may share the address, so the payload must also end in a plausible port.
    """
    if asks_for_rooms(header):
        return Recognised(dialects.TCRP_OK, Rule.ROOM_LIST)
    payload = _payload(header, body)
    if is_meant_as_object(payload):
        value = json_or_none(payload)
        if value is None and b"tsudoi" in payload:
            return Recognised(dialects.TSUDOI, Rule.DAMAGED_TSUDOI)
        return _by_keys(value)
    if header.operation == Operation.JOIN and header.room_size == 0:
        return Recognised(dialects.CLASSIC, Rule.JOIN_WITHOUT_ROOM)
    if isinstance(json_or_none(payload), str):
        return Recognised(dialects.TCRP_SUCCESS, Rule.JSON_STRING)
    if listed_before and _ends_in_port(body):
        return Recognised(dialects.TCRP_OK, Rule.ENDS_IN_PORT)
    return Recognised(dialects.CLASSIC, Rule.PLAIN)


def _by_keys(value: Any) -> Recognised:
    """Return the dialect that has these JSON keys; tcrp-json, which then refuses the request, if none has."""
    match value:
        case {"tsudoi": 2}:
            return Recognised(dialects.TSUDOI_2, Rule.TSUDOI)
        case {"tsudoi": _}:
            return Recognised(dialects.TSUDOI, Rule.TSUDOI)
        case {"user_name": _, "user_address": _}:
            return Recognised(dialects.TCRP_SINGLE, Rule.USER_ADDRESS)
        case {"user_name": _, "udp_port": _}:
            return Recognised(dialects.TCRP_TWO_SOCKETS, Rule.UDP_PORT)
        case {"user_name": _}:
            return Recognised(dialects.TCRP_ROOM, Rule.USER_NAME)
        case {"username": _, "port": _} | {"username": _, "ip": _}:
            return Recognised(dialects.TCRP_202, Rule.PORT_OR_IP)
        case {"username": _}:
            return Recognised(dialects.TCRP_JSON, Rule.USERNAME)
    return Recognised(dialects.TCRP_JSON, Rule.BRACE)


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
