"""Define the gateway's settings: flags, environment variables and the configuration file end in one `Config`.

`Settings` are what its decisions depend on; a reload changes them in place. The rest of `Config` needs a restart.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.ops.keyfiles import SecretKey
from tsudoi.ops.settings import http_setting, log_format_setting, log_level_setting, setting
from tsudoi.protocol.backbone import MAX_IDLE_MS, parse_to_connect
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.errors import SettingError
from tsudoi.server_address import Server

from .web.origins import parse_origin

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LISTENER_OPTIONS: dict[str, dict[str, Any]] = {
    "commands": {"on": True, "off": False},
    "notices": {"on": True, "off": False},
    "language": {"en": "en", "ja": "ja"},
}


@dataclass(frozen=True, slots=True)
class Listener(HostPort):
    """An address where clients connect or send datagrams, and how its clients are served."""

    dialect: str = AUTO
    """TCP only: the dialect of its clients, or `auto`."""
    commands: bool | None = None
    """TCP only, like the next two; None: as `Settings` has it."""
    notices: bool | None = None
    language: Literal["en", "ja"] | None = None
    tls: bool = False
    """TCP only: its clients speak TLS."""

    @property
    def kind(self) -> str:
        """What the `ready` line calls a TCP listener."""
        return "tls" if self.tls else "tcp"


def parse_listener(text: str, takes_options: bool = True, tls: bool = False) -> Listener:
    """Return the listener in HOST:PORT or, if it `takes_options`, HOST:PORT=DIALECT,OPTION=VALUE…; [HOST] for IPv6.

    Raises:
        SettingError: the text is something else; it says what is wrong.
    """
    address, *options = text.split(",")
    address, equals, dialect = address.partition("=")
    if (equals or options) and not takes_options:
        raise SettingError(f"{text!r}: only a TCP listener has {'a dialect' if equals else 'options'}")
    dialect = dialect if equals else AUTO
    if dialect != AUTO and dialect not in DIALECTS:
        raise SettingError(f"there is no dialect {dialect!r}; there are auto, {', '.join(DIALECTS)}")
    place = parse_host_port(address)
    listener = Listener(place.host, place.port, dialect, tls=tls)
    return replace(listener, **dict(_parse_listener_option(option) for option in options))


def _parse_listener_option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    values = _LISTENER_OPTIONS.get(name)
    if values is None:
        raise SettingError(f"{text!r} is no option of a listener; there are {', '.join(_LISTENER_OPTIONS)}")
    if value not in values:
        raise SettingError(f"{text!r}: {name} is {' or '.join(values)}")
    return name, values[value]


@dataclass(frozen=True, slots=True)
class WebhookListener(HostPort):
    """An address where programs post by HTTP."""

    tls: bool = False
    """Its clients speak TLS."""

    kind = "webhook"
    """What the `ready` line calls it."""


def parse_webhook(text: str) -> WebhookListener:
    """Return the listener in HOST:PORT or HOST:PORT,tls=on; raise SettingError if the text is something else."""
    address, *options = text.split(",")
    if options not in ([], ["tls=on"], ["tls=off"]):
        raise SettingError(f"{text!r}: the one option of a webhook's listener is tls=on")
    place = parse_host_port(address)
    return WebhookListener(place.host, place.port, options == ["tls=on"])


@dataclass(frozen=True, slots=True)
class WebListener(HostPort):
    """An address for browsers: the page, and members by WebSocket."""

    tls: bool = False
    """Its clients speak TLS."""

    kind = "web"
    """What the `ready` line calls it."""

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        place = HostPort(everywhere.get(self.host, self.host), self.port)
        return f"http{'s' * self.tls}://{place}"


def parse_web(text: str) -> WebListener | None:
    """Return the listener in HOST:PORT or HOST:PORT,tls=on, None for `off`; raise SettingError for other texts."""
    if text == "off":
        return None
    address, *options = text.split(",")
    if options not in ([], ["tls=on"], ["tls=off"]):
        raise SettingError(f"{text!r}: the one option of a web listener is tls=on")
    place = parse_host_port(address)
    return WebListener(place.host, place.port, options == ["tls=on"])


WEB_PORT = WebListener("127.0.0.1", 9080)
"""Where the service of one command has its web listener, if `--web` does not say."""


def parse_server(text: str) -> str:
    """Return the address of a gateway, as clients find it, in full; raise SettingError if it is none."""
    try:
        return str(Server.parse(text))
    except ValueError as exc:
        raise SettingError(str(exc)) from None


def parse_network(text: str) -> Network:
    """Return an IP network or address; raise SettingError if the text is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingError(f"{text!r} is no network: 192.0.2.0/24, or an address") from None


