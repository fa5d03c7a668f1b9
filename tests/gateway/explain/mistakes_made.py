"""Requests with one mistake each, made from a right one; and what the log says about them."""

from collections.abc import Callable

from gateway.explain.mistakes import Mistake
from gateway.join.account import Account
from gateway.join.conversation import JoinConversation
from gateway.join.room_list import Listing
from gateway.join.steps import (
    AskForRooms,
    AskToEnter,
    Command,
    Entered,
    Listed,
    Quiet,
    Received,
    Report,
    Send,
    WaitBriefly,
)
from tsudoi.protocol.client.dialect import Dialect, RequestForm
from tsudoi.protocol.client.handshake import serialize_request
from tsudoi.protocol.client.header import HEADER_SIZE
from tsudoi.protocol.codes import Operation

TOKEN = "0123456789abcdef0123456789abcdef"
TIME_IS_UP = "its time was up"


def handshake(listener: str, *segments: bytes, listed_before: bool = False) -> Account:
    """Return what is reported of a connection whose client sends these segments, then nothing."""
    talk = JoinConversation(listener, listed_before)
    for segment in segments:
        todo: list[Command] = talk.handle(Received(segment))
        while todo:
            match todo.pop(0):
                case WaitBriefly():
                    todo += talk.handle(Quiet())
                case AskForRooms():
                    todo += talk.handle(Listed(Listing(["den"])))
                case AskToEnter(_, _, room, user):
                    todo += talk.handle(Entered(room, user, TOKEN))
                case Report(account):
                    return account
                case Send():
                    pass
    unanswered = talk.abandon(TIME_IS_UP)
    assert unanswered is not None
    return unanswered


def request(dialect: Dialect, room: str = "den", user: str = "alice", operation: Operation = Operation.CREATE) -> bytes:
    """Return a request as a client of the dialect sends it."""
    return serialize_request(dialect, operation, room, user, "moonlight", 50_000)


def _header(raw: bytes) -> tuple[int, int, int, int]:
    return raw[0], raw[1], raw[2], int.from_bytes(raw[3:HEADER_SIZE], "big")


def _with_size(raw: bytes, size: bytes) -> bytes:
    assert len(size) == 29
    return raw[:3] + size + raw[HEADER_SIZE:]


def _resized(raw: bytes, add: int) -> bytes:
    return _with_size(raw, (_header(raw)[3] + add).to_bytes(29, "big"))


def _at(place: int, change: Callable[[int], int]) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:place] + bytes((change(raw[place]),)) + raw[place + 1 :]


def _size(raw: bytes) -> int:
    return _header(raw)[3]


def _wide(raw: bytes) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in _header(raw)) + raw[HEADER_SIZE:]


def _native(raw: bytes) -> bytes:
    """As struct.pack("BBBI") writes it on most machines."""
    return raw[:3] + b"\0" + _size(raw).to_bytes(4, "little") + raw[HEADER_SIZE:]


def _swapped(one: int, other: int) -> Callable[[bytes], bytes]:
    def swap(raw: bytes) -> bytes:
        changed = bytearray(raw)
        changed[one], changed[other] = raw[other], raw[one]
        return bytes(changed)

    return swap


Made = tuple[Callable[[bytes], bytes], Mistake]

