"""The terminal as the chat writes to it: from a thread, so that a terminal that stands still holds up no keep-alive."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator

from tsudoi.ops.threaded_stream import ThreadedStream

_BEHIND = 1 << 16
"""Characters that may wait for the terminal; before the next message is shown, fewer must."""
_LOOK_AGAIN_S = 0.05


class Screen:
    """The terminal's output."""

    def __init__(self) -> None:
        self._stream = ThreadedStream(sys.stdout)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Let `print` and prompt_toolkit, which takes what `sys.stdout` is at its first use, write by this screen."""
        with contextlib.redirect_stdout(self._stream):
            yield

    async def keep_up(self) -> None:
        """Wait until the terminal has shown most of what was written."""
        while self._stream.output.waiting > _BEHIND:  # noqa: ASYNC110 - the thread knows no event loop
            await asyncio.sleep(_LOOK_AGAIN_S)
