"""The broker's folder of keys: its own pair, and the public keys of those who are let in.

    broker.key              its own, mode 0600
    gateways/NAME.pub       gateways that may come
    operators/NAME.pub      operators that may come

The folder is the truth: who adds or removes a file adds or removes a gateway, while all goes on.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tsudoi.ops.keyfiles import (
    MAX_FILE_SIZE,
    Owner,
    Role,
    SecretKey,
    check_name,
    parse_public,
    parse_secret,
    serialize_secret,
)
from tsudoi.protocol.errors import SettingError

FOLDERS = {Role.GATEWAY: "gateways", Role.OPERATOR: "operators"}
OWN = "broker.key"
SUFFIX = ".pub"

MakePair = Callable[[], tuple[str, str]]
"""Returns a fresh (public, secret) pair."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the folder says that it did not say before."""

    added: dict[str, Owner]
    removed: dict[str, Owner]
    """By public key, like `added`; a key that changed its owner is in both."""
    unreadable: dict[str, str]
    """Files that are newly of no use → why."""


class Keyring:
    """Who is let in, as the folder says; look again with `refresh`."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            SettingError: the broker's own key is not there, or can not be used.
        """
        self._folder = folder
        self.own = read_secret(folder / OWN)
        self._files: dict[Path, _File] = {}
        self.owners: dict[str, Owner] = {}
        """Public key → whose it is."""
        self.unreadable: dict[str, str] = {}
        """Files and folders of no use → why; whoever they were meant for stays as it was, inside or outside."""
        self._told: tuple[dict[str, Owner], dict[str, str]] = {}, {}
        self._gone: dict[str, Owner] = {}
        """Who was let in since the last `refresh`, if only for a moment, and is no more."""
        self.refresh()

    def find(self, public: str) -> Owner | None:
        """Return whose key it is, after another look at the folder if need be; None if it is not let in."""
        if public not in self.owners:
            self._read()
        return self.owners.get(public)

    def refresh(self) -> Changes:
        """Read again what has changed; return all that has since the last call."""
        self._read()
        (owners, unreadable), self._told = self._told, (self.owners, self.unreadable)
        gone, self._gone = self._gone, {}
        return Changes(
            _but(self.owners, owners),
            _but(gone, self.owners),
            {path: why for path, why in self.unreadable.items() if unreadable.get(path) != why},
        )

    def _read(self) -> None:
        before, self._files, self.unreadable = self._files, {}, {}
        for role, name in FOLDERS.items():
            folder = self._folder / name
            try:
                paths = _names(folder)
            except OSError as exc:
                # Whoever was let in is not shut out because we can not look, for want of a descriptor say; whose file
                # is gone is: to see that takes none.
                self.unreadable[str(folder)] = _why(exc)
                self._files |= {
                    path: file for path, file in before.items() if path.parent == folder and _is_there(path)
                }
                continue
            for path in paths:
                self._files[path] = file = _look(role, path, before.get(path))
                if file.why:
                    self.unreadable[str(path)] = file.why
        owners = {self.own.public: self.own.owner}
        owners |= {file.key: file.owner for file in self._files.values() if file.owner}
        self._gone |= _but(self.owners, owners)
        self.owners = owners


@dataclass(frozen=True, slots=True)
class _File:
    """A file with a public key, as it was when it was read last."""

    mark: tuple[int, ...]
    """What shows that it has changed; nothing if it is to be read again in any case."""
    key: str = ""
    owner: Owner | None = None
    why: str = ""
    """It is of no use; empty if it is."""