IN_THE_HEADER: dict[str, Made] = {
    "operation 0": (_at(1, lambda _: 0), Mistake.OPERATION_UNKNOWN),
    "operation 3": (_at(1, lambda _: 3), Mistake.OPERATION_UNKNOWN),
    "operation as a digit": (_at(1, lambda number: 0x30 + number), Mistake.NUMBERS_ARE_TEXT),
    "room size as a digit": (_at(0, lambda number: 0x30 + number), Mistake.NUMBERS_ARE_TEXT),
    "state 1": (_at(2, lambda _: 1), Mistake.STATE_NOT_REQUEST),
    "state 9": (_at(2, lambda _: 9), Mistake.STATE_NOT_REQUEST),
    "payload size in digits": (lambda raw: _with_size(raw, b"%029d" % _size(raw)), Mistake.SIZE_IS_TEXT),
    "all in digits": (
        lambda raw: bytes(0x30 + each for each in raw[:3]) + b"%029d" % _size(raw) + raw[HEADER_SIZE:],
        Mistake.NUMBERS_ARE_TEXT,
    ),
    "little-endian": (lambda raw: _with_size(raw, _size(raw).to_bytes(29, "little")), Mistake.SIZE_LITTLE_ENDIAN),
    "little-endian, 4 bytes": (
        lambda raw: _with_size(raw, bytes(25) + _size(raw).to_bytes(4, "little")),
        Mistake.SIZE_LITTLE_ENDIAN,
    ),
    "one byte too early": (
        lambda raw: _with_size(raw, _size(raw).to_bytes(28, "big") + b"\0"),
        Mistake.SIZE_SHIFTED,
    ),
    "padded behind": (
        lambda raw: _with_size(raw, _size(raw).to_bytes(4, "big") + bytes(25)),
        Mistake.SIZE_PADDED_BEHIND,
    ),
    "operation before room size": (_swapped(0, 1), Mistake.FIELDS_SWAPPED),
    "state before operation": (_swapped(1, 2), Mistake.FIELDS_SWAPPED),
    "state before room size": (_swapped(0, 2), Mistake.FIELDS_SWAPPED),
    "size counts the room": (lambda raw: _resized(raw, raw[0]), Mistake.SIZE_COUNTS_ROOM),
    "size counts the header": (lambda raw: _resized(raw, HEADER_SIZE), Mistake.SIZE_COUNTS_HEADER),
    "size counts all": (lambda raw: _resized(raw, HEADER_SIZE + raw[0]), Mistake.SIZE_COUNTS_HEADER),
    "31 bytes": (lambda raw: raw[:3] + raw[4:], Mistake.HEADER_SIZE),
    "33 bytes": (lambda raw: raw[:3] + b"\0" + raw[3:], Mistake.HEADER_SIZE),
    "7 bytes": (lambda raw: raw[:3] + raw[28:], Mistake.HEADER_SIZE),
    "8 bytes, native": (_native, Mistake.HEADER_SIZE_LITTLE_ENDIAN),
    "four integers": (_wide, Mistake.WIDE_FIELDS),
    "a length before it": (lambda raw: len(raw).to_bytes(4, "big") + raw, Mistake.BYTES_BEFORE),
    "a byte before it": (lambda raw: b"\0" + raw, Mistake.BYTES_BEFORE),
    "half of it": (lambda raw: raw[:20], Mistake.HALF_HEADER),
    "nothing": (lambda raw: b"", Mistake.SILENT),
    "room size 0": (lambda raw: _at(0, lambda _: 0)(raw[:HEADER_SIZE]) + raw[HEADER_SIZE + raw[0] :], Mistake.NO_ROOM),
    "no payload": (
        lambda raw: _with_size(raw[: HEADER_SIZE + raw[0]], bytes(29)),
        Mistake.NO_USER,
    ),
    "room filled with zeros": (
        lambda raw: bytes((16,)) + raw[1:HEADER_SIZE] + b"den".ljust(16, b"\0") + raw[HEADER_SIZE + 3 :],
        Mistake.PADDED_WITH_ZEROS,
    ),
}
"""One mistake in the header → what it is called; the same in every dialect."""


def sizes_off(dialect: Dialect) -> dict[str, Made]:
    """Return the sizes that are wrong by one: JSON shows which of the two is wrong."""
    if dialect.request is RequestForm.PLAIN:
        too_small, too_large = (Mistake.BYTES_LEFT_OVER,) * 2, (Mistake.BYTES_MISSING,) * 2
    else:
        too_small = too_large = Mistake.SIZE_OF_ROOM_WRONG, Mistake.SIZE_OF_PAYLOAD_WRONG
    return {
        "room size too small by one": (_at(0, lambda size: size - 1), too_small[0]),
        "room size too large by one": (_at(0, lambda size: size + 1), too_large[0]),
        "payload size too small by one": (lambda raw: _resized(raw, -1), too_small[1]),
        "payload size too large by one": (lambda raw: _resized(raw, 1), too_large[1]),
    }
