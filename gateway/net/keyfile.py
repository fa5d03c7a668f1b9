"""Reads the file with the keys that tokens are signed with; `gateway/keys.py` says what may be in it."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gateway.trust import Gate
from tsudoi.protocol.errors import SettingError

if TYPE_CHECKING:
    from gateway.keys import Keys

MAX_SIZE = 65_536


def load_gate(path: Path, auth: Literal["off", "optional", "required"]) -> Gate:
    """Return a gate that trusts the keys in a file.

    Raises:
        SettingError: the file can not be read, others can write it (or read a secret in it), or it has no good keys.
    """
    return Gate(_read(path), strangers=auth != "required")


def reload_gate(gate: Gate, path: Path) -> bool:
    """Let a gate trust what the file has now, and say whether that is something else.

    Raises:
        SettingError: the file can not be used; the gate trusts what it did before.
    """
    return gate.change_keys(_read(path))


def _read(path: Path) -> "Keys":
    # Only here: it takes a library that most gateways do not need.
    from gateway.keys import parse_keys

    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_SIZE + 1)
    except OSError as exc:
        raise SettingError(f"can not read the key file {path}: {exc.strerror}") from exc
    if len(raw) > MAX_SIZE:
        raise SettingError(f"the key file {path} has more than {MAX_SIZE} bytes")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingError(f"others may write the key file {path}: chmod go-w {path}")
    try:
        keys = parse_keys(raw)
    except SettingError as exc:
        raise SettingError(f"the key file {path} is of no use: {exc}") from exc
    if keys.secret and mode & stat.S_IROTH:
        raise SettingError(f"everybody may read the secret in the key file {path}: chmod o-r {path}")
    return keys
