"""The broker's folder of keys: its own pair, and the public keys of those who are let in.

    broker.key              its own, mode 0600
    gateways/NAME.pub       gateways that may come
    operators/NAME.pub      operators that may come

The folder is the truth: who adds or removes a file adds or removes a gateway, while all goes on.
"""

import os
from collections.abc import Callable
from pathlib import Path

from protocol.errors import SettingError
from protocol.keys import (
    MAX_FILE_SIZE,
    Owner,
    Role,
    SecretKey,
    check_name,
    parse_public,
    parse_secret,
    serialize_secret,
)

FOLDERS = {Role.GATEWAY: "gateways", Role.OPERATOR: "operators"}
OWN = "broker.key"
SUFFIX = ".pub"

MakePair = Callable[[], tuple[str, str]]
"""Returns a fresh (public, secret) pair."""


class Keyring:
    """Who is let in, as the folder says; look again with `refresh`."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            SettingError: the broker's own key is not there, or can not be used.
        """
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] = {}
        self.own = read_secret(folder / OWN)
        self.owners: dict[str, Owner] = {}
        """Public key → whose it is."""
        self.unreadable: list[str] = []
        """Files that hold no key; whoever they were meant for stays outside."""
        self.refresh()

    def refresh(self) -> set[str]:
        """Read again what has changed; return the public keys that are not let in any more."""
        seen = {str(path): _mark(path) for _, path in self._files()}
        if seen == self._seen and self.owners:
            return set()
        self._seen, before = seen, set(self.owners)
        self.owners = {self.own.public: self.own.owner}
        self.unreadable = []
        for role, path in self._files():
            try:
                key = parse_public(path.read_text(encoding="ascii", errors="replace")[:MAX_FILE_SIZE], str(path))
                self.owners[key] = Owner(role, check_name(path.stem))
            except (OSError, SettingError):
                self.unreadable.append(str(path))
        return before.difference(self.owners)

    def _files(self) -> list[tuple[Role, Path]]:
        return [(role, path) for role, path in _public_files(self._folder)]


def _mark(path: Path) -> tuple[int, int]:
    """Return what shows that a file has changed; nothing does if it is removed just now."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _public_files(folder: Path) -> list[tuple[Role, Path]]:
    return [(role, path) for role, name in FOLDERS.items() for path in sorted((folder / name).glob("*" + SUFFIX))]


def read_secret(path: Path) -> SecretKey:
    """Return the pair in a file; raises SettingError if it can not be read or is none."""
    try:
        return parse_secret(path.read_text(encoding="ascii", errors="replace"), path.stat().st_mode, str(path))
    except OSError as exc:
        raise SettingError(f"can not read the key {path}: {exc.strerror}") from exc


def has_keys(folder: Path) -> bool:
    """Say whether a broker's key has been made there."""
    return (folder / OWN).exists()


def listed(folder: Path) -> list[tuple[Owner, str]]:
    """Return whom the folder lets in, and with which public key; raises SettingError if a file holds none."""
    found = []
    for role, path in _public_files(folder):
        found.append(
            (Owner(role, path.stem), parse_public(path.read_text(encoding="ascii", errors="replace"), str(path)))
        )
    return found


def add(folder: Path, owner: Owner, out: Path, make_pair: MakePair) -> None:
    """Make a pair for `owner`: the secret goes to `out`, the public key into the folder; the broker's too if need be.

    Raises:
        SettingError: there is one of that name, or a file can not be written.
    """
    try:
        public_file = _public_file(folder, owner)
        own = _own(folder, make_pair)
        if public_file.exists():
            raise SettingError(f"there is a {owner} already; python -m broker keys remove {owner.name} takes it away")
        public_file.parent.mkdir(mode=0o700, exist_ok=True)
        public, secret = make_pair()
        _write(out, serialize_secret(SecretKey(owner, public, secret, own.public)), 0o600)
        # Last: who is let in has a key that is whole.
        _write(public_file, public + "\n", 0o644)
    except OSError as exc:
        raise SettingError(f"can not write {exc.filename}: {exc.strerror}") from exc


def remove(folder: Path, owner: Owner) -> None:
    """Let `owner` in no more; raises SettingError if there is no such key."""
    try:
        _public_file(folder, owner).unlink()
    except OSError as exc:
        raise SettingError(f"there is no {owner} in {folder}") from exc


def _own(folder: Path, make_pair: MakePair) -> SecretKey:
    if not has_keys(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        public, secret = make_pair()
        key = SecretKey(Owner(Role.BROKER, "broker"), public, secret, public)
        _write(folder / OWN, serialize_secret(key), 0o600)
    return read_secret(folder / OWN)


def _public_file(folder: Path, owner: Owner) -> Path:
    return folder / FOLDERS[owner.role] / (check_name(owner.name) + SUFFIX)


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that is there whole or not at all, and never overwrites one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)
    finally:
        part.unlink()
