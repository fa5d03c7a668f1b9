"""The broker's settings. A reload changes `Limits` in place; the rest of `Config` needs a restart."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.settings import http_setting, log_format_setting, log_level_setting, setting
from tsudoi.protocol.backbone import parse_to_bind, parse_to_connect
from tsudoi.protocol.names import room_name

from .store.place import StorePlace, parse_store

MAX_SOCKET_PATH = 107
"""Bytes; unix(7)."""


def parse_admin(text: str) -> str:
    """Return an endpoint or `none` unchanged; raise SettingError for anything else."""
    return text if text == "none" else parse_to_bind(text)


@dataclass
class Limits:
    """Bounds of what the broker keeps and does at once."""

    log_entries: int = setting(10_000, "Messages and events that each room's log keeps at least.")
    log_age_s: float = setting(
        86_400.0, "Seconds after which log entries are deleted too, but for a room's last.", metavar="SECONDS"
    )
    replay_entries: int = 1_000
    """Entries in one answer to a replay; the gateway asks for the rest."""
    password_jobs: int = 64
    """Passwords of one gateway's key that wait to be hashed; beyond that a request is answered busy."""
    room_members: int = setting(100_000, "Members of one room; more are refused.")
    rooms: int = setting(100_000, "Rooms of one broker; more are refused.")
    rooms_per_address: int = setting(
        0, "Rooms whose hosts come from one IP address; `0`: as many as `--rooms`.", at_least=0
    )
    host_leaves: Literal["close", "inherit"] = setting(
        "close", "What a host's leaving does: `close` the room, or `inherit`: the member that joined first is the host."
    )
    news_high_water: int = setting(
        200_000,
        "Frames that wait for one slow gateway. More are dropped for it alone; it then reads the log.",
        metavar="FRAMES",
    )


@dataclass(frozen=True)
class Config:
    """The whole command line."""

    bind: str = setting(
        "tcp://127.0.0.1:9003",
        "Where gateways connect: `tcp://HOST:PORT`, with the next port too (0: any two), or on one machine `ipc://PATH`.",
        parse=parse_to_bind,
        metavar="ENDPOINT",
    )
    advertise: str | None = setting(
        None,
        "Where gateways of other machines reach this broker, if several share a database: `tcp://HOST:PORT`."
        " Without it, `--bind`, with the machine's host name if that is all addresses. Operators get the same host.",
        parse=parse_to_connect,
        metavar="ENDPOINT",
    )
    store: StorePlace = setting(
        "sqlite:data/tsudoi.sqlite",
        "Where rooms, members and logs are kept: a file; `postgresql://USER@HOST/DATABASE`, with the password in"
        " `PGPASSWORD` or `PGPASSFILE`; or `memory`, only as long as this process lives.",
        parse=parse_store,
        metavar="PLACE",
    )
    durability: Literal["process", "full"] = setting(
        "process",
        "What accepted messages survive: `process`, that the broker is killed; `full`, a power cut too (each batch is"
        " synced to the disk). For a file only.",
    )
    require_synchronous: bool = setting(
        False,
        "Refuse to serve while no synchronous standby of the database keeps each accepted message, too. Several brokers"
        " that share a database always do.",
    )
    allow_asynchronous: bool = setting(
        False, "Let several brokers share a database that has no synchronous standby: its loss loses messages."
    )
    limits: Limits = field(default_factory=Limits)
    keys_folder: Path = setting(
        Path("data/keys"),
        "The folder with the broker's key and the public keys of gateways and operators (`python -m broker keys`). If"
        " it is there, tcp is encrypted, and connections with other keys are refused.",
        flag="--keys",
        is_folder=True,
    )
    insecure: bool = setting(
        False,
        "Use no keys: any program that reaches the tcp ports can read and change everything.",
        envvar="TSUDOI_BROKER_INSECURE",
    )
    persistent: tuple[str, ...] = setting(
        (), "A room that always exists and has no host; may be given several times.", parse=room_name, metavar="ROOM"
    )
    admin_given: str | None = setting(
        None,
        "Where operators connect (`python -m broker admin`): `ipc://PATH`, `tcp://HOST:PORT` (with an operator's key,"
        " unless it is on this machine) or `none`. Without it, a socket beside the store.",
        flag="--admin",
        parse=parse_admin,
        metavar="ENDPOINT",
    )
    http: HostPort | None = http_setting(envvar="TSUDOI_BROKER_HTTP")
    log_level: logs.Level = log_level_setting()
    log_format: logs.Format = log_format_setting()
    exit_with_parent: bool = setting(
        False, "Stop when standard input ends: for a broker that another program starts.", is_hidden=True
    )
    keys: Path | None = None
    """`keys_folder` if its keys are used; None: every connection is let in."""
    overridden: tuple[str, ...] = ()
    """Settings in the configuration file that a flag or a variable overrides, by flag."""
    unused: tuple[tuple[str, str], ...] = ()
    """Of a gateway's own broker: settings of the environment or the file, and the gateway's flag that wins."""

    @property
    def requires_standby(self) -> bool | None:
        """Whether each accepted message must be on a synchronous standby, too; None: if several brokers share it."""
        return True if self.require_synchronous else False if self.allow_asynchronous else None

    @property
    def admin(self) -> str | None:
        """Where operators connect; None: nowhere."""
        if self.admin_given is None:
            return admin_beside(self.store)
        return None if self.admin_given == "none" else self.admin_given


def why_nowhere(config: Config) -> str:
    """Return why `Config.admin` is None, and what to do about it."""
    if config.admin_given is not None:
        return "--admin none: name where the broker listens for operators, --admin ENDPOINT"
    if isinstance(config.store, Path):
        return f"{config.store} has too long a path for a socket beside it: give the broker, and this, --admin ENDPOINT"
    return "name the broker's --store, or where it listens for operators: --admin ENDPOINT"


def admin_beside(store: StorePlace) -> str | None:
    """Return the operators' endpoint, a socket beside the store; None if that is no file, or its path is too long."""
    if not isinstance(store, Path):
        return None
    for path in (store, Path(os.path.relpath(store))):
        if len(os.fsencode(f"{path}.admin")) <= MAX_SOCKET_PATH:
            return f"ipc://{path}.admin"
    return None
