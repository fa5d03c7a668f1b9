"""The broker's settings, read once; nobody else looks at the environment."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from protocol.errors import SettingError


@dataclass(frozen=True)
class Limits:
    """Bounds of what the broker keeps and does at once."""

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


@dataclass(frozen=True, slots=True)
class Config:
    """All of the command line."""

    bind: str
    """Where gateways' commands come in; the news go out one port further (or at the path with `.pub`)."""
    store_path: Path | None
    """The SQLite file; None: memory."""
    durability: Literal["process", "full"]
    limits: Limits
    exit_with_parent: bool = False
    """Stop when standard input ends: for a broker that a gateway started."""


def parse_store(text: str) -> Path | None:
    """Return the path in `sqlite:PATH`, None for `memory`; raises SettingError for anything else."""
    if text == "memory":
        return None
    kind, _, path = text.partition(":")
    if kind != "sqlite" or not path:
        raise SettingError(f"store {text!r} is neither memory nor sqlite:PATH")
    return Path(path)


def parse_bind(text: str) -> str:
    """Return a tcp:// or ipc:// endpoint as it came; raises SettingError for anything else."""
    if text.startswith("ipc://") and len(text) > len("ipc://"):
        if len(text.encode()) > 100:
            raise SettingError(f"the path in {text} is too long for a socket: at most 90 bytes")
        return text
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if not text.startswith("tcp://") or not host or not re.fullmatch("[0-9]{1,5}", port):
        raise SettingError(f"{text!r} is not tcp://HOST:PORT or ipc://PATH")
    if int(port) > 65534:
        raise SettingError(f"{text!r} leaves no port for the news: they go out at the next one")
    return text
