"""Pack a room's entries into bodies, each with the range of offsets that it covers; PROTOCOL.md, "Bodies"."""

from collections.abc import Sequence

from tsudoi.protocol.sealed.lines import is_short, lengthen, serialize_range
from tsudoi.protocol.sealed.parts import MAX_WHOLE

Numbered = tuple[int, bytes]
"""An entry's offset, and its line."""


def pack(after: int, to: int, lines: Sequence[Numbered]) -> list[bytes]:
    """Return the bodies with a member's `lines` of the entries after an offset up to `to`.

    A body has as many lines as fit one packet; a longer line has a body of its own. A message in short follows on one
    of these lines.
    """
    bodies: list[bytes] = []
    kept: list[bytes] = []
    range_size = len(serialize_range(to, to))
    size, begun, last = range_size, after, after
    for at, (offset, line) in enumerate(lines):
        if kept and size + 1 + len(line) > MAX_WHOLE:
            bodies.append(_body(begun, last, kept))
            kept, size, begun = [], range_size, last
        if not kept and is_short(line):
            line = _whole(lines, at)
        kept.append(line)
        size += 1 + len(line)
        last = offset
    bodies.append(_body(begun, to, kept))
    return bodies


def _whole(lines: Sequence[Numbered], at: int) -> bytes:
    """Return the long form of a message in short, as the first line of a body is."""
    whole = next(index for index in range(at - 1, -1, -1) if not is_short(lines[index][1]))
    return lengthen(lines[at][1], at - whole, lines[whole][1])


def _body(after: int, to: int, lines: Sequence[bytes]) -> bytes:
    return b"\n".join((serialize_range(after, to), *lines))


def merge(common: Sequence[Numbered], own: Sequence[Numbered]) -> list[Numbered]:
    """Return the lines of a member: those that its group gets, and its own."""
    return sorted([*common, *own], key=lambda numbered: numbered[0])


def even(bodies: Sequence[bytes]) -> list[bytes]:
    """Return bodies with spaces at their ends, so that all but the last have one size: these are sent in one pass."""
    size = max(map(len, bodies))
    return [*(body.ljust(size) for body in bodies[:-1]), bodies[-1]]
