"""Divide what goes over a connection or in a datagram into fields: each byte belongs to exactly one.

Where a field begins and ends is what the protocol's own parsers say; bytes that they refuse are divided by the sizes as
far as these go, and what is left is a field of its own.
"""

from dataclasses import dataclass
from enum import Enum

from tsudoi.protocol.client.datagram import MIN_UP, Datagram
from tsudoi.protocol.client.dialect import Dialect, DownForm, Reply
from tsudoi.protocol.client.handshake import PORT, trailer_size
from tsudoi.protocol.client.header import HEADER_SIZE, Header, split_untrusted
from tsudoi.protocol.client.words import Words
from tsudoi.protocol.codes import Operation, State
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import looks_like_token
from tsudoi.protocol.sealed.packets import COUNT_SIZE, RUN_SIZE, SESSION_SIZE, Kind

from ..sealed.keys import is_meant
from .other_protocols import TLS_RECORD


class Part(Enum):
    """What a field is."""

    ROOM_SIZE = Words("room size", "ルーム名長")
    OPERATION = Words("operation", "操作")
    STATE = Words("state", "状態")
    PAYLOAD_SIZE = Words("payload size", "ペイロード長")
    HEADER_CUT = Words("header, incomplete", "ヘッダー (途中まで)")
    ROOM = Words("room", "ルーム名")
    PAYLOAD = Words("payload", "ペイロード")
    PORT = Words("UDP port", "UDP ポート")
    STATUS = Words("status", "ステータス")
    TOKEN_SIZE = Words("token size", "トークン長")
    TOKEN = Words("token", "トークン")
    NAME_SIZE = Words("name size", "名前長")
    NAME = Words("name", "名前")
    ZEROS = Words("zeros", "ゼロ")
    TEXT = Words("text", "本文")
    LEFT_OVER = Words("left over", "余り")
    TLS = Words("TLS, no request", "TLS (要求ではない)")
    MARK = Words("version 2", "版 2")
    KIND = Words("kind", "種類")
    SESSION = Words("session", "セッション")
    RUN = Words("run", "ラン")
    COUNT = Words("count", "番号")
    SEALED = Words("sealed, or as it is in the suite plain", "封をした本体 (plain ではそのまま)")
    CHECK = Words("check", "検査値")


OPERATIONS: dict[int, Words] = {
    Operation.CREATE: Words("create", "作成"),
    Operation.JOIN: Words("join", "参加"),
}
STATES: dict[int, Words] = {
    State.REQUEST: Words("request", "要求"),
    State.RESPONSE: Words("response", "応答"),
    State.COMPLETE: Words("complete", "完了"),
}
KINDS: dict[int, Words] = {
    Kind.BODY: Words("body", "本体"),
    Kind.PART: Words("part", "一部"),
    Kind.RETRY: Words("retry", "再試行"),
    Kind.GONE: Words("gone", "終了"),
}
UNKNOWN = Words("unknown", "不明")
TOKEN_KNOWN, TOKEN_UNKNOWN = Words("known", "既知"), Words("not known", "未知")


@dataclass(frozen=True, slots=True)
class Field:
    """Some of the bytes, from `begin` to before `end`."""

    begin: int
    end: int
    part: Part
    number: int | None = None
    """Its value, if it is a number."""
    meaning: Words | None = None
    """What the number stands for, or whether a datagram's token is known."""


