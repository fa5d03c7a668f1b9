"""Keep the lines typed in earlier chats in a file, but no passwords and no whispers."""

import os
import re
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from tsudoi.protocol.client import slash_commands as commands
from tsudoi.protocol.client.sanitize import clean

from .state.typed import Say, understand

SECRET = commands.Lock | commands.Whisper | commands.Reply | commands.Unknown | commands.Misused
"""A password, a whisper, or a mistyped command that may be one of them."""
_AFTER_COLON = re.compile(r": *")
"""Before it may be the user's own name, which servers remove."""


def is_secret(text: str) -> bool:
    """Return whether a text that was typed or pasted may have a password or a whisper in it."""
    return any(
        isinstance(commands.parse_untrusted(part), SECRET)
        for line in clean(text).split("\n")
        for part in (line.strip(), *(line[found.end() :] for found in _AFTER_COLON.finditer(line)))
        # `/join garden` is a command of this client: the server does not know it.
        if part.startswith(commands.SLASHES) and not commands.escaped_text(part) and understand(part, "") == Say(part)
    )


def open_history() -> History:
    """Return the lines of earlier chats, in a file that only this user can read; in memory if it can not be kept.

    Secret lines, which earlier versions kept, are removed from the file.
    """
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        path = state / "tsudoi" / "history"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600))
        if not path.is_file():  # a link to /dev/null, say
            return InMemoryHistory()
        path.chmod(0o600)
        _remove_secrets(path.resolve())
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return InMemoryHistory()
    return _PublicHistory(path)


class _PublicHistory(FileHistory):
    """Keeps secret lines in memory only."""

    def store_string(self, string: str) -> None:
        if not is_secret(string):
            with suppress(OSError):  # the disk is full, or the folder is gone
                super().store_string(string)


def _remove_secrets(path: Path) -> None:
    """Write the file again without its secret entries, if it has any; an entry is a time stamp and lines with `+`."""
    entries: list[list[bytes]] = [[]]
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.startswith(b"+") and any(each.startswith(b"+") for each in entries[-1]):
            entries.append([])
        entries[-1].append(line)
    kept = [entry for entry in entries if not is_secret(_text(entry))]
    if len(kept) < len(entries):
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.writelines(line for entry in kept for line in entry)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _text(entry: list[bytes]) -> str:
    return b"".join(line[1:] for line in entry if line.startswith(b"+")).decode(errors="replace")
