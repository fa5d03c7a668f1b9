"""The gateway's settings, read once; nobody else looks at the environment."""

import ipaddress
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.ops.keyfiles import Role, SecretKey, parse_secret
from tsudoi.protocol.backbone import is_loopback
from tsudoi.protocol.backbone.stream import STREAM
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.errors import SettingError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))

_DOOR_OPTIONS: dict[str, dict[str, Any]] = {
    "commands": {"on": True, "off": False},
    "notices": {"on": True, "off": False},
    "language": {"en": "en", "ja": "ja"},
}
_PORT = re.compile("[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Door:
    """Where clients come in."""

    host: str
    port: int
    dialect: str = AUTO
    """Of a TCP door: what its clients speak, or `auto`."""
    commands: bool | None = None
    """Of a TCP door, like the next two: see `Settings`, whose value holds if this is None."""
    notices: bool | None = None
    language: Literal["en", "ja"] | None = None
    tls: bool = False
    """Of a TCP door: its clients speak TLS first."""

    @property
    def kind(self) -> str:
        """What a TCP door is called."""
        return "tls" if self.tls else "tcp"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Listener = Door


@dataclass
class Settings:
    """What the gateway's decisions depend on. All parts look into the same object, so a reload changes it in place."""

    idle_timeout_s: float = 100.0
    """A member that is not heard for so long is removed."""
    check_ip: Literal["strict", "off"] = "strict"
    """strict: datagrams come from the host of the handshake, unless that has been silent for `move_after_s`."""
    move_after_s: float = 30.0
    """How long an address must have been silent before another host may take its place."""
    payload_limit: int = 65_536
    """Bytes of payload that a request may really have."""
    backlog: int = 100
    """Messages that wait for a member whose address is not known yet."""
    history: int = 0
    """Messages of before it joined that a new member hears first; the documented behaviour is none."""
    replay_rate: float = 5_000.0
    """Entries a second that a member is told of what it has missed, in the long run; half of that at once."""
    rate: float = 1_000.0
    """Messages a second from one member, in the long run."""
    burst: float = 2_000.0
    """Messages from one member at once."""
    unaccepted: int = 20_000
    """Messages that wait for the broker; beyond that new ones are dropped and counted."""
    request_timeout_s: float = 3.0
    """How long a client waits for the broker before it is told to try again."""
    first_byte_s: float = 300.0
    """How long a connection may say nothing; people type their names meanwhile."""
    request_s: float = 10.0
    """How long a request may take from its first byte to its last."""
    auth: Literal["off", "optional", "required"] = "off"
    """Whether a signed token may, or must, stand for a name; off without a key to check it with."""
    connections: int = 4_096
    """TCP connections at once; beyond that the one that has been silent for longest is closed, or the new one."""
    address_connections: int = 256
    """TCP connections from one address at once; beyond that a new one is closed at once."""
    address_rate: float = 50.0
    """TCP connections a second from one address, in the long run; ten seconds' worth at once. What a refused client
    asks again on its connection counts like another."""
    address_members: int = 1_000
    """Members here whose handshakes came from one address."""
    address_messages: float = 5_000.0
    """Messages a second of all of those, in the long run; two seconds' worth at once."""
    create_rate: float = 5.0
    """Rooms a second from one address, likewise."""
    password_tries: int = 5
    """Wrong passwords from one address before it has to wait, twice as long after each further one."""
    room_password_rate: float = 1.0
    """Wrong passwords a second that may be tried in one room from anywhere, in the long run; a minute's at once."""
    guess_rate: float = 100.0
    """Tokens a second from one address that the directory is asked about though it does not know them; twenty seconds'
    worth at once."""
    room_rate: float = 5_000.0
    """Messages a second in one room from members here, in the long run; two seconds' worth at once."""
    unlimited: tuple[Network, ...] = LOOPBACK
    """Networks whose addresses are not limited one by one."""
    commands: bool = True
    """A text that begins with a slash is a command; else it is said like any other."""
    notices: bool | None = None
    """Members are told who comes, goes and so on; None: as their dialect has it."""
    language: Literal["en", "ja"] = "en"
    """What the server's own words are in."""

    def options(self, door: Door, dialect: Dialect) -> MemberOptions:
        """Return how members are served who come in at a door and speak a dialect."""
        commands = self.commands if door.commands is None else door.commands
        notices = self.notices if door.notices is None else door.notices
        if notices is None:
            notices = dialect.notices
        options = MemberOptions(0)
        if commands:
            options |= MemberOptions.COMMANDS
        if notices:
            options |= MemberOptions.NOTICES
        if (door.language or self.language) == "ja":
            options |= MemberOptions.JAPANESE
        return options


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificate for TLS doors lies, PEM."""

    certificate: Path
    """With those that lead to the authority behind it."""
    key: Path


@dataclass(frozen=True, slots=True)
class Inherited:
    """Descriptors of the sockets that a worker gets from who started it, one a door."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]
    steered: int
    """How many workers tokens are to lead to; 1: datagrams do not go by tokens here."""

    def __str__(self) -> str:
        return "/".join(",".join(map(str, numbers)) for numbers in (self.tcp, self.udp, (self.steered,)))


def parse_inherited(text: str) -> Inherited:
    """Return what `str` made of them; raises SettingError if it is something else."""
    try:
        tcp, udp, (steered,) = (tuple(int(n) for n in part.split(",") if n) for part in text.split("/"))
    except ValueError:
        raise SettingError(f"{text!r} is no list of descriptors") from None
    return Inherited(tcp, udp, steered)


@dataclass(frozen=True, slots=True)
class Config:
    """All of the command line."""

    tcp: tuple[Door, ...]
    """The plain ones, then those with TLS."""
    udp: tuple[Door, ...]
    broker: str | None
    """Endpoint of a running broker; None: start one of our own."""
    data: Path
    """Where a broker of our own keeps its store."""
    http: HostPort | None
    name: str
    auth_key: Path | None = None
    """File with the keys that tokens are signed with."""
    key: SecretKey | None = None
    """What the broker is shown; None: nothing is encrypted on the way to it."""
    tls: TlsFiles | None = None
    """Not None if there are TLS doors."""
    settings: Settings = field(default_factory=Settings)
    log_level: str = "info"
    log_format: Literal["human", "json"] = "human"
    file: Path | None = None
    """The configuration file, which a broker of our own reads too."""
    workers: int = 1
    """Processes that do this, on the same ports."""
    inherited: Inherited | None = None
    """Set in one that another has started."""


def parse_door(text: str, dialects: bool) -> Door:
    """Return the door in HOST:PORT or, if `dialects` are allowed, HOST:PORT=DIALECT,OPTION=VALUE…; [HOST] for IPv6.

    Raises:
        SettingError: it is not that; the text says what is wrong.
    """
    listener, *options = text.split(",")
    place, equals, dialect = listener.partition("=")
    if (equals or options) and not dialects:
        raise SettingError(f"{text!r}: only a TCP door has {'a dialect' if equals else 'options'}")
    dialect = dialect if equals else AUTO
    if dialect != AUTO and dialect not in DIALECTS:
        raise SettingError(f"there is no dialect {dialect!r}; there are auto, {', '.join(DIALECTS)}")
    where = parse_host_port(place)
    return replace(Door(where.host, where.port, dialect), **dict(_parse_option(option) for option in options))


def _parse_option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    values = _DOOR_OPTIONS.get(name)
    if values is None:
        raise SettingError(f"{text!r} is no option of a door; there are {', '.join(_DOOR_OPTIONS)}")
    if value not in values:
        raise SettingError(f"{text!r}: {name} is {' or '.join(values)}")
    return name, values[value]


def parse_broker(text: str) -> str:
    """Return the broker's endpoint as it came; raises SettingError if it is not tcp://HOST:PORT or a socket's path."""
    if text.startswith(("ipc://", STREAM)) and not text.endswith("//"):
        return text
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if not text.startswith("tcp://") or not host or not _PORT.fullmatch(port) or not 0 < int(port) < 65535:
        raise SettingError(f"{text!r} is not tcp://HOST:PORT, ipc://PATH or unix://PATH")
    return text


def parse_network(text: str) -> Network:
    """Return an IP network or address; raises SettingError if it is none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingError(f"{text!r} is no network: 192.0.2.0/24, or an address") from None


def choose_key(broker: str | None, path: Path | None, name: str, insecure: bool) -> SecretKey | None:
    """Return the key to show the broker, None if nothing is encrypted on the way to it.

    Args:
        broker: its endpoint; None for one of our own.
        path: the key's file, if there is one.
        name: of this gateway.
        insecure: the operator says that the way may be read by others.

    Raises:
        SettingError: the key can not be used, or there is none where one is needed, or one where none is used.
    """
    if path is not None and insecure:
        raise SettingError("--key and --insecure (TSUDOI_KEY, TSUDOI_INSECURE) contradict each other: give one")
    if path is not None and (broker is None or not broker.startswith("tcp://")):
        raise SettingError(
            f"--key (TSUDOI_KEY) is for a broker at tcp://HOST:PORT, and not for {broker or 'one of our own'}"
        )
    if broker is None or not broker.startswith("tcp://") or insecure:
        return None
    if path is None:
        if is_loopback(broker):
            return None
        raise SettingError(f"{broker} is another machine: give --key FILE, or --insecure if the way there is safe")
    try:
        key = parse_secret(path.read_text(encoding="ascii", errors="replace"), path.stat().st_mode, str(path))
    except OSError as exc:
        raise SettingError(f"can not read the key {path}: {exc.strerror}") from exc
    if key.owner.role is not Role.GATEWAY:
        raise SettingError(f"{path} is the key of {key.owner}, and no gateway's")
    if not key.owner.may_be_called(name):
        raise SettingError(f"{path} is the key of {key.owner}, so --name can not be {name}")
    return key


def parse_name(text: str) -> str:
    """Return a gateway's name as it came; raises SettingError if it has what names may not have."""
    if len(text) > 64 or not text.isascii() or not text.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise SettingError(f"{text!r} is no name: letters, digits, '-', '_' and '.', 64 at most")
    return text
