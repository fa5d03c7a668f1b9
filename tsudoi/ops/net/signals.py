"""Handle a service's signals until its process has ended.

An event loop that closes gives its signals back to the system; one that comes while the interpreter ends would then
kill a service that has stopped in good order, and its exit status would tell of a failure. So these handlers are
Python's own, which another one can replace without a moment between.
"""

import asyncio
import signal
from collections.abc import Callable


def handle(number: int, call: Callable[[], object]) -> None:
    """Let the running event loop call a function when a signal has come."""
    loop = asyncio.get_running_loop()
    signal.signal(number, lambda number, frame: loop.call_soon_threadsafe(call))


def ignore() -> None:
    """Ignore all that are handled: the service has stopped. Call it while the event loop runs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
