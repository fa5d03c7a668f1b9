"""Read what an operator writes of a listener: `HOST:PORT`, its dialect, its options."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.errors import SettingError

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
class HttpListener(HostPort):
    """An address for HTTP."""

    tls: bool = False
    """Its clients speak TLS."""
    kind: Literal["web", "webhook"] = "web"
    """For browsers (the page, and members by WebSocket), or where programs post; the `ready` line calls it so."""

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        place = HostPort(everywhere.get(self.host, self.host), self.port)
        return f"http{'s' * self.tls}://{place}"


def parse_webhook(text: str) -> HttpListener:
    """Return the listener in HOST:PORT or HOST:PORT,tls=on; raise SettingError if the text is something else."""
    return _parse_http(text, "webhook")


def parse_web(text: str) -> HttpListener | None:
    """Return the listener in HOST:PORT or HOST:PORT,tls=on, None for `off`; raise SettingError for other texts."""
    return None if text == "off" else _parse_http(text, "web")


def _parse_http(text: str, kind: Literal["web", "webhook"]) -> HttpListener:
    address, *options = text.split(",")
    if options not in ([], ["tls=on"], ["tls=off"]):
        raise SettingError(f"{text!r}: the one option of a {kind} listener is tls=on")
    place = parse_host_port(address)
    return HttpListener(place.host, place.port, options == ["tls=on"], kind)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of the TLS listeners' certificate, PEM."""

    certificate: Path
    """Followed by the intermediate certificates."""
    key: Path
