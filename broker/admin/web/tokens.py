"""The token without which the operator's page says and does nothing."""

import secrets
from pathlib import Path

from tsudoi.protocol.errors import SettingError

LEAST = 22
"""Characters: 128 bits in the letters of URLs, which can not be guessed. A limit on guesses, which all come from this
machine, would lock the operator out."""


def new_token() -> str:
    return secrets.token_urlsafe(24)


def read_token(path: Path) -> str:
    """Return the token in a file, or raise SettingError; the error has no content of it."""
    try:
        text, mode = path.read_text(encoding="ascii", errors="replace").strip(), path.stat().st_mode
    except OSError as exc:
        raise SettingError(f"can not read the token {path}: {exc.strerror}") from exc
    if mode & 0o077:
        raise SettingError(f"{path} is open to others: chmod 600 {path}")
    if len(text) < LEAST or not all(char.isascii() and (char.isalnum() or char in "-_") for char in text):
        raise SettingError(f"{path} has no token: {LEAST} or more letters, digits, - and _ (openssl rand -hex 24)")
    return text
