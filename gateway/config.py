"""Define the gateway's command line: flags, environment variables and the configuration file end in one `Config`.

Its field `settings` has what a reload changes in place (`settings.py`). The rest needs a restart.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.keyfiles import SecretKey
from tsudoi.ops.settings import http_setting, log_format_setting, log_level_setting, setting
from tsudoi.protocol.backbone import parse_to_connect
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.errors import SettingError

from .listeners.options import HttpListener, Listener, TlsFiles, parse_listener, parse_web, parse_webhook
from .process.inherited import Inherited, parse_inherited
from .settings import Settings
from .web.origins import parse_origin

WEB_PORT = HttpListener("127.0.0.1", 9080)
"""Where the service of one command has its web listener, if `--web` does not say."""


def parse_name(text: str) -> str:
    """Return a gateway's name unchanged; raise SettingError if it has other characters than names may have."""
    if len(text) > 64 or not text.isascii() or not text.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise SettingError(f"{text!r} is no name: letters, digits, '-', '_' and '.', 64 at most")
    return text


def _or_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: parse(text) if text else ""


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
        "Like `--tcp`, for clients that speak TLS (1.2 or newer). Needs `--tls-cert` and `--tls-key`. Chat of"
        " version 1 still goes by UDP, in clear text.",
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
        " that speak TLS at a `--tcp` if there is no `--tls-cert`. By default `session-secret` in `--data`.",
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
        Path("data"),
        "The folder where a broker of its own keeps rooms and messages, and where `session-secret` is.",
        is_folder=True,
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
    webhook: tuple[HttpListener, ...] = setting(
        (),
        'Where programs that are no clients post messages by HTTP (PROTOCOL.md, "Webhook"), `HOST:PORT`, or'
        " `HOST:PORT,tls=on` with the certificate in `--tls-cert`; may be given several times. Needs `--auth-key` or"
        " `--auth-secret`.",
        parse=parse_webhook,
        metavar="HOST:PORT[,tls=on]",
    )
    web: tuple[HttpListener | None, ...] = setting(
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
    def session_file(self) -> Path:
        """The file with the secret for sessions."""
        return self.session_secret or self.data / "session-secret"

    @property
    def tls(self) -> TlsFiles | None:
        """The files for TLS listeners, if there are such."""
        return TlsFiles(self.tls_certificate, self.tls_key) if self.tls_certificate and self.tls_key else None
