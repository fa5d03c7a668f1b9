"""Commit turns to the store, one at a time and in order; and trim its logs between two of them.

A commit that takes microseconds runs in the event loop: to hand it to a thread and back would cost as much. One that
takes milliseconds (an fsync, a round trip to a database, a fold of many turns) runs in a worker thread, and the loop
collects the next turn meanwhile. The average time of the last commits decides which.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from tsudoi.ops import logs
from tsudoi.ops.histogram import Histogram

from ..store.interface import Batch, Store

SLOW_S = 0.001
"""Commits that take longer than this, averaged over the last few, run in the thread."""
SMOOTHING = 8
LATE_S = 0.5
"""A commit that takes this long is logged. From 0.8 s on, gateways' leases (1.7 s) end before their questions are
answered, again and again: little is delivered, although canaries come back."""
TELL_AGAIN_S = 60.0

logger = logs.get("broker.server")

OnDone = Callable[[BaseException | None], None]
"""Called in the event loop, with the error if the store failed."""


class Committer:
    """Runs the store's commits. While `is_busy`, nothing else may use the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "commit")
        self._running: Future[None] | None = None
        self._on_done: OnDone | None = None
        self._usual_s = 0.0
        self._told_at = float("-inf")
        self.seconds = Histogram()
        """How long commits took."""

    @property
    def is_slow(self) -> bool:
        """Whether the next commit is worth a hand-over to the thread."""
        return self._usual_s > SLOW_S or self._store.is_long_commit_due

    @property
    def is_busy(self) -> bool:
        """Whether the thread is at work, or its end has not been reported yet."""
        return self._running is not None

    def commit(self, *batches: Batch) -> None:
        """Commit the batches of a turn before returning; raise StoreError if they were not kept."""
        begun, is_usual = time.monotonic(), not self._store.is_long_commit_due
        self._store.commit(*batches)
        ended = time.monotonic()
        took_s = ended - begun
        if took_s >= LATE_S and ended - self._told_at >= TELL_AGAIN_S:
            self._told_at = ended
            logger.warning(
                "a commit took long, and all messages waited for the disk or the database", seconds=f"{took_s:.1f}"
            )
        if is_usual:
            self._usual_s += (took_s - self._usual_s) / SMOOTHING
        self.seconds.note(took_s)

    def start(self, work: Callable[[], None], on_done: OnDone) -> None:
        """Do a commit, or other work with the store, in the thread; call `on_done` after it. None may be running."""
        assert self._running is None
        self._on_done = on_done
        self._running = self._thread.submit(work)
        self._running.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._report))

    def wait(self) -> None:
        """Block until the thread is idle, and report its end."""
        if self._running is not None:
            wait([self._running])
            self._report()

    def close(self) -> None:
        self._thread.shutdown()

    def _report(self) -> None:
        """Report the end of the thread's work, unless `wait` has done so."""
        running, on_done = self._running, self._on_done
        if running is not None and running.done() and on_done is not None:
            self._running = self._on_done = None
            on_done(running.exception())