def _look(role: Role, path: Path, before: _File | None) -> _File:
    """Return what is in a file now. What can not be read says nothing: then it counts as what it was before."""
    try:
        found = path.stat()
        mark = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        if before is not None and before.mark == mark:
            return before
        text = path.read_text(encoding="ascii", errors="replace")[:MAX_FILE_SIZE]
    except FileNotFoundError:
        return _File((), why="it is not there")  # it went just now, or is a link to nowhere
    except OSError as exc:
        known = before or _File(())
        return _File((), known.key, known.owner, _why(exc))
    try:
        return _File(mark, parse_public(text, str(path)), Owner(role, check_name(path.stem)))
    except SettingError as exc:
        return _File(mark, why=str(exc))


def _but(owners: dict[str, Owner], others: dict[str, Owner]) -> dict[str, Owner]:
    """Return the keys that are not the same owner's among others."""
    return {key: owner for key, owner in owners.items() if others.get(key) != owner}


def _names(folder: Path) -> list[Path]:
    """Return the files with public keys in a folder; raises OSError if there is one that can not be looked into."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def _is_there(path: Path) -> bool:
    """Say whether a file is there, as far as that can be known."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def _why(exc: OSError) -> str:
    return f"it can not be read: {exc.strerror}"


def read_secret(path: Path) -> SecretKey:
    """Return the pair in a file; raises SettingError if it can not be read or is none."""
    try:
        return parse_secret(path.read_text(encoding="ascii", errors="replace"), path.stat().st_mode, str(path))
    except OSError as exc:
        raise SettingError(f"can not read the key {path}: {exc.strerror}") from exc


def has_keys(folder: Path) -> bool:
    """Say whether a broker's key has been made there; raises SettingError if that can not be seen."""
    return exists(folder / OWN)


def what_is_there(folder: Path) -> Literal["all", "part", "none"]:
    """Say whether keys have been made there; part: others', or folders for them, without the broker's own.

    Raises:
        SettingError: that can not be seen.
    """
    if has_keys(folder):
        return "all"
    return "part" if any(exists(folder / name) for name in FOLDERS.values()) else "none"


def exists(path: Path) -> bool:
    """Say whether a file is there; raises SettingError if that can not be seen."""
    try:
        return path.exists()
    except OSError as exc:
        raise SettingError(f"can not look for {path}: {exc.strerror}") from exc


def listed(folder: Path) -> list[tuple[Owner, str]]:
    """Return whom the folder lets in, and with which public key.

    Raises:
        SettingError: a file holds no key, or can not be read.
    """
    try:
        return [
            (Owner(role, path.stem), parse_public(path.read_text(encoding="ascii", errors="replace"), str(path)))
            for role, name in FOLDERS.items()
            for path in _names(folder / name)
        ]
    except OSError as exc:
        raise SettingError(f"can not read {exc.filename}: {exc.strerror}") from exc


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
    """Let `owner` in no more; raises SettingError if there is no such key, or it can not be removed."""
    try:
        _public_file(folder, owner).unlink()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SettingError(f"there is no {owner} in {folder}") from exc
    except OSError as exc:
        raise SettingError(f"can not remove {exc.filename}: {exc.strerror}") from exc


def _own(folder: Path, make_pair: MakePair) -> SecretKey:
    if not has_keys(folder):
        if any(_names(folder / name) for name in FOLDERS.values()):
            # With a new one of ours, those who have keys would find a broker that is not theirs.
            raise SettingError(f"{folder} has others' keys and not the broker's own: put {OWN} back from a copy")
        # Beside it there may be the store: `parents` alone would let others look.
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        public, secret = make_pair()
        key = SecretKey(Owner(Role.BROKER, "broker"), public, secret, public)
        _write(folder / OWN, serialize_secret(key), 0o600)
    return read_secret(folder / OWN)


def _public_file(folder: Path, owner: Owner) -> Path:
    return folder / FOLDERS[owner.role] / (check_name(owner.name) + SUFFIX)


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that is there whole or not at all, and never overwrites one."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        # Not over a file that came meanwhile.
        os.link(part, path)
    except FileExistsError as exc:
        raise FileExistsError(exc.errno, exc.strerror, str(path)) from exc
    finally:
        part.unlink()
