"""The certificates that servers showed first, in a file of the user's, as ssh keeps host keys."""

import os
from contextlib import suppress
from pathlib import Path

BY_AUTHORITY = "authority"
"""In place of a fingerprint: the certificate was valid by this machine's authorities, so it must always be."""


def default_path() -> Path | None:
    """Return where the file is kept by default; None: this user has no home."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        return None
    return state / "tsudoi" / "known_servers"


class KnownServers:
    """One line for each address: `HOST:PORT FINGERPRINT`."""

    def __init__(self, path: Path | str | None) -> None:
        """None: `default_path`."""
        self.path = Path(path) if path else default_path()

    def find(self, host: str, port: int) -> str | None:
        """Return the SHA-256 of the certificate that was seen at an address, in hexadecimal, or `BY_AUTHORITY`."""
        return self._read().get(_key(host, port))

    def remember(self, host: str, port: int, fingerprint: str) -> None:
        """Note what was seen at an address; without a place to write, it is forgotten with this process."""
        if self.path is None:
            return
        with suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = self._read() | {_key(host, port): fingerprint}
            part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                    file.writelines(f"{place} {seen}\n" for place, seen in sorted(known.items()))
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        if self.path is None:
            return {}
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        return {words[0]: words[1] for line in lines if len(words := line.split()) == 2}


def _key(host: str, port: int) -> str:
    return f"[{host.lower()}]:{port}" if ":" in host else f"{host.lower()}:{port}"
