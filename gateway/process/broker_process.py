"""Run the gateway's own broker as a child process, for `--workers`; build such a broker's command line."""

import asyncio
import os
import shutil
import socket
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

from tsudoi.ops.net.unix_socket import is_served
from tsudoi.ops.program import program_command
from tsudoi.protocol.backbone.endpoint import IPC, MAX_IPC_SIZE
from tsudoi.protocol.errors import SettingError

from .supervisor import Supervisor

PREFIX = "sockets-"
START_S = 40.0
"""It reads its whole store at its start, and all programs of a machine may start at once."""
LEFT_S = 60.0
"""A folder of sockets that is as old, and in which no broker listens, was left by a killed gateway."""


def broker_arguments(endpoint: str, data: Path | None, config: Path | None, log_format: str) -> list[str]:
    """Return the arguments of `python -m broker`; its store is in `data` (None: in memory only).

    It reads its own table of `config`. It has the same working folder, so a relative path stays as it is: an absolute
    one might be too long for a socket, or not be UTF-8.
    """
    arguments = ["--log-level", "warning", "--log-format", log_format, "--bind", endpoint]
    arguments += ["--store", "memory" if data is None else f"sqlite:{data / 'tsudoi.sqlite'}"]
    return arguments + (["--config", str(config)] if config else [])


class BrokerProcess(Supervisor):
    """Runs a broker that all workers share, and starts it again if it dies; its store has all accepted items.

    It is started by name and never imported, and listens on a Unix socket (ipc://) in a directory of its own.
    """

    def __init__(self, data: Path, config: Path | None = None, log_format: str = "human") -> None:
        """Prepare a broker; see `broker_arguments`. Raises SettingError if there is no place for its socket."""
        self._directory = make_directory(data)
        self.endpoint = _endpoint(self._directory)
        arguments = broker_arguments(self.endpoint, data, config, log_format)
        command = (*program_command("broker"), "--exit-with-parent", *arguments)
        super().__init__("the embedded broker", command, start_s=START_S)

    async def _launch(self) -> asyncio.subprocess.Process:
        with suppress(OSError):  # the broker says what is wrong with it
            self._directory.mkdir(mode=0o700, exist_ok=True)
        return await super()._launch()

    async def stop(self) -> None:
        """Stop it, and remove all but the store."""
        await super().stop()
        shutil.rmtree(self._directory, ignore_errors=True)


def make_directory(data: Path) -> Path:
    """Make a directory for the sockets of one run, mode 0700, or raise SettingError.

    It is in the folder `data`: cleaners of temporary files do not go there, and no other user can put a socket of his
    own in the place of one that was removed. Where the path is too long for a socket, or the file system has none, it
    is in the system's folder for temporary files.
    """
    _remove_left(data)
    for folder in (data.resolve(), Path(os.path.relpath(data)), None):
        with suppress(OSError):
            if folder is not None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=PREFIX if folder else f"tsudoi-{PREFIX}", dir=folder))
            if folder is not None:
                made = folder / made.name  # since Python 3.12 `mkdtemp` makes a relative path absolute
            if len(os.fsencode(_endpoint(made))) <= MAX_IPC_SIZE and _takes_sockets(made):
                return made
            made.rmdir()
    raise SettingError(f"can not make a directory for the broker's socket in {data} or {tempfile.gettempdir()}")


def _endpoint(directory: Path) -> str:
    return f"{IPC}{directory}/broker"


def _takes_sockets(directory: Path) -> bool:
    path = directory / "try"
    try:
        with closing(socket.socket(socket.AF_UNIX)) as tried:
            tried.bind(str(path))
        path.unlink()
    except OSError:
        return False
    return True


def _remove_left(data: Path) -> None:
    """Remove what killed gateways have left: directories in which no broker listens."""
    for directory in data.glob(f"{PREFIX}*"):
        with suppress(OSError):
            is_old = time.time() - directory.stat().st_mtime > LEFT_S
            if is_old and not is_served(directory / "broker"):
                shutil.rmtree(directory, ignore_errors=True)
