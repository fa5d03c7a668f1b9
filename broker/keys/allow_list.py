"""The allow list: the keys that may connect to tcp ports, read again from the folder of keys while the broker runs."""

from dataclasses import dataclass
from pathlib import Path

from tsudoi.ops.is_there import is_there
from tsudoi.ops.keyfiles import MAX_FILE_SIZE, Owner, Role, check_name, parse_public
from tsudoi.protocol.errors import SettingError

from .key_folder import FOLDERS, OWN, public_files, read_secret


@dataclass(frozen=True, slots=True)
class Changes:
    """How the allow list has changed."""

    added: dict[str, Owner]
    removed: dict[str, Owner]
    """By public key, like `added`; a key with another owner than before is in both."""
    unreadable: dict[str, str]
    """Files that have become unusable → why."""


class AllowList:
    """The keys that are let in; `refresh` reads the folder again."""

    def __init__(self, folder: Path) -> None:
        """Read the folder; raise SettingError if the broker's own key can not be used."""
        self._folder = folder
        self.own = read_secret(folder / OWN)
        self._files: dict[Path, _File] = {}
        self.owners: dict[str, Owner] = {}
        """Public key → owner."""
        self.unreadable: dict[str, str] = {}
        """Files and folders that can not be read → why. Their keys stay as they were."""
        self._reported: tuple[dict[str, Owner], dict[str, str]] = {}, {}
        self._gone: dict[str, Owner] = {}
        """Keys that were let in at some time since the last `refresh`, and are no more."""
        self.refresh()

    def find(self, public: str) -> Owner | None:
        """Return the owner of a key, None if it is not let in; read the folder again if the key is unknown."""
        if public not in self.owners:
            self._read()
        return self.owners.get(public)

    def refresh(self) -> Changes:
        """Read the folder again; return the changes since the last call."""
        self._read()
        (owners, unreadable), self._reported = self._reported, (self.owners, self.unreadable)
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
                paths = public_files(folder)
            except OSError as exc:
                # Keys stay let in if the folder can not be read, for example without a free descriptor, unless their
                # file is gone: to see that takes no descriptor.
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
    """A file with a public key, as it was last read."""

    mark: tuple[int, ...]
    """Inode, times and size, to see that the file has changed; empty: read it again."""
    key: str = ""
    owner: Owner | None = None
    why: str = ""
    """Why it can not be used; empty if it can."""


def _look(role: Role, path: Path, before: _File | None) -> _File:
    """Return the content of a file. If it can not be read, it counts as what it was before."""
    try:
        found = path.stat()
        mark = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        if before is not None and before.mark == mark:
            return before
        with path.open("rb") as file:
            text = file.read(MAX_FILE_SIZE).decode("ascii", "replace")
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
    """Return the keys that have another owner, or none, in `others`."""
    return {key: owner for key, owner in owners.items() if others.get(key) != owner}


def _is_there(path: Path) -> bool:
    """Return whether a file is there; True if that can not be seen."""
    try:
        return is_there(path)
    except OSError:
        return True


def _why(exc: OSError) -> str:
    return f"it can not be read: {exc.strerror}"