class _Divider:
    """Collects fields one behind the other; those that would be empty are left out."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fields: list[Field] = []
        self.at = 0

    def take(self, size: int, part: Part, number: int | None = None, meaning: Words | None = None) -> None:
        end = min(self.at + max(size, 0), len(self.data))
        if end > self.at:
            self.fields.append(Field(self.at, end, part, number, meaning))
            self.at = end

    def byte(self, part: Part) -> int:
        number = self.data[self.at] if self.at < len(self.data) else 0
        self.take(1, part, number)
        return number

    def rest(self, part: Part = Part.LEFT_OVER) -> list[Field]:
        self.take(len(self.data), part)
        return self.fields


def _header(into: _Divider) -> None:
    """The first 32 bytes, or as many as there are."""
    data = into.data
    into.byte(Part.ROOM_SIZE)
    for part, words in ((Part.OPERATION, OPERATIONS), (Part.STATE, STATES)):
        if into.at < len(data):
            into.take(1, part, data[into.at], words.get(data[into.at], UNKNOWN))
    if len(data) >= HEADER_SIZE:
        into.take(HEADER_SIZE - into.at, Part.PAYLOAD_SIZE, int.from_bytes(data[into.at : HEADER_SIZE], "big"))
    else:
        into.take(HEADER_SIZE, Part.HEADER_CUT)


def request_fields(data: bytes, dialect: Dialect | None) -> list[Field]:
    """Return the fields of a request, read in a dialect."""
    into = _Divider(data)
    if data.startswith(TLS_RECORD):
        return into.rest(Part.TLS)
    _header(into)
    if len(data) <= HEADER_SIZE:
        return into.fields
    trailer = 0 if dialect is None else trailer_size(dialect)
    room_size, payload_size = data[0], int.from_bytes(data[3:HEADER_SIZE], "big")
    try:
        header = Header.parse_untrusted(data[:HEADER_SIZE])
        room, payload = split_untrusted(header, data[HEADER_SIZE:], trailer)
        room_size, payload_size = len(room.encode()), len(payload)
    except MalformedMessage:
        pass
    into.take(room_size, Part.ROOM)
    if trailer and len(data) - into.at >= payload_size >= trailer:
        into.take(payload_size - trailer, Part.PAYLOAD)
        into.take(trailer, Part.PORT, PORT.unpack(data[into.at : into.at + trailer])[0])
    else:
        into.take(payload_size, Part.PAYLOAD)
    return into.rest()


def reply_fields(data: bytes, reply: Reply | None) -> list[Field]:
    """Return the fields of a frame from server to client; `reply`: its form, None for one that has no header."""
    into = _Divider(data)
    if reply is None or reply.state is None:
        return into.rest(Part.TOKEN if looks_like_token(data) else Part.PAYLOAD)
    _header(into)
    if reply.room and len(data) > HEADER_SIZE:
        into.take(data[0], Part.ROOM)
    if reply.status_byte and len(data) - into.at == 1:
        into.byte(Part.STATUS)
    return into.rest(Part.TOKEN if looks_like_token(data[into.at :]) else Part.PAYLOAD)


def datagram_fields(data: bytes, read: Datagram | None, is_known: bool) -> list[Field]:
    """Return the fields of a datagram from a client.

    `read`: as the server reads it, None if its sizes do not fit. `is_known`: its token is.
    """
    if is_meant(data):
        return _packet(data)
    into = _Divider(data)
    into.byte(Part.ROOM_SIZE)
    into.byte(Part.TOKEN_SIZE)
    if read is None:
        return into.rest()
    room, token, text = read
    into.take(len(room), Part.ROOM)
    into.take(len(token), Part.TOKEN, meaning=TOKEN_KNOWN if is_known else TOKEN_UNKNOWN)
    into.take(len(text), Part.TEXT)
    return into.rest()


def down_fields(data: bytes, dialect: Dialect) -> list[Field]:
    """Return the fields of a datagram to a client."""
    if dialect.down.form is DownForm.SEALED:
        return _packet(data)
    into = _Divider(data)
    match dialect.down.form:
        case DownForm.NAMED if data and 0 < data[0] < len(data):
            into.take(into.byte(Part.NAME_SIZE), Part.NAME)
        case DownForm.U1 if len(data) > MIN_UP:
            size = into.byte(Part.ROOM_SIZE)
            into.byte(Part.TOKEN_SIZE)
            into.take(size, Part.ROOM)
        case DownForm.OBJECT if data[:2] == b"\0\0":
            into.take(2, Part.ZEROS)
        case _:
            pass
    return into.rest(Part.TEXT)


def _packet(data: bytes) -> list[Field]:
    """The fields of a packet of version 2."""
    into = _Divider(data)
    into.byte(Part.MARK)
    into.take(1, Part.KIND, data[1], KINDS.get(data[1], UNKNOWN))
    into.take(SESSION_SIZE, Part.SESSION)
    into.take(RUN_SIZE, Part.RUN)
    into.take(COUNT_SIZE, Part.COUNT, int.from_bytes(data[into.at : into.at + COUNT_SIZE], "big"))
    return into.rest(Part.CHECK if data[1] in (Kind.RETRY, Kind.GONE) else Part.SEALED)
