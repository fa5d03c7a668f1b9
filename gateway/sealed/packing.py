"""Pack a room's entries into bodies, each with the range of offsets that it covers; PROTOCOL.md, "Bodies"."""

from collections.abc import Iterable, Sequence

from tsudoi.protocol.sealed.lines import Shortening, serialize_range
from tsudoi.protocol.sealed.parts import MAX_WHOLE

Numbered = tuple[int, bytes]
"""An entry's offset, and its line."""


def pack(after: int, to: int, lines: Iterable[Numbered]) -> list[bytes]:
    """Return the bodies with a member's `lines` of the entries after an offset up to `to`.

    A body has as many lines as fit one packet; a longer line has a body of its own.
    """
    bodies: list[bytes] = []
    kept: list[bytes] = []
    shortening = Shortening()
    range_size = len(serialize_range(to, to))
    size, begun, last = range_size, after, after
    for offset, line in lines:
        piece = shortening.next(offset, line)
        if kept and size + 1 + len(piece) > MAX_WHOLE:
            bodies.append(_body(begun, last, kept))
            kept, size, begun = [], range_size, last
        if not kept:
            piece = line
        kept.append(piece)
        size += 1 + len(piece)
        last = offset
    bodies.append(_body(begun, to, kept))
    return bodies


def _body(after: int, to: int, lines: Sequence[bytes]) -> bytes:
    return b"\n".join((serialize_range(after, to), *lines))


def merge(common: Sequence[Numbered], own: Sequence[Numbered]) -> list[Numbered]:
    """Return the lines of a member: those that its group gets, and its own."""
    return sorted([*common, *own], key=lambda numbered: numbered[0])


def even(bodies: Sequence[bytes]) -> list[bytes]:
    """Return bodies with spaces at their ends, so that all but the last have one size: these are sent in one pass."""
    size = max(map(len, bodies))
    return [*(body.ljust(size) for body in bodies[:-1]), bodies[-1]]
