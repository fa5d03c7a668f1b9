"""Map an IP address to its key in the limits by address: an IPv4 address or an IPv6 /64 (`tsudoi/ops/rate_key.py`).

Addresses in the `--unlimited` networks (by default the loopback ones) have no key, and no limits of their own.
"""

import ipaddress
from dataclasses import dataclass

from tsudoi.ops.rate_key import packed_key

from ..listeners import sockaddr
from ..settings import Network, Settings

ADDRESSES = 10_000
"""Addresses that each limit remembers; beyond that the one not seen for longest is forgotten."""


@dataclass(slots=True)
class RateKeys:
    """Maps IP addresses to rate-limit keys."""

    settings: Settings

    def of(self, ip: str) -> str:
        """Return the key of an IP address, empty if the address has no limits."""
        return self.of_packed(sockaddr.parse_ip(ip))

    def of_packed(self, ip: bytes) -> str:
        """Return the key of an IP address as `sockaddr.ip_bytes` returns it."""
        return limited_key(ip, self.settings.unlimited)


def limited_key(ip: bytes, unlimited: tuple[Network, ...]) -> str:
    """Return the rate-limit key of an IP address, empty if it is in an unlimited network."""
    address = ipaddress.ip_address(ip)
    return "" if any(address in network for network in unlimited) else packed_key(ip)
