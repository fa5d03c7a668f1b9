"""Read a header that does not fit its body in other ways, as its author may have written it.

Each reading is a usual mistake: little-endian, digits as text, fields in another order, a header of another size. The
first under which the operation is known and the sizes fit the bytes that came is the likeliest.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import NamedTuple

from tsudoi.protocol.client.handshake import PORT
from tsudoi.protocol.client.header import HEADER_SIZE, Header, split_untrusted
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage

from .encodings import is_text
from .fields import Part
from .mistakes import Hint, Mistake, hint

FIELDS = (Part.ROOM_SIZE.value, Part.OPERATION.value, Part.STATE.value)
SIZE_AT = len(FIELDS)
"""Where the payload size begins."""
PLAUSIBLE = 4_096
"""Bytes of a payload that is believed before it has come."""


class Guess(NamedTuple):
    """The numbers of a header in another reading, and where its body begins."""

    hint: Hint
    room: int
    operation: int
    payload: int
    body_at: int = HEADER_SIZE


def likeliest(data: bytes, is_all: bool) -> Hint | None:
    """Return the first reading's mistake that fits, None if none does.

    `is_all`: the client has sent all that it was going to send; else the rest of a body may not have come yet.
    """
    for may_come in (False,) if is_all else (False, True):
        for guess in _guesses(data):
            if _fits(data, guess, may_come):
                return guess.hint
    return None


def _fits(data: bytes, guess: Guess, may_come: bool) -> bool:
    """Return whether a request in this reading is whole; `may_come`: or its body may be on its way."""
    body = data[guess.body_at :]
    if guess.operation not in (Operation.CREATE, Operation.JOIN) or not 0 < guess.payload <= 2**24:
        return False
    if guess.room < 0 or (not guess.room and guess.operation != Operation.JOIN):
        return False
    size = guess.room + guess.payload
    if len(body) < size:
        return may_come and not body and guess.body_at == HEADER_SIZE and guess.payload <= PLAUSIBLE
    try:
        room, payload = split_untrusted(Header(guess.room, guess.operation, 0, guess.payload), body)
    except MalformedMessage:
        return len(body) == size and is_text(body[: guess.room]) and is_text(body[guess.room : -PORT.size])
    return len(room.encode()) + len(payload) == len(body)


def _guesses(data: bytes) -> Iterator[Guess]:
    if len(data) >= HEADER_SIZE:
        room, operation, size = data[0], data[1], data[SIZE_AT:HEADER_SIZE]
        yield from _digits(data, size)
        yield from _byte_orders(room, operation, size)
        payload = int.from_bytes(size, "big")
        yield from _orders(data, payload)
        yield from _counted_too_much(room, operation, payload)
    yield from _other_sizes(data)
    yield from _bytes_before(data)


def _digits(data: bytes, size: bytes) -> Iterator[Guess]:
    """Numbers written as text: the payload size, one of the bytes before it, or all of them."""
    written = size.strip(b"\0 ")
    # One digit behind zeros is more likely a number from 48 to 57.
    in_text = int(written) if written.isdigit() and (len(written) > 1 or size[0]) else None
    payload = int.from_bytes(size, "big") if in_text is None else in_text
    room, operation = (_digit(data[0]), _digit(data[1]))
    if in_text is not None:
        yield Guess(hint(Mistake.SIZE_IS_TEXT, size=in_text), data[0], data[1], payload)
    for fields, r, o in (
        ((0,), room, data[1]),
        ((1,), data[0], operation),
        ((0, 1), room, operation),
    ):
        names = tuple(FIELDS[each] for each in fields)
        if in_text is not None:
            names += (Part.PAYLOAD_SIZE.value,)
        yield Guess(hint(Mistake.NUMBERS_ARE_TEXT, fields=names), r, o, payload)


def _digit(byte: int) -> int:
    """Return the value of a digit's character, or a number that no field has."""
    return byte - 0x30 if 0x30 <= byte <= 0x39 else -1


def _byte_orders(room: int, operation: int, size: bytes) -> Iterator[Guess]:
    for part in (size, size[-2:], size[-4:], size[-8:]):
        if not any(size[: -len(part)]):
            little = int.from_bytes(part, "little")
            if little != int.from_bytes(size, "big"):
                # In one byte, and with one byte behind it, both mistakes are the same bytes.
                is_shift = len(part) == 2 and little < 256
                mistake = Mistake.SIZE_SHIFTED if is_shift else Mistake.SIZE_LITTLE_ENDIAN
                yield Guess(hint(mistake, size=little, width=len(part)), room, operation, little)
    for width in (2, 4, 8):
        if not any(size[width:]) and size[0] == 0:
            big = int.from_bytes(size[:width], "big")
            yield Guess(hint(Mistake.SIZE_PADDED_BEHIND, size=big), room, operation, big)


def _orders(data: bytes, payload: int) -> Iterator[Guess]:
    """The first three bytes in another order; one swap before the two rotations."""
    orders = sorted(permutations(range(3)), key=lambda order: sum(a != b for a, b in enumerate(order)))
    for order in orders[1:]:
        # order[i] is the field that byte i holds.
        value = {field: data[at] for at, field in enumerate(order)}
        if value[2] <= 2:
            names = tuple(FIELDS[each] for each in order)
            yield Guess(hint(Mistake.FIELDS_SWAPPED, order=names), value[0], value[1], payload)


def _counted_too_much(room: int, operation: int, payload: int) -> Iterator[Guess]:
    for mistake, extra in (
        (Mistake.SIZE_COUNTS_ROOM, room),
        (Mistake.SIZE_COUNTS_HEADER, HEADER_SIZE),
        (Mistake.SIZE_COUNTS_HEADER, HEADER_SIZE + room),
    ):
        if extra > 1:
            yield Guess(hint(mistake, size=payload, right=payload - extra), room, operation, payload - extra)


def _other_sizes(data: bytes) -> Iterator[Guess]:
    """Headers of another size than 32, and such with wider fields."""
    for end in (*range(SIZE_AT + 1, HEADER_SIZE), *range(HEADER_SIZE + 1, 2 * HEADER_SIZE + 1)):
        if end < len(data):
            size = data[SIZE_AT:end]
            room, operation = data[0], data[1]
            yield Guess(hint(Mistake.HEADER_SIZE, size=end), room, operation, int.from_bytes(size, "big"), end)
            for width in (2, 4, 8):
                if width <= len(size) and not any(size[:-width]):
                    little = int.from_bytes(size[-width:], "little")
                    yield Guess(hint(Mistake.HEADER_SIZE_LITTLE_ENDIAN, size=end), room, operation, little, end)
    for width in (2, 4, 8):
        for end in (4 * width, HEADER_SIZE):
            if 3 * width < end < len(data):
                for order in ("big", "little"):
                    room, operation, state = (
                        int.from_bytes(data[at : at + width], order) for at in range(0, 3 * width, width)
                    )
                    if state <= 2:
                        payload = int.from_bytes(data[3 * width : end], order)
                        yield Guess(hint(Mistake.WIDE_FIELDS, width=width), room, operation, payload, end)


def _bytes_before(data: bytes) -> Iterator[Guess]:
    for count in range(1, 9):
        if len(data) > count + HEADER_SIZE:
            room, operation = data[count], data[count + 1]
            payload = int.from_bytes(data[count + SIZE_AT : count + HEADER_SIZE], "big")
            yield Guess(hint(Mistake.BYTES_BEFORE, count=count), room, operation, payload, count + HEADER_SIZE)
