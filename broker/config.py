"""The broker's settings, read once; nobody else looks at the environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tsudoi.ops.host_port import HostPort
from tsudoi.protocol.backbone import is_loopback, parse_to_bind
from tsudoi.protocol.errors import SettingError

MAX_SOCKET_PATH = 107
"""Bytes; unix(7)."""


@dataclass
class Limits:
    """Bounds of what the broker keeps and does at once. A reload changes them in place."""

    log_entries: int = 10_000
    """Entries that each room's log keeps at least; what is older goes, and a replay of it answers with a gap."""
    log_age_s: float = 86_400.0
    """Entries older than this go as well, but for a room's last."""
    replay_entries: int = 1_000
    """Entries in one answer to a replay; for more, the gateway asks again."""
    password_jobs: int = 64
    """Passwords that wait to be hashed; beyond that a request is answered busy."""
    news_high_water: int = 200_000
    """Frames of news that wait for one slow gateway; beyond that they are dropped for it alone: positions show it the
    gap, the log repairs it."""
    room_members: int = 100_000
    """Members of one room; who comes beyond that is refused."""
    rooms: int = 100_000
    """Rooms; beyond that none is created."""
    rooms_per_address: int = 0
    """Rooms whose hosts come from one IP address; 0: as many as there may be."""
    host_leaves: Literal["close", "inherit"] = "close"
    """What becomes of a room when its host leaves: it closes, or the member that was there longest is the host."""


@dataclass(frozen=True, slots=True)
class Config:
    """All of the command line."""

    bind: str
    """Where gateways come in. Over tcp the news go out one port further, over ipc at the path with `.pub`."""
    store_path: Path | None
    """The SQLite file; None: memory."""
    durability: Literal["process", "full"]
    limits: Limits
    keys: Path | None = None
    """The folder of those whose keys are let in at a tcp endpoint; None: everybody is."""
    exit_with_parent: bool = False
    """Stop when standard input ends: for a broker that a gateway started."""
    http: HostPort | None = None
    """Where health and metrics are served."""
    log_level: str = "info"
    admin: str | None = None
    """Where operators connect; None: nowhere."""
    persistent: tuple[str, ...] = ()
    """Rooms that there always are, in normal form."""


def choose_keys(bind: str, folder: Path, found: Literal["all", "part", "none"], given: bool) -> Path | None:
    """Return the folder whose keys guard a tcp `bind`, None if everybody who reaches it is let in.

    Args:
        bind: where the broker listens.
        folder: where its keys are, if they have been made.
        found: whether they have been; part: there is a place for others' keys, and not the broker's own.
        given: the operator has named the folder.

    Raises:
        SettingError: there should be keys and there are none, or other machines could come, and nobody said that this
            is meant.
    """
    if found == "all":
        return folder
    if found == "part":
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


def parse_admin(text: str) -> str | None:
    """Return where operators connect, None for `none`; raises SettingError if it is neither that nor an endpoint."""
    return None if text == "none" else parse_bind(text)


def admin_beside(store: Path | None) -> str | None:
    """Return where operators connect if nothing else is said: a socket beside the store, named after it.

    A socket's path has a limit; None if there is no store, or no short enough way to write its place.
    """
    if store is None:
        return None
    for path in (store, Path(os.path.relpath(store))):
        if len(os.fsencode(f"{path}.admin")) <= MAX_SOCKET_PATH:
            return f"ipc://{path}.admin"
    return None


def parse_store(text: str) -> Path | None:
    """Return the path in `sqlite:PATH`, None for `memory`; raises SettingError for anything else."""
    if text == "memory":
        return None
    kind, _, path = text.partition(":")
    if kind != "sqlite" or not path or "\0" in path:
        raise SettingError(f"store {text!r} is neither memory nor sqlite:PATH")
    if not Path(path).name:
        raise SettingError(f"store {text!r} names a folder, and no file")
    return Path(path)


def parse_bind(text: str) -> str:
    """Return a tcp:// or ipc:// endpoint as it came; raises SettingError for anything else."""
    return parse_to_bind(text)
