"""Move commits from an SQLite store's WAL to its database, in a thread, so that commits do not wait for the disk.

SQLite's own checkpoints run in the commit that makes the WAL 1,000 pages long, with two fsyncs. Here a second
connection makes them beside commits. Such a checkpoint never catches up with commits that go on, and only when it has
can SQLite begin the WAL from its start again. So now and then the broker makes one between two commits, directly after
one beside them, which leaves it little to do. Source: sqlite.org/wal.html, "Avoiding Excessively Large WAL Files".

A checkpoint beside commits begins only while the WAL has pages that are not in the database: if it has none, a commit
may begin the WAL anew meanwhile, which SQLite before 3.51.3 may take for pages that are in the database (the same
page, "The WAL-Reset Bug"). So no other connection may make checkpoints, or only while `wait` has been called.
"""

import contextlib
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

CHECKPOINT_AT: Final = 1_000
"""Pages that commits write before a checkpoint, by an estimate; SQLite's own number."""
RESTART_AT: Final = 2**13
"""Pages of the WAL after which it is begun anew: 32 MiB, some seconds of high load."""
PAGE: Final = 2**12
_CACHE_KIB = 64


class Checkpoints:
    """A connection and a thread of their own."""

    def __init__(self, store: Path, synchronous: str) -> None:
        """Connect to a store that is open; `synchronous` is the pragma of its commits. Raises sqlite3.Error."""
        self._db = sqlite3.connect(store, isolation_level=None, check_same_thread=False)
        self._db.execute(synchronous)
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._running: Future[None] | None = None
        self._rows = self._rows_then = self._size_then = 0
        self._pages = 0
        """Written since the last checkpoint began."""
        self._is_left_little = False
        """The WAL is long, and the last checkpoint has left little of it."""

    def note(self, rows: int, size: int) -> None:
        """Note after a commit how much was written since the store was opened; begin a checkpoint if that is much.

        Args:
            rows: that were changed: each is about a page.
            size: bytes of entries in them.
        """
        if rows == self._rows:
            return  # nothing, so the WAL may have nothing for the database
        self._rows = rows
        self._pages = rows - self._rows_then + (size - self._size_then) // PAGE
        if self._pages >= CHECKPOINT_AT and (self._running is None or self._running.done()):
            self._begin(rows, size)
            self._running = self._thread.submit(self._checkpoint)

    def wait(self) -> None:
        """Wait until no checkpoint runs; none begins before the next `note`."""
        if self._running is not None:
            wait([self._running])

    @property
    def is_restart_due(self) -> bool:
        """Whether to make a checkpoint between two commits; also if the thread is too slow for the commits."""
        return self._is_left_little or self._pages >= RESTART_AT

    def restarted(self, rows: int, size: int) -> None:
        """Note that a checkpoint was made between two commits, while none ran beside them; see `note`."""
        self._is_left_little = False
        self._begin(rows, size)

    def _begin(self, rows: int, size: int) -> None:
        self._rows_then, self._size_then, self._pages = rows, size, 0

    def close(self) -> None:
        self._thread.shutdown()
        self._db.close()

    def _checkpoint(self) -> None:
        # One that fails is made again later, as SQLite does with its own.
        with contextlib.suppress(sqlite3.Error):
            _, pages, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # A backup that is reading holds up both kinds.
            self._is_left_little = pages >= RESTART_AT and moved == pages
