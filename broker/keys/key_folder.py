"""The broker's folder of keys: its own pair, and the public keys of gateways and operators.

broker.key              its own, mode 0600
gateways/NAME.pub       gateways that are let in
operators/NAME.pub      operators that are let in
"""

import os
from enum import StrEnum
from pathlib import Path

import zmq  # noqa: TID251 - for its keys alone

from tsudoi.ops.is_there import is_there
from tsudoi.ops.keyfiles import (
    Owner,
    Role,
    SecretKey,
    check_name,
    parse_public,
    parse_secret,
    serialize_secret,
)
from tsudoi.ops.new_file import new_file
from tsudoi.protocol.backbone import is_loopback
from tsudoi.protocol.errors import SettingError

FOLDERS = {Role.GATEWAY: "gateways", Role.OPERATOR: "operators"}
OWN = "broker.key"
SUFFIX = ".pub"


def make_pair() -> tuple[str, str]:
    """Return a fresh pair: (public, secret)."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def read_secret(path: Path) -> SecretKey:
    """Return the pair in a file, or raise SettingError."""
    try:
        return parse_secret(_text(path), path.stat().st_mode, str(path))
    except OSError as exc:
        raise SettingError(f"can not read the key {path}: {exc.strerror}") from exc


def choose(bind: str, folder: Path, given: bool) -> Path | None:
    """Return the folder whose keys guard a tcp `bind`, None if every connection is let in.

    `given`: the operator has named the folder.

    Raises:
        SettingError: keys are missing that the operator expects; or other machines could connect without any, and the
            operator has not allowed that.
    """
    if exists(folder / OWN):
        return folder
    if any(exists(folder / name) for name in FOLDERS.values()):
        raise SettingError(
            f"{folder} has a place for others' keys and not the broker's own, broker.key: put it back from a copy of"
            " the folder, or begin with a new folder"
        )
    if not given and is_loopback(bind):
        return None
    why = "--keys names a folder without keys" if given else f"{bind} is open to other machines, and there are no keys"
    raise SettingError(
        f"{why}, {folder}: make them with python -m broker keys add NAME, or give --insecure if everybody who reaches"
        " the port may read and write all"
    )


def exists(path: Path) -> bool:
    """Return whether a file is there; raise SettingError if that can not be seen."""
    try:
        return is_there(path)
    except OSError as exc:
        raise SettingError(f"can not look for {path}: {exc.strerror}") from exc


def listed(folder: Path) -> list[tuple[Owner, str]]:
    """Return all public keys in the folder with their owners; raise SettingError if a file can not be used."""
    try:
        return [
            (Owner(role, path.stem), parse_public(_text(path), str(path)))
            for role, name in FOLDERS.items()
            for path in public_files(folder / name)
        ]
    except OSError as exc:
        raise SettingError(f"can not read {exc.filename}: {exc.strerror}") from exc


def add(folder: Path, owner: Owner, out: Path) -> None:
    """Make a pair for `owner`, and the broker's own if need be: the secret goes to `out`, the public key to the folder.

    Raises:
        SettingError: the owner has a key already, or a file can not be written.
    """
    try:
        public_file = _public_file(folder, owner)
        if not out.parent.is_dir():
            raise SettingError(f"can not write {out}: its folder is not there")
        if os.path.lexists(out) and not is_there(public_file):
            raise SettingError(f"{out} is there already, and may be a key in use: name another --out, or move it away")
        own = _own(folder)
        if is_there(public_file):
            raise SettingError(f"there is a {owner} already; python -m broker keys remove {owner.name} takes it away")
        public_file.parent.mkdir(mode=0o700, exist_ok=True)
        public, secret = make_pair()
        _write(out, serialize_secret(SecretKey(owner, public, secret, own.public)), 0o600)
        # Last, so that a key is let in only when its secret file is complete.
        _write(public_file, public + "\n", 0o644)
    except OSError as exc:
        raise _not_written(exc, out) from exc


def make_own(folder: Path, public: Path | None) -> None:
    """Make the broker's own key if there is none; write its public half for `make`; or raise SettingError."""
    try:
        own = _own(folder)
        if public is not None:
            _publish(own.public, public)
    except OSError as exc:
        raise _not_written(exc, public or folder) from exc


