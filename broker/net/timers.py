"""Call functions at regular intervals."""

import asyncio
import time
from collections.abc import Callable

from tsudoi.ops.rhythm import until_next


class Timers:
    """Actions that the event loop repeats until `cancel`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handles: list[asyncio.TimerHandle] = []

    def every(self, interval_s: float, action: Callable[[], None]) -> None:
        """Call `action` once in each `interval_s` seconds.

        If it raises, the loop reports that, and it is called again.
        """

        def run() -> None:
            self._handles.remove(handle)
            self.every(interval_s, action)
            action()

        handle = self._loop.call_later(until_next(interval_s, time.monotonic()), run)
        self._handles.append(handle)

    def cancel(self) -> None:
        for handle in self._handles:
            handle.cancel()
