"""Run a broker as a child process, for `--workers`: the workers share it.

It listens on a Unix socket (ipc://) in a directory of its own. If it dies, it is started again; its store has what was
accepted.
"""

import shutil
import signal
import tempfile
from pathlib import Path

from tsudoi.ops.program import program_command
from tsudoi.protocol.backbone.endpoint import IPC
from tsudoi.protocol.errors import SettingError

from .broker_arguments import broker_arguments
from .child import Child


class BrokerProcess(Child):
    """Starts `python -m broker`, by name and never imported, and keeps it running."""

    def __init__(self, data: Path, config: Path | None = None, log_format: str = "human") -> None:
        """Prepare a broker that keeps its store in the directory `data`.

        Args:
            data: where the store is.
            config: a file with settings, of which the broker reads its own table.
            log_format: of its log.

        Raises:
            SettingError: there is no place for its socket.
        """
        try:
            # Made anew at each launch: nobody else removes it, and we remove no one else's.
            self._directory = Path(tempfile.mkdtemp(prefix="tsudoi-"))
        except OSError as exc:
            raise SettingError(f"can not make a directory for the broker's socket: {exc.strerror}") from exc
        self.endpoint = f"{IPC}{self._directory}/broker"
        arguments = broker_arguments(self.endpoint, data, config, log_format)
        super().__init__("the embedded broker", (*program_command("broker"), "--exit-with-parent", *arguments))

    def reload(self) -> None:
        """Let it read its settings again."""
        self.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it, and leave nothing behind but the store."""
        await super().stop()
        shutil.rmtree(self._directory, ignore_errors=True)
