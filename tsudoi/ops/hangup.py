"""Handle SIGHUP in a service: stop if it has a terminal, else read the settings again.

The kernel sends it to the programs of a terminal whose window is closed or whose connection is lost; operators send it
to a service without a terminal, so that it reads its settings again. Until a service handles it, it would end the
process: so `hold` is called before the imports.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_held: set[int] = set()
"""Signals that came between `hold` and their handlers."""


def hold() -> None:
    """Let no operator's signal end a service that has just been started: SIGHUP waits for OnHangup, SIGUSR1 is lost.

    Where SIGHUP means the end of the terminal, it ends the process as before.
    """
    if sys.platform != "win32":
        for number, is_deadly in ((signal.SIGHUP, means_stop()), (signal.SIGUSR1, False)):
            if signal.getsignal(number) is signal.SIG_DFL and not is_deadly:
                signal.signal(number, _keep)


def _keep(number: int, frame: object) -> None:
    _held.add(number)


class OnHangup:
    """Handles SIGHUP. Make it at the start, before the event loop handles the signal."""

    def __init__(self, logger: Any, stop: Callable[[], object]) -> None:
        """Call `stop` at a signal if that is what it means; see `means_stop`."""
        self._logger = logger
        self._stop = stop
        self._means_stop = means_stop()
        self._reload: Callable[[], object] | None = None
        self._was_early = False
        """It came before the service was ready, which may have read its settings before the change."""

    def when_ready(self, reload: Callable[[], object]) -> None:
        """Call `reload` at a signal from now on, and at once if one came before."""
        self._reload = reload
        if self._was_early or signal.SIGHUP in _held:
            reload()

    def __call__(self) -> None:
        if self._means_stop:
            self._logger.info("SIGHUP: this service has a terminal, so it stops with it")
            self._stop()
        elif self._reload is not None:
            self._reload()
        else:
            self._was_early = True


def means_stop() -> bool:
    """Return whether SIGHUP is to stop this process; ask before the event loop handles the signal.

    That is so if it has a controlling terminal, unless it was started to outlive it: nohup ignores the signal, and a
    program inherits that.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
