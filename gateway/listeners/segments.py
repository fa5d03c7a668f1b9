"""Decide which datagrams for one member go through the kernel in one pass: UDP segmentation offload (udp(7)).

One send with `UDP_SEGMENT` becomes several datagrams of that size, of which only the last may be shorter; the receiver
notices nothing. Source: kernel.org, Documentation/networking/segmentation-offloads.rst; benchmarks/RESULTS.md, rows
"fan-out".
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

LARGEST = 1_400
"""Bytes of a datagram that is sent so: each must fit the way's MTU, which is seldom less than 1,500 bytes."""
DATAGRAMS, BYTES = 64, 64_000
"""The kernel takes no more at once."""


def burst_ends(sizes: Sequence[int], largest: int) -> Iterator[int]:
    """Yield the ends of the bursts into which payloads of these sizes are split, in order: each can go in one send.

    A burst has payloads of one size, from 1 to `largest` bytes, and perhaps a shorter one at its end; all others are
    bursts of their own.
    """
    start, count = 0, len(sizes)
    while start < count:
        size, end = sizes[start], start + 1
        if 0 < size <= largest:
            most = min(count, start + min(DATAGRAMS, BYTES // size))
            while end < most and sizes[end] == size:
                end += 1
            if end < most and 0 < sizes[end] < size:
                end += 1
        yield end
        start = end


def cut(burst: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return the payloads of these sizes that a burst has one behind the other."""
    return [burst[end - size : end] for end, size in zip(accumulate(sizes), sizes, strict=True)]
