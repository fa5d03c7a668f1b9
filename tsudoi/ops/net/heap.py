"""What a burst leaves behind in the C library's heap, given back to the system."""

import asyncio
import ctypes
import sys

EVERY_S = 2.0
"""glibc gives back by itself only what lies at the heap's end. To look for all that is free takes 0.2 ms in a gateway
with 10,000 members, so it is not worth finding out whether a burst has just passed. After their joins it is 1 to 4 MiB
(benchmarks/RESULTS.md, "Parts")."""


def give_back_often() -> None:
    """Give back what is free, now and every `EVERY_S` as long as the event loop runs; other C libraries need not."""
    if sys.platform != "linux":
        return
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return
    loop = asyncio.get_running_loop()

    def give_back() -> None:
        trim(0)
        loop.call_later(EVERY_S, give_back)

    give_back()
