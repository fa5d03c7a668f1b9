"""Run the gateway's own broker as a child process, for `--workers`; build such a broker's command line."""

import shutil
import signal
import tempfile
from pathlib import Path

from tsudoi.ops.program import program_command
from tsudoi.protocol.backbone.endpoint import IPC
from tsudoi.protocol.errors import SettingError

from .supervisor import Supervisor


def broker_arguments(endpoint: str, data: Path, config: Path | None, log_format: str) -> list[str]:
    """Return the arguments of `python -m broker`; its store is in `data`, and it reads its own table of `config`.

    It has the same working folder, so a relative path stays as it is: an absolute one might be too long for a socket,
    or not be UTF-8.
    """
    arguments = ["--log-level", "warning", "--log-format", log_format, "--bind", endpoint]
    arguments += ["--store", f"sqlite:{data / 'tsudoi.sqlite'}"]
    return arguments + (["--config", str(config)] if config else [])


class BrokerProcess(Supervisor):
    """Runs a broker that all workers share, and starts it again if it dies; its store has all accepted items.

    It is started by name and never imported, and listens on a Unix socket (ipc://) in a directory of its own.
    """

    def __init__(self, data: Path, config: Path | None = None, log_format: str = "human") -> None:
        """Prepare a broker; see `broker_arguments`. Raises SettingError if there is no place for its socket."""
        try:
            self._directory = Path(tempfile.mkdtemp(prefix="tsudoi-"))
        except OSError as exc:
            raise SettingError(f"can not make a directory for the broker's socket: {exc.strerror}") from exc
        self.endpoint = f"{IPC}{self._directory}/broker"
        arguments = broker_arguments(self.endpoint, data, config, log_format)
        super().__init__("the embedded broker", (*program_command("broker"), "--exit-with-parent", *arguments))

    def reload(self) -> None:
        """Make it read its settings again."""
        self.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """Stop it, and remove all but the store."""
        await super().stop()
        shutil.rmtree(self._directory, ignore_errors=True)
