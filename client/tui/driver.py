"""The terminal for Textual: one that stands still holds up no keep-alive, one that is closed ends
the client."""

import asyncio
import os
import select
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.drivers.linux_driver import LinuxDriver

from tsudoi.ops import standard_streams
from tsudoi.ops.threaded_output import ThreadedOutput

_BEHIND = 1 << 16
"""Characters that may wait for the terminal; beyond that, frames are left out until it has shown them."""


@dataclass(frozen=True, slots=True)
class _Key:
    value: str
    """Its name in Textual."""


# Textual takes Alt-1 for what Option-1 writes on a Mac, `¡`, which comes as that character. Alt-Enter begins a line.
# A key that is not in this table is written, as `^a`, when the next one comes at once, as over a slow line.
_keys: Any = ANSI_SEQUENCES_KEYS
for _name in "123456789adu":
    _keys[f"\x1b{_name}"] = (_Key(f"alt+{_name}"),)
# All others do nothing: Textual takes Alt-< for `<`. With what is left out here begins what a terminal reports.
for _name in map(chr, range(ord("!"), ord("~") + 1)):
    if _name not in "bf[]^_NOPX\\123456789adu":
        _keys[f"\x1b{_name}"] = (_Key("alt+unused"),)


class PatientDriver(LinuxDriver):
    """Writes by a thread without ever waiting for it; Textual's own thread makes the event loop wait at 30 writes."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        assert sys.__stdout__ is not None
        self._file = sys.__stdout__
        self._output = standard_streams.track(ThreadedOutput(sys.__stdout__))
        self._loop = asyncio.get_running_loop()
        self._skips = False
        """Frames are left out; the screen is drawn anew when the terminal has caught up."""

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return columns and lines; Textual's own method takes the variables COLUMNS and LINES, which do not change."""
        try:
            columns, lines = os.get_terminal_size(self.fileno)
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def write(self, data: str) -> None:
        """Have a frame written soon, or leave it out if the terminal is behind."""
        if self._skips:
            return
        if self._output.waiting > _BEHIND:
            self._skips = True
            self._output.put("", self._caught_up)
            return
        self._output.put(data)

    def stop_application_mode(self) -> None:
        """See LinuxDriver. What restores the terminal is not left out."""
        self._skips = False
        super().stop_application_mode()

    def resume_application_mode(self) -> None:
        """See LinuxDriver. It is not told of SIGSTOP: begun twice, it reads keys twice and forgets the shell's mode."""
        if not self._must_signal_resume:  # which is set before it stops itself, at SIGTSTP
            self.suspend_application_mode()
        super().resume_application_mode()
        self._loop.call_soon_threadsafe(self._draw_anew)

    def close(self) -> None:
        """See LinuxDriver. Waits for a terminal that stands still for a second at most."""
        self._output.flush(standard_streams.FLUSH_S)
        super().close()

    def is_hung_up(self) -> bool:
        """Return whether the terminal is gone: then reading gives nothing, for ever."""
        poll = select.poll()
        poll.register(self.fileno, 0)
        return any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poll.poll(0))

    def _caught_up(self, problem: OSError | None) -> None:
        # RuntimeError: the event loop has ended.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._draw_anew)

    def _draw_anew(self) -> None:
        self._skips = False
        self._app.refresh(layout=True)
        self._app.screen.refresh(layout=True)

    def _run_input_thread(self) -> None:
        """Read keys until the terminal is closed, which is no error."""
        try:
            self.run_input_thread()
        except OSError:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(hang_up)


def hang_up() -> None:
    """End as at SIGHUP, which a process does not get that has no terminal of its own."""
    os.kill(os.getpid(), signal.SIGHUP)
