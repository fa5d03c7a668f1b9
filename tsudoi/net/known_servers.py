"""The certificates that servers showed first, in a file of the user's, as ssh keeps host keys."""

import os
from pathlib import Path
from typing import ClassVar

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

    _unwritten: ClassVar[dict[tuple[Path | None, str], str]] = {}
    """What could not be written: this process knows it until it ends, as it may join again."""

    def __init__(self, path: Path | str | None) -> None:
        """None: `default_path`."""
        self.path = Path(path) if path else default_path()

    def find(self, host: str, port: int) -> str | None:
        """Return the SHA-256 of the certificate that was seen at an address, in hexadecimal, or `BY_AUTHORITY`.

        Raises:
            OSError: the file is there and can not be read.
        """
        key = _key(host, port)
        return self._read().get(key) or self._unwritten.get((self.path, key))

    def remember(self, host: str, port: int, fingerprint: str) -> None:
        """Note what was seen at an address. A line is added, so that no other one is lost, whatever else writes."""
        key = _key(host, port)
        try:
            if self.path is None:
                raise FileNotFoundError
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            before = self.path.read_bytes() if self.path.exists() else b""
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file:
                file.write(f"{key} {fingerprint}\n" if before[-1:] in b"\n" else f"\n{key} {fingerprint}\n")
        except OSError:
            self._unwritten[self.path, key] = fingerprint

    def _read(self) -> dict[str, str]:
        if self.path is None:
            return {}
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            if os.path.exists(self.path):
                raise
            return {}
        return {words[0]: words[1] for line in lines if len(words := line.split()) == 2}


def _key(host: str, port: int) -> str:
    return f"[{host.lower()}]:{port}" if ":" in host else f"{host.lower()}:{port}"