def parse_name(text: str) -> str:
    """Return a gateway's name unchanged; raise SettingError if it has other characters than names may have."""
    if len(text) > 64 or not text.isascii() or not text.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise SettingError(f"{text!r} is no name: letters, digits, '-', '_' and '.', 64 at most")
    return text


def _or_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: parse(text) if text else ""


@dataclass
class Settings:
    """What the gateway's decisions depend on. All parts hold the same object, so that a reload changes it in place."""

    idle_timeout_s: float = setting(
        100.0,
        "Seconds without a datagram after which a member is removed; if it is the host, its room closes.",
        at_least=0.5,
        at_most=MAX_IDLE_MS / 1000,
        metavar="SECONDS",
    )
    check_ip: Literal["strict", "off"] = setting(
        "strict",
        "`strict`: datagrams must come from the host of the member's handshake (all loopback addresses are one host);"
        " `off`: the token is enough.",
    )
    move_after_s: float = setting(
        30.0,
        "With `strict`: seconds of silence after which another host that has the token takes the member over.",
        at_least=0,
        metavar="SECONDS",
    )
    payload_limit: int = setting(
        65_536,
        "Bytes of the longest payload of a request, whatever its header announces.",
        at_least=64,
        at_most=2**24,
        metavar="BYTES",
    )
    backlog: int = setting(
        100,
        "Messages that are kept for a member whose UDP address is not known yet.",
        at_least=0,
        at_most=10_000,
        metavar="MESSAGES",
    )
    history: int = setting(
        0,
        "The room's last messages that a new member gets first.",
        at_least=0,
        at_most=200,
        metavar="MESSAGES",
    )
    replay_rate: float = setting(
        2_000.0,
        "Late messages a second that are sent to one member, after a gap or a pause; 100 at once, or what 20 ms allow.",
        metavar="PER_SECOND",
    )
    rate: float = setting(
        1_000.0,
        "Messages a second from one member, in the long run; more are dropped.",
        at_least=0.1,
        metavar="PER_SECOND",
    )
    burst: float = setting(2_000.0, "Messages from one member at once.", metavar="MESSAGES")
    room_rate: float = setting(
        5_000.0,
        "Messages a second in one room from all members here, in the long run; twice as many at once.",
        metavar="PER_SECOND",
    )
    unaccepted: int = setting(
        20_000, "Messages that wait while the broker is away; more are dropped.", metavar="MESSAGES"
    )
    request_timeout_s: float = 3.0
    """How long a client waits for the broker before it is answered busy."""
    first_byte_s: float = setting(
        300.0,
        "Seconds that a TCP connection may stay silent before its request; people type their names meanwhile.",
        flag="--handshake-wait",
        metavar="SECONDS",
    )
    request_s: float = 10.0
    """How long a request may take from its first byte to its last."""
    connections: int = setting(
        4_096, "TCP connections at once. One more closes the one that has been silent for longest, or itself."
    )
    address_connections: int = setting(
        256,
        "TCP connections at once from one address (of IPv6, from one network of 64 bits). One more closes the one of"
        " them that has been silent for longest.",
    )
    web_connections: int = setting(
        4_096,
        "Connections at once at the web listeners. One more closes one that has not connected to the chat, or itself."
        " `--address-connections` and `--address-rate` hold there too.",
    )
    address_rate: float = setting(
        50.0,
        "TCP connections a second from one address, in the long run; ten times as many at once. Each further request on"
        " a connection counts like a connection.",
        at_least=0.1,
        metavar="PER_SECOND",
    )
    address_members: int = setting(
        1_000,
        "Members here from one address. One more removes one that never sent a datagram or is in a quiet room of that"
        " address alone, or is refused.",
        metavar="MEMBERS",
    )
    address_messages: float = setting(
        5_000.0,
        "Messages a second from all members of one address, in the long run; twice as many at once.",
        metavar="PER_SECOND",
    )
    create_rate: float = setting(
        5.0,
        "Rooms a second that one address creates, in the long run; ten times as many at once.",
        at_least=0.1,
        metavar="PER_SECOND",
    )
    password_tries: int = setting(
        5,
        "Wrong passwords of one name, from one address in one room, before that name has to wait, twice as long after"
        " each further one. All names of the address have four times as many there, then one every two seconds.",
    )
    room_password_rate: float = setting(
        1.0,
        "Wrong passwords a second in one room from all addresses, in the long run; a minute's worth at once. The right"
        " one is taken all the same, and beyond `--password-tries` too, from an address that gave it before.",
        at_least=0.01,
        metavar="PER_SECOND",
    )
    guess_rate: float = setting(
        100.0,
        "Unknown tokens a second from one address, in the long run; twenty times as many at once.",
        at_least=0.1,
        metavar="PER_SECOND",
    )
    unlimited: tuple[Network, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        "A network whose addresses have no limits of their own, of a proxy for example; may be given several times.",
        parse=parse_network,
        metavar="NETWORK",
    )
    commands: bool = setting(
        True,
        "A text that begins with `/` is sent like any other; without this flag it is a command (`/help` lists them).",
    )
    notices: Literal["auto", "on", "off"] = setting(
        "auto",
        "Whether members are told of joins, leaves, new names and so on, `on` or `off`; `auto`: all but those who speak"
        " `classic`.",
    )
    language: Literal["en", "ja"] = setting("en", "The language of the server's own texts in rooms: `en` or `ja`.")
    plain: bool = setting(
        False,
        "Clients of version 2 may do without seals (the suite `plain`) from everywhere, not only from this machine.",
    )
    drain_s: float = setting(
        0.0,
        "After SIGTERM: seconds in which clients of version 2 go on at another gateway, spread over the time, before"
        " this one stops, earlier when all have gone. 0: it stops at once, and they notice that after 1.5 s.",
        flag="--drain",
        at_least=0,
        at_most=300,
        metavar="SECONDS",
    )
    drain_to: tuple[str, ...] = setting(
        (),
        "Where these clients go on with `--drain`, `HOST:TCP:UDP`; may be given several times. By default at another of"
        " the addresses that the name has at which they came.",
        parse=parse_server,
        metavar="HOST:TCP:UDP",
    )
    auth: Literal["off", "optional", "required"] = "off"
    """Whether a signed token may, or must, stand for a name; off without a key to verify it."""

    def options(self, listener: Listener, dialect: Dialect) -> MemberOptions:
        """Return the options of members that join at a listener in a dialect."""
        commands = self.commands if listener.commands is None else listener.commands
        notices = {"on": True, "off": False, "auto": dialect.notices}[self.notices]
        if listener.notices is not None:
            notices = listener.notices
        options = MemberOptions(0)
        if commands:
            options |= MemberOptions.COMMANDS
        if notices:
            options |= MemberOptions.NOTICES
        if (listener.language or self.language) == "ja":
            options |= MemberOptions.JAPANESE
        return options


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of the TLS listeners' certificate, PEM."""

    certificate: Path
    """Followed by the intermediate certificates."""
    key: Path


