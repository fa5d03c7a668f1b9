"""Run a program as a child process: wait until it prints `ready`, start it again when it dies.

It ends when this process does, even by a crash: its standard input is a pipe from here.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tsudoi.ops import logs
from tsudoi.protocol.errors import SettingError

logger = logs.get("gateway.child")

RESTART_S, RESTART_MAX_S = 0.1, 5.0
ROOT = Path(__file__).resolve().parents[len(__package__.split("."))]
"""The folder of the top-level package. Programs are started by name, in the same working directory, so that relative
paths mean the same."""


class Supervisor:
    """Starts a program and keeps it running."""

    def __init__(
        self,
        what: str,
        command: Sequence[str],
        *,
        descriptors: Sequence[int] = (),
        start_s: float = 10.0,
        stop_s: float = 3.0,
    ) -> None:
        """Prepare to start `command`; `what` names it in logs and errors.

        It inherits `descriptors`, has `start_s` to be ready, and `stop_s` to end before it is killed.
        """
        self._what = what
        self._command = command
        self._descriptors = descriptors
        self._start_s = start_s
        self._stop_s = stop_s
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._to_reload = False
        """SIGHUP came while it was being started again: it may have read its settings before."""

    async def start(self) -> None:
        """Start it and wait until it is ready; raise SettingError if it did not start."""
        self._process = await self._launch()
        self._watcher = asyncio.create_task(self._watch())

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs; SIGHUP when it is ready, if it is being started again."""
        if self._process is None:
            self._to_reload = self._to_reload or number == signal.SIGHUP
        elif self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self) -> None:
        """Stop it."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        process = self._process
        if process is not None and process.returncode is None:
            self.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._stop_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _launch(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=self._descriptors,
            # Ctrl-C in the terminal must reach the parent alone, which then stops the child.
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._start_s):
                line = await process.stdout.readline()
        except (TimeoutError, asyncio.CancelledError) as exc:
            process.kill()
            await process.wait()
            if isinstance(exc, asyncio.CancelledError):
                raise
            raise SettingError(f"{self._what} did not start: it was not ready within {self._start_s:g} s") from exc
        if not line.startswith(b"ready "):
            await process.wait()
            raise SettingError(f"{self._what} did not start: see above")
        return process

    async def _watch(self) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            logger.warning(f"{self._what} ended; starting it again", status=status)
            delay_s, self._process = RESTART_S, None
            while self._process is None:
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RESTART_MAX_S)
                try:
                    self._process = await self._launch()
                except SettingError as exc:
                    logger.warning(str(exc))
            logger.info(f"{self._what} runs again")
            if self._to_reload:
                self._to_reload = False
                self.send_signal(signal.SIGHUP)


def _environment() -> dict[str, str]:
    """Return an environment in which Python prefers the programs in ROOT to files of the working directory."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
