"""A text stream for libraries that print, whose writing is a thread's work; see `threaded_output.py`."""

import io
from typing import TextIO

from . import standard_streams
from .threaded_output import ThreadedOutput


class ThreadedStream(io.TextIOBase):
    """Passes what is written to a thread, at each flush."""

    def __init__(self, stream: TextIO) -> None:
        self.output = standard_streams.track(ThreadedOutput(stream))
        self._stream = stream
        self._written: list[str] = []
        self._problem: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Keep a text for the next flush."""
        self._written.append(text)
        return len(text)

    def flush(self) -> None:
        """Have the thread write what is kept. Never waits."""
        if self._written:
            text, self._written = "".join(self._written), []
            self.output.put(text, self._note)

    def wait(self) -> None:
        """Wait until all is written, however long its reader stands still; raise OSError if it can not be."""
        self.flush()
        self.output.flush(None)
        self.check()

    def check(self) -> None:
        """Raise OSError if a text could not be written."""
        if self._problem is not None:
            raise self._problem

    def _note(self, problem: OSError | None) -> None:
        self._problem = self._problem or problem
