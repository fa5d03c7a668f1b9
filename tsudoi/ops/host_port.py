"""Parse HOST:PORT, an address to listen at."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..protocol.errors import SettingError

_PORT = re.compile("[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class HostPort:
    """An IP address of this machine and a port; port 0 is any free one."""

    host: str
    port: int
    takes_both: bool = field(default=False, kw_only=True)
    """At `[::]`: IPv4 too, and not IPv6 alone (`with_both_families`)."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(text: str) -> HostPort:
    """Return the address in HOST:PORT, [HOST]:PORT for IPv6; raise SettingError, which says what is wrong."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host:
        raise SettingError(f"{text!r} is not HOST:PORT")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise SettingError(f"{text!r} has no port from 0 to 65535")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise SettingError(f"{text!r}: {host!r} is not an IP address (0.0.0.0 for all of IPv4, [::] for all)") from None
    return HostPort(host, int(port))


def is_fixed(place: str) -> bool:
    """Return whether a browser's HOST or HOST:PORT leads to one machine whatever a name server says.

    A page under any other name may have pointed that name here only now (DNS rebinding).
    """
    name = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
    if name.casefold() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


Listening = TypeVar("Listening", bound=HostPort)


def with_both_families(listeners: Sequence[Listening], others: Sequence[HostPort] = ()) -> tuple[Listening, ...]:
    """Let the listeners at `[::]` take IPv4 too, except where another one, or one of `others`, has their port there."""
    known: list[HostPort] = [*listeners, *others]
    ipv4_ports = {each.port for each in known if ":" not in each.host}
    return tuple(
        replace(each, takes_both=":" in each.host and _is_unspecified(each.host) and each.port not in ipv4_ports)
        for each in listeners
    )


def _is_unspecified(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_unspecified
