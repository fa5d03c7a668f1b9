"""The terminal as the chat writes to it: from a thread, so that a terminal that stands still holds up no keep-alive."""

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Iterator

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.application.current import get_app_session
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.output import Output

from tsudoi.ops.threaded_stream import ThreadedStream

from .job_control import suspend

_BEHIND = 1 << 16
"""Characters that may wait for the terminal; before the next message is shown, fewer must."""
_LOOK_AGAIN_S = 0.05
_LINE_BYTES = 1 << 16
"""More than the line editor of any terminal takes; one call reads one line at the most."""
_GATHERING_S = 0.1
"""Between two prints above the line that is typed, which is drawn anew each time."""


class Screen:
    """The terminal's output."""

    def __init__(self) -> None:
        self._stream = ThreadedStream(sys.stdout)
        self.above = Above()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Let prompt_toolkit, which takes what `sys.stdout` is at its first use, write here; and `print` above."""
        with contextlib.redirect_stdout(self._stream):
            self.above.output = get_app_session().output
            with contextlib.redirect_stdout(self.above):
                yield

    async def keep_up(self) -> None:
        """Wait until the terminal has shown most of what was written."""
        while self._stream.output.waiting + self.above.waiting > _BEHIND:  # noqa: ASYNC110 - threads know no event loop
            await asyncio.sleep(_LOOK_AGAIN_S)


class Keys(Vt100Input):
    """The terminal's keys, also while something is printed above the line.

    `run_in_terminal` gives the terminal its own line editor back meanwhile, to which Ctrl-C would end the program, and
    not clear the line.
    """

    def cooked_mode(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def suspend(self) -> None:
        """Go back to the shell, with the terminal as it was."""
        with super().cooked_mode():
            suspend()


async def read_cooked_line() -> str:
    """Return a line that the terminal itself edits, for dumb ones, such as Emacs' shell; raise EOFError at the end.

    What is printed meanwhile stands behind what is typed: nothing tells a program that a line has begun.
    """
    loop, source = asyncio.get_running_loop(), sys.stdin.fileno()
    is_readable = asyncio.Event()
    loop.add_reader(source, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(source)
    if not (line := os.read(source, _LINE_BYTES)):
        raise EOFError
    return line.decode(sys.stdin.encoding, errors="replace").rstrip("\r\n")


class Above(io.TextIOBase):
    """What is printed above the line that is typed: in its order, many lines at a time.

    prompt_toolkit's `patch_stdout` does not keep the order: what it prints while no line is typed overtakes what waits
    for a terminal that stands still.
    """

    def __init__(self) -> None:
        self.output: Output
        self._parts: list[str] = []
        self._more = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Characters that are not printed yet."""
        return sum(map(len, self._parts))

    def write(self, text: str) -> int:
        """Print, soon."""
        self._parts.append(text)
        self._more.set()
        return len(text)

    async def show(self) -> None:
        """Print what comes, until it is cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            await run_in_terminal(self.finish)
            await asyncio.sleep(_GATHERING_S)

    def finish(self) -> None:
        """Print what waits, now."""
        text, self._parts = "".join(self._parts), []
        if text:
            self.output.enable_autowrap()
            self.output.write_raw(text)
            self.output.flush()
