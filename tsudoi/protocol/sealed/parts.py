"""Divide bodies into parts that fit into packets, and put them together again; PROTOCOL.md, "Packets"."""

from tsudoi.protocol.errors import MalformedMessage

from .packets import HEADER_SIZE, MAX_PACKET
from .suites import TAG_SIZE

MAX_WHOLE = MAX_PACKET - HEADER_SIZE - TAG_SIZE
"""Bytes of a body that fits into one packet, in every suite."""
PART_HEADER_SIZE = 2
MAX_IN_PART = MAX_WHOLE - PART_HEADER_SIZE
MAX_PARTS = 16
MAX_BODY = 16_384
"""Bytes of a body. A text of 3,807 bytes may have 23 KB as JSON only if all of it is control characters, which are
written with six bytes each; these are removed from texts anyway."""
PENDING = 128
"""Parts of bodies that are not complete; when there are more, the oldest body is given up. A client may have so many on
their way: 32 lines in four parts, all among each other where the network reorders."""
PENDING_DOWN = 1_024
"""The same for a client, to which 100 long entries come at once when it catches up."""


def divide(body: bytes) -> list[bytes]:
    """Return the parts of a body of more than `MAX_WHOLE` bytes, each with its header, or raise ValueError."""
    if len(body) > MAX_BODY:
        raise ValueError(f"a body of {len(body)} bytes; it has at most {MAX_BODY}")
    pieces = [body[start : start + MAX_IN_PART] for start in range(0, len(body), MAX_IN_PART)]
    return [bytes((index, len(pieces))) + piece for index, piece in enumerate(pieces)]


class Parts:
    """The parts of bodies that have come so far, from one peer."""

    def __init__(self, most: int = PENDING) -> None:
        """Begin with none; keep as many as `most`."""
        self._most = most
        self._kept = 0
        self._pending: dict[tuple[bytes, int], dict[int, bytes]] = {}
        """(run, count of the first part) → the pieces by index."""
        self.given_up = 0
        """Parts that came for nothing, as their bodies were given up."""

    def add_untrusted(self, run: bytes, count: int, part: bytes) -> bytes | None:
        """Take an opened part; return the body when it is complete; raise MalformedMessage if the parts do not fit."""
        if len(part) <= PART_HEADER_SIZE:
            raise MalformedMessage("a part without bytes")
        index, total = part[0], part[1]
        if not (2 <= total <= MAX_PARTS and index < total and index < count):
            raise MalformedMessage(f"part {index} of {total}")
        key = (run, count - index)
        pieces = self._pending.setdefault(key, {-1: bytes((total,))})
        if pieces[-1][0] != total:
            self._drop(key)
            raise MalformedMessage("parts of one body that have different numbers of parts")
        self._kept += index not in pieces
        pieces[index] = part[PART_HEADER_SIZE:]
        if len(pieces) <= total:
            while self._kept > self._most:
                self.given_up += self._drop(next(iter(self._pending)))
            return None
        self._drop(key)
        body = b"".join(pieces[index] for index in range(total))
        if len(body) > MAX_BODY:
            raise MalformedMessage(f"a body of {len(body)} bytes")
        return body

    def _drop(self, key: tuple[bytes, int]) -> int:
        """Forget a body; return how many of its parts have come."""
        count = len(self._pending.pop(key)) - 1
        self._kept -= count
        return count
