"""The terminal as the chat writes to it: from a thread, so that a terminal that stands still holds up no keep-alive."""

import asyncio
import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TextIO

from tsudoi.ops import standard_streams
from tsudoi.ops.threaded_output import ThreadedOutput

_BEHIND = 1 << 16
"""Characters that may wait for the terminal; before the next message is shown, fewer must."""
_LOOK_AGAIN_S = 0.05


class _Stream(io.TextIOBase):
    """Passes what is written to a thread."""

    def __init__(self, terminal: TextIO) -> None:
        self.output = standard_streams.track(ThreadedOutput(terminal))
        self._terminal = terminal
        self._written: list[str] = []

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._terminal.encoding

    def fileno(self) -> int:
        return self._terminal.fileno()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._written.append(text)
        return len(text)

    def flush(self) -> None:
        if self._written:
            text, self._written = "".join(self._written), []
            self.output.put(text)


class Screen:
    """The terminal's output."""

    def __init__(self) -> None:
        self._stream = _Stream(sys.stdout)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Let `print` and prompt_toolkit, which takes what `sys.stdout` is at its first use, write by this screen."""
        with contextlib.redirect_stdout(self._stream):
            yield

    async def keep_up(self) -> None:
        """Wait until the terminal has shown most of what was written."""
        while self._stream.output.waiting > _BEHIND:  # noqa: ASYNC110 - the thread knows no event loop
            await asyncio.sleep(_LOOK_AGAIN_S)
