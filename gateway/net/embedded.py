"""A broker of the gateway's own, as a child process: one command is a whole chat service.

It talks over a Unix socket in a directory of its own. If it dies, it is started again; its store has what was accepted.
"""

import hashlib
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

from gateway.net.child import Child
from tsudoi.ops.program import program_command
from tsudoi.protocol.errors import SettingError


class EmbeddedBroker(Child):
    """Starts `python -m broker`, by name and never imported, and keeps it running."""

    def __init__(self, data: Path, config: Path | None = None, log_format: str = "human") -> None:
        """Keep the store in the directory `data`; `config` is a file with settings of its own."""
        self._directory = _private_directory(data)
        self.endpoint = f"unix://{self._directory}/broker"
        command = (
            *(*program_command("broker"), "--exit-with-parent", "--log-level", "warning"),
            *("--log-format", log_format),
            *("--bind", self.endpoint, "--store", f"sqlite:{(data / 'tsudoi.sqlite').resolve()}"),
            *(("--config", str(config.resolve())) if config else ()),
        )
        super().__init__("the embedded broker", command)

    def reload(self) -> None:
        """Let it read its settings again."""
        self.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it, and leave nothing behind but the store."""
        await super().stop()
        shutil.rmtree(self._directory, ignore_errors=True)


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
