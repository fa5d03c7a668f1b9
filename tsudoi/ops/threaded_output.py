"""Write lines to a stream from a thread: a reader that stands still holds up no event loop.

A terminal stopped by Ctrl-S, a pager at its first page, a log collector that hangs: each lets the kernel's buffer fill
up, and the next write waits for as long as that takes.
"""

import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

LIMIT = 1 << 20
"""Characters that may wait; some 5,000 log lines. What comes beyond that is lost and counted."""

OnWritten = Callable[[OSError | None], object]
"""Called in the thread when a text has been written, or with the reason why it could not be."""


class ThreadedOutput:
    """Writes to the descriptor of a stream; to a stream without one, as tests have, it writes at once.

    When `LIMIT` is reached, all texts are lost until those that wait have been written; then one line tells how many.
    So there is one gap, and its place is known.
    """

    def __init__(self, stream: TextIO, gap: Callable[[int], str] | None = None) -> None:
        """`gap` makes the line, with its line feed, that tells how many texts were lost; None: no line tells it."""
        self.lost = 0
        """Texts that were not written: the reader stood still, or the stream failed."""
        self._stream = stream
        self._gap = gap
        self._has_descriptor = False
        with suppress(OSError, ValueError):
            stream.fileno()
            self._has_descriptor = True
        self._encoding = stream.encoding or "utf-8"
        self._changed = threading.Condition()
        self._texts: deque[tuple[str, OnWritten | None]] = deque()
        """The first one is being written."""
        self.waiting = 0
        """Characters that are not written yet."""
        self._is_full = False
        self._untold = 0
        """Lost since the last line that told it."""
        self._thread: threading.Thread | None = None

    def put(self, text: str, on_written: OnWritten | None = None) -> None:
        """Have a text written soon. Never waits. If it is lost, `on_written` is not called."""
        if not self._has_descriptor:
            self._stream.write(text)
            if on_written is not None:
                on_written(None)
            return
        with self._changed:
            if self._is_full or (self._texts and self.waiting + len(text) > LIMIT):
                self._is_full = True
                self._lose()
                return
            if self._thread is not None or self._start():
                self._append(text, on_written)
                self._changed.notify_all()
                return
        problem = self._write(text.encode(self._encoding, "backslashreplace"))
        if on_written is not None:
            on_written(problem)

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until all texts are written, for `timeout_s` at most if it is not None; return whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._texts, timeout_s)

    def _start(self) -> bool:
        """Start the thread; return False if that is not possible: there are too many, or the interpreter ends."""
        thread = threading.Thread(target=self._write_all, name="output", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _append(self, text: str, on_written: OnWritten | None = None) -> None:
        self._texts.append((text, on_written))
        self.waiting += len(text)

    def _lose(self) -> None:
        self.lost += 1
        self._untold += 1

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._texts)
                text, on_written = self._texts[0]
            problem = self._write(text.encode(self._encoding, "backslashreplace"))
            if on_written is not None:
                # RuntimeError: the event loop that waits for it has ended.
                with suppress(RuntimeError):
                    on_written(problem)
            with self._changed:
                self._texts.popleft()
                self.waiting -= len(text)
                if problem is not None:
                    self._lose()
                if not self._texts:
                    self._is_full = False
                    if self._untold and problem is None and self._gap is not None:
                        self._append(self._gap(self._untold))
                        self._untold = 0
                self._changed.notify_all()

    def _write(self, data: bytes) -> OSError | None:
        """Write to the descriptor: a thread in `stream.write` would hold a lock that the interpreter needs to end."""
        try:
            while data:
                # Asked each time: when the stream is closed, a socket or another file may have its number.
                number = self._stream.fileno()
                try:
                    data = data[os.write(number, data) :]
                except BlockingIOError:
                    # Another program that shares this terminal or pipe has made it non-blocking.
                    select.select([], [number], [])
        except OSError as exc:
            return exc
        except ValueError:
            return OSError(errno.EBADF, "the stream is closed")
        return None
