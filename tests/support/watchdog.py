"""One thread that ends a process whose test takes too long.

pytest-timeout starts a thread for each test and waits for its end: five switches between threads, on a busy machine a
quarter of the time of small tests. This one looks once in `LOOK_S`, so that a test costs it nothing, and is ended up to
so much later.
"""

from collections.abc import Callable
from threading import Thread
from time import monotonic, sleep  # by name: tests put others in the place of those of the module

LOOK_S = 1.0


class Watchdog:
    """Calls what was given to `watch`, in its own thread, unless `rest` is called in time."""

    def __init__(self, look_s: float = LOOK_S) -> None:
        self._look_s = look_s
        self._watched: tuple[float, Callable[[], object]] | None = None
        self._thread: Thread | None = None

    def watch(self, seconds: float, expire: Callable[[], object]) -> None:
        self._watched = monotonic() + seconds, expire
        if self._thread is None:
            self._thread = Thread(target=self._look, name="watchdog", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        self._watched = None

    def _look(self) -> None:
        while True:
            sleep(self._look_s)
            watched = self._watched
            if watched is not None and monotonic() > watched[0]:
                self.rest()
                watched[1]()
