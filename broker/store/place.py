"""Where a store is: in memory, in a file, or in a database; and which engine opens it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from tsudoi.protocol.errors import SettingError

from .interface import Store
from .memory import MemoryStore
from .sqlite import SqliteStore

_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database by its URL, which holds no password."""

    url: str

    def __str__(self) -> str:
        parts = split_url(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


StorePlace = Path | Database | None
"""The file of an SQLite store; None: memory."""


def parse_store(text: str) -> StorePlace:
    """Return the place in `sqlite:PATH`, `postgresql://…` or `memory`; raise SettingError for anything else."""
    if text == "memory":
        return None
    if text.startswith(_SCHEMES):
        return _parse_database(text)
    kind, _, path = text.partition(":")
    if kind != "sqlite" or not path or "\0" in path:
        raise SettingError(f"store {text!r} is none of memory, sqlite:PATH and postgresql://USER@HOST/DATABASE")
    if not Path(path).name:
        raise SettingError(f"store {text!r} names a folder, and no file")
    return Path(path)


def split_url(url: str) -> SplitResult:
    """Split a URL that may have several hosts; `urlsplit` of newer Pythons refuses brackets behind the first one."""
    scheme, _, rest = url.partition("://")
    end = min((rest.index(mark) for mark in "/?#" if mark in rest), default=len(rest))
    return urlsplit(f"{scheme}://{rest[end:]}")._replace(netloc=rest[:end])


def _parse_database(text: str) -> Database:
    try:
        parts = split_url(text)
    except ValueError as exc:
        raise SettingError(f"store {text!r} is no URL: {exc}") from exc
    if not parts.path.strip("/"):
        raise SettingError(f"store {text!r} names no database: write postgresql://USER@HOST/DATABASE")
    if ":" in parts.netloc.rpartition("@")[0] or "password=" in parts.query:
        raise SettingError("the store's URL has a password, which others can read: use PGPASSWORD or PGPASSFILE")
    for host in parts.netloc.rpartition("@")[2].split(","):
        try:
            _ = urlsplit(f"//{host}").port
        except ValueError as exc:
            raise SettingError(f"store {text!r}: {host} has no port of 0 to 65535 behind the colon") from exc
    return Database(text)


def open_store(place: StorePlace, durability: Literal["process", "full"], requires_synchronous: bool | None) -> Store:
    """Open a store; `durability` is for SQLite, `requires_synchronous` for PostgreSQL.

    Raises:
        SettingError: it can not be opened with these settings, or its driver is not installed.
        StoreInUse: another broker has it open.
    """
    if place is None:
        return MemoryStore()
    if isinstance(place, Path):
        return SqliteStore(place, durability)
    try:
        # Only here: it is an extra, and others need no driver in memory.
        from .postgres import PostgresStore
    except ImportError as exc:
        raise SettingError("a store in PostgreSQL needs asyncpg: pip install 'tsudoi[postgres]'") from exc
    return PostgresStore(place.url, requires_synchronous=requires_synchronous)
