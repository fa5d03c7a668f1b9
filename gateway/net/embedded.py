"""A broker of the gateway's own, as a child process: one command is a whole chat service.

It talks over ipc in a directory of its own and ends when the gateway does, however that ends: its standard input is a
pipe from us. If it dies, it is started again; its store has what was accepted.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from ops import logs
from protocol.errors import SettingError

logger = logs.get("gateway.embedded")

START_S = 10.0
STOP_S = 3.0
RESTART_S, RESTART_MAX_S = 0.1, 5.0
ROOT = Path(__file__).resolve().parents[2]
"""Where `broker/` lies: it is started by name, never imported."""


class EmbeddedBroker:
    """Starts `python -m broker` and keeps it running."""

    def __init__(self, data: Path, config: Path | None = None, log_format: str = "human") -> None:
        """Keep the store in the directory `data`; `config` is a file with settings of its own."""
        self._data = data
        self._config = config
        self._log_format = log_format
        self._directory = _private_directory(data)
        self.endpoint = f"ipc://{self._directory}/broker"
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            SettingError: it did not start; the text is its own.
        """
        self._process, why = await self._launch()
        if self._process is None:
            raise SettingError(f"the embedded broker did not start: {why}")
        self._watcher = asyncio.create_task(self._watch())

    def reload(self) -> None:
        """Let it read its settings again."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it, and leave nothing behind but the store."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _launch(self) -> tuple[asyncio.subprocess.Process | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "broker", "--exit-with-parent", "--log-level", "warning"),
            *("--log-format", self._log_format),
            *("--bind", self.endpoint, "--store", f"sqlite:{(self._data / 'tsudoi.sqlite').resolve()}"),
            *(("--config", str(self._config.resolve())) if self._config else ()),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A Ctrl-C in the terminal is for the gateway, which then ends its broker in good order.
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            await process.wait()
            return None, f"it was not ready within {START_S:g} s"
        if line.startswith(b"ready "):
            return process, ""
        await process.wait()
        return None, "see above"

    async def _watch(self) -> None:
        delay_s = RESTART_S
        while True:
            assert self._process is not None
            status = await self._process.wait()
            logger.warning("the embedded broker ended; starting it again", status=status)
            started = None
            while started is None:
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RESTART_MAX_S)
                started, _ = await self._launch()
            self._process = started
            delay_s = RESTART_S


def _private_directory(data: Path) -> Path:
    """Return a directory for sockets that only we can enter: one a store, so that kills do not leave ever more."""
    mark = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:12]
    directory = Path(tempfile.gettempdir()) / f"tsudoi-{os.getuid()}-{mark}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as exc:
        raise SettingError(f"can not make {directory}: {exc.strerror}") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        # Somebody else was there first.
        return Path(tempfile.mkdtemp(prefix="tsudoi-"))
    return directory
