"""The address of a server."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_WRITTEN = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<tcp>\d+))?(?::(?P<udp>\d+))?", re.ASCII)

TCP, UDP = 9001, 9002


@dataclass(frozen=True, slots=True)
class Server:
    """Host and ports of a gateway."""

    host: str = "127.0.0.1"
    tcp: int = TCP
    """Port for creating and joining rooms."""
    udp: int = UDP
    """Port for messages."""
    tls: bool = False
    """`tcp` speaks TLS: the certificate must be for `host`, and from an authority that is trusted here."""
    tls_ca: Path | None = None
    """File with the authorities to trust (PEM), and no others; None: the system's."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the server written as HOST[:TCP[:UDP]], IPv6 in brackets; raise ValueError with words for a person."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            hint = "; an IPv6 address goes in brackets" if text.count(":") > 2 and "[" not in text else ""
            raise ValueError(f"{text!r} is not HOST[:TCP[:UDP]]{hint}")
        tcp, udp = int(found["tcp"] or TCP), int(found["udp"] or UDP)
        for port in (tcp, udp):
            if not 0 < port < 65536:
                raise ValueError(f"{port} in {text!r} is no port: 1 to 65535")
        return cls(found["v6"] or found["host"], tcp, udp)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.tcp}:{self.udp}" if ":" in self.host else f"{self.host}:{self.tcp}:{self.udp}"