class Existing(StrEnum):
    """What `make` does if there is a secret key already."""

    REFUSE = "refuse"
    KEEP = "keep"
    """Nothing: a key that was removed stays removed."""
    AGAIN = "again"
    """Give away its public half once more, so that a removed key is let in again."""
    REPLACE = "replace"
    """Make another key."""


def make(owner: Owner, broker: Path, out: Path, public: Path, existing: Existing) -> SecretKey:
    """Make a pair for `owner` where it runs, and return it: the secret goes to `out`, the public key to `public`.

    Only public keys leave this machine or container: the broker's, in the file `broker`, and this one.

    Raises:
        SettingError: a file can not be read or written, or there is a key already.
    """
    try:
        if existing is Existing.REFUSE and exists(out):
            raise SettingError(f"{out} is there already: --again lets its key in, --replace makes another")
        found = read_secret(out) if exists(out) else None
        if found is not None and found.owner != owner:
            raise SettingError(f"{out} is the key of {found.owner}, and not of {owner}")
        if found is not None and existing is Existing.KEEP:
            return found
        if found is None or existing is Existing.REPLACE:
            brokers = parse_public(_text(broker), str(broker))
            found = SecretKey(owner, *make_pair(), brokers)
            # First the old key is let in no more; the new one is when its secret file is complete.
            public.unlink(missing_ok=True)
            if existing is Existing.REPLACE:
                out.unlink(missing_ok=True)
            _write(out, serialize_secret(found), 0o600)
        public.parent.mkdir(mode=0o755, exist_ok=True)
        _publish(found.public, public)
    except FileExistsError as exc:
        raise _not_written(exc, out) from exc
    except OSError as exc:
        raise SettingError(f"{exc.filename}: {exc.strerror}") from exc
    return found


def remove(folder: Path, owner: Owner) -> None:
    """Remove the key of `owner`; raise SettingError if there is none, or it can not be removed."""
    try:
        _public_file(folder, owner).unlink()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SettingError(f"there is no {owner} in {folder}") from exc
    except OSError as exc:
        raise SettingError(f"can not remove {exc.filename}: {exc.strerror}") from exc


def _own(folder: Path) -> SecretKey:
    if not exists(folder / OWN):
        if any(public_files(folder / name) for name in FOLDERS.values()):
            # Gateways with keys expect the broker's old one.
            raise SettingError(f"{folder} has others' keys and not the broker's own: put {OWN} back from a copy")
        # The store may be in the parent folder: `mkdir(parents=True)` alone would let other users read it.
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        public, secret = make_pair()
        key = SecretKey(Owner(Role.BROKER, "broker"), public, secret, public)
        _write(folder / OWN, serialize_secret(key), 0o600)
    return read_secret(folder / OWN)


def _public_file(folder: Path, owner: Owner) -> Path:
    return folder / FOLDERS[owner.role] / (check_name(owner.name) + SUFFIX)


def _publish(key: str, path: Path) -> None:
    """Write a public key to its file, unless it is there."""
    if not is_there(path) or path.read_text() != key + "\n":
        path.unlink(missing_ok=True)
        _write(path, key + "\n", 0o644)


def _text(path: Path) -> str:
    return path.read_bytes().decode("ascii", "replace")


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file, completely or not at all; never replace one."""
    with new_file(path, mode) as unfinished:
        unfinished.write_text(text, encoding="ascii")


def _not_written(error: OSError, path: Path) -> SettingError:
    """Return the error with the name of its file, or of `path`."""
    where = error.filename or path
    if isinstance(error, FileExistsError):
        # A folder is made unless there is one, so what is there is no folder; a file came meanwhile.
        return SettingError(f"{where} is there already, and in the way: move it, or name another place")
    return SettingError(f"can not write {where}: {error.strerror}")


def public_files(folder: Path) -> list[Path]:
    """Return the files with public keys in a folder, or raise OSError."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return []
