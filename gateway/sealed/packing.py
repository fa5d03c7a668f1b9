"""Pack a room's entries into bodies, each with the range of offsets that it covers; PROTOCOL.md, "Bodies"."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from tsudoi.protocol.sealed.lines import is_short, lengthen, serialize_range
from tsudoi.protocol.sealed.parts import MAX_WHOLE

Numbered = tuple[int, bytes]
"""An entry's offset, and its line."""


def pack(after: int, to: int, lines: Sequence[Numbered]) -> list[bytes]:
    """Return the bodies with a member's `lines` of the entries after an offset up to `to`.

    A body has as many lines as fit one packet; a longer line has a body of its own. A message in short follows on one
    of these lines.
    """
    if not lines:
        return [serialize_range(after, to)]
    found = [b"\n" + line for _, line in lines]
    ends = list(accumulate(map(len, found)))
    most = MAX_WHOLE - len(serialize_range(to, to))
    bodies: list[bytes] = []
    start, count = 0, len(found)
    while start < count:
        first = _whole(lines, start)
        end = max(start + 1, bisect_right(ends, ends[start] + most - 1 - len(first)))
        last = to if end == count else lines[end - 1][0]
        bodies.append(b"".join((serialize_range(after, last), b"\n", first, *found[start + 1 : end])))
        start, after = end, last
    return bodies


def _whole(lines: Sequence[Numbered], at: int) -> bytes:
    """Return a line as the first one of a body, which a message in short can not be."""
    whole = next(index for index in range(at, -1, -1) if not is_short(lines[index][1]))
    return lines[at][1] if whole == at else lengthen(lines[at][1], at - whole, lines[whole][1])


def merge(common: Sequence[Numbered], own: Sequence[Numbered]) -> list[Numbered]:
    """Return the lines of a member: those that its group gets, and its own."""
    return sorted([*common, *own], key=lambda numbered: numbered[0])


def even(bodies: Sequence[bytes]) -> list[bytes]:
    """Return bodies with spaces at their ends, so that all but the last have one size: these are sent in one pass."""
    size = max(map(len, bodies))
    return [*(body.ljust(size) for body in bodies[:-1]), bodies[-1]]