@dataclass(frozen=True, slots=True)
class Inherited:
    """Descriptors of the sockets that a worker gets from its parent process, one per listener."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]
    steered: int
    """The number of workers among which the kernel divides datagrams by their tokens; 1: it does not."""
    number: int
    """Which worker it is, from 1 on; its log lines have it."""
    webhook: tuple[int, ...] = ()
    web: tuple[int, ...] = ()

    def __str__(self) -> str:
        parts = (self.tcp, self.udp, (self.steered,), (self.number,), self.webhook, self.web)
        return "/".join(",".join(map(str, numbers)) for numbers in parts)


def parse_inherited(text: str) -> Inherited:
    """Parse a text that `str` has made; raise SettingError for any other."""
    try:
        parts = (tuple(int(n) for n in part.split(",") if n) for part in text.split("/"))
        tcp, udp, (steered,), (number,), webhook, web = parts
    except ValueError:
        raise SettingError(f"{text!r} is no list of descriptors") from None
    return Inherited(tcp, udp, steered, number, webhook, web)


@dataclass(frozen=True)
class Config:
    """The whole command line."""

    tcp: tuple[Listener, ...] = setting(
        ("0.0.0.0:9001",),
        "Where clients create and join rooms, `HOST:PORT` or `HOST:PORT=DIALECT`; may be given several times."
        " `0.0.0.0` is all IPv4 addresses of this machine, `[::]` all of IPv6 and IPv4 (of IPv6 alone, if another"
        " listener has the port for IPv4); port 0 is any free one."
        f" `DIALECT` is `auto` (the default) or one of {', '.join(f'`{name}`' for name in DIALECTS)}."
        " `--no-commands`, `--notices` and `--language` can differ for one listener:"
        " `HOST:PORT=DIALECT,commands=off,notices=on,language=ja`. With `--tls` this has no default.",
        parse=parse_listener,
        metavar="HOST:PORT[=DIALECT][,OPTION=VALUE...]",
    )
    """In `configure`'s result the TLS listeners too, behind the others."""
    tls_listeners: tuple[Listener, ...] = setting(
        (),
        "Like `--tcp`, for clients that speak TLS (1.2 or newer). Needs `--tls-cert` and `--tls-key`. The chat itself"
        " goes by UDP, in clear text.",
        flag="--tls",
        parse=partial(parse_listener, tls=True),
        metavar="HOST:PORT[=DIALECT][,OPTION=VALUE...]",
    )
    tls_certificate: Path | None = setting(
        None,
        "The server's certificate, followed by those that lead to its authority (PEM). SIGHUP reads it again.",
        flag="--tls-cert",
    )
    tls_key: Path | None = setting(None, "The certificate's key (PEM, mode 0600, no passphrase).")
    session_secret: Path | None = setting(
        None,
        'The file with the secret that keys of sessions are derived from (PROTOCOL.md, "Version 2"); gateways with the'
        " same file take over each other's sessions. Made when it is missing, and beside it a certificate, for clients"
        " that speak TLS at a `--tcp` if there is no `--tls-cert`. By default `session-secret` in `--data` without"
        " `--broker`, else none: then other gateways, and later runs of this one, can not serve its sessions.",
    )
    udp: tuple[Listener, ...] = setting(
        ("0.0.0.0:9002",),
        "Where clients chat; may be given several times. Addresses as for `--tcp`.",
        parse=partial(parse_listener, takes_options=False),
        metavar="HOST:PORT",
    )
    broker: tuple[str, ...] = setting(
        (),
        "A running broker, `tcp://HOST:PORT` or `ipc://PATH`; without it the gateway has a broker of its own. May be"
        " given several times for brokers that share a store: the gateway finds all of them if it reaches one.",
        parse=_or_empty(parse_to_connect),
        metavar="ENDPOINT",
    )
    key_file: Path | None = setting(
        None,
        "The file with this gateway's key for `--broker` (`python -m broker keys add`).",
        flag="--key",
        envvar="TSUDOI_GATEWAY_KEY",
    )
    insecure: bool = setting(
        False,
        "Use no key, although others can read and change what goes between this gateway and `--broker`.",
        envvar="TSUDOI_GATEWAY_INSECURE",
    )
    data: Path = setting(
        Path("data"), "The folder where a broker of its own keeps rooms and messages between runs.", is_folder=True
    )
    name: str = setting(
        "",
        "Gateways of one name stand behind one address, or one is the other, started again: when one is gone, another"
        " serves its members at once, also those who only listen.",
        parse=_or_empty(parse_name),
        envvar="TSUDOI_GATEWAY_NAME",
    )
    workers: int = setting(
        1,
        "Processes that share the ports, to use as many cores. One that dies is started again. With `--http` each has a"
        " port of its own, in a row.",
        at_most=64,
    )
    inherited: Inherited | None = setting(
        None, "Descriptors of a worker's sockets.", parse=parse_inherited, is_hidden=True
    )
    settings: Settings = field(default_factory=Settings)
    auth_key: Path | None = setting(
        None,
        "Names may be signed tokens (JWT): the file with the issuer's public keys (PEM, DER, OpenSSH, JWK set). Without"
        " this and `--auth-secret` names are free. SIGHUP reads both again.",
    )
    auth_secret: Path | None = setting(
        None,
        "The same with a secret that the issuer shares: a file with one line of 32 bytes or more"
        " (`openssl rand -hex 32`).",
    )
    auth: Literal["optional", "required"] = setting(
        "optional",
        "With `--auth-key` or `--auth-secret`: whether clients without a token may come in (`optional`) or not"
        " (`required`).",
    )
    webhook: tuple[WebhookListener, ...] = setting(
        (),
        'Where programs that are no clients post messages by HTTP (PROTOCOL.md, "Webhook"), `HOST:PORT`, or'
        " `HOST:PORT,tls=on` with the certificate in `--tls-cert`; may be given several times. Needs `--auth-key` or"
        " `--auth-secret`.",
        parse=parse_webhook,
        metavar="HOST:PORT[,tls=on]",
    )
    web: tuple[WebListener | None, ...] = setting(
        (),
        'Where browsers find the page, and members come by WebSocket (PROTOCOL.md, "WebSocket"): `HOST:PORT`, or'
        " `HOST:PORT,tls=on` with the certificate in `--tls-cert`; may be given several times. `off`: nowhere. By"
        f" default {WEB_PORT} without `--broker`, if that port is free, else nowhere.",
        parse=parse_web,
        metavar="HOST:PORT[,tls=on]",
    )
    """In `configure`'s result without None."""
    web_is_default: bool = False
    """`--web` was not given: a port that is taken is no error."""
    web_origin: tuple[str, ...] = setting(
        (),
        "An origin whose pages may connect at the web listeners, such as `https://chat.example`; may be given several"
        " times. `*`: all. Without it those that were opened there by an IP address or as `localhost`.",
        parse=parse_origin,
        metavar="ORIGIN",
    )
    http: HostPort | None = http_setting()
    log_level: logs.Level = log_level_setting()
    log_format: logs.Format = log_format_setting()
    file: Path | None = None
    """The configuration file; a broker of this gateway's own reads it too."""
    key: SecretKey | None = None
    """The key in `key_file`; None: the connection to the broker is not encrypted."""
    overridden: tuple[str, ...] = ()
    """Settings in the configuration file that a flag or a variable overrides, by flag."""

    @property
    def verifies(self) -> bool:
        """Whether signed tokens are verified."""
        return bool(self.auth_key or self.auth_secret)

    @property
    def session_file(self) -> Path | None:
        """The file with the secret for sessions; None: there is none."""
        return self.session_secret or (None if self.broker else self.data / "session-secret")

    @property
    def tls(self) -> TlsFiles | None:
        """The files for TLS listeners, if there are such."""
        return TlsFiles(self.tls_certificate, self.tls_key) if self.tls_certificate and self.tls_key else None
