"""Map an IP address to its key in the limits by address: an IPv4 address or an IPv6 /64 (`tsudoi/ops/rate_key.py`).

Addresses in the `--unlimited` networks (by default the loopback ones) have no key, and no limits of their own.
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache, partial

from tsudoi.ops.rate_key import packed_key

from ..listeners import sockaddr
from ..settings import Network, Settings

ADDRESSES = 10_000
"""Addresses that each limit remembers; beyond that the one not seen for longest is forgotten."""


class RateKeys:
    """Maps IP addresses to rate-limit keys, for all limits of a gateway; a join asks for its client's five times."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._unlimited: tuple[Network, ...] | None = None
        self._key_of: Callable[[bytes], str]

    def of(self, ip: str) -> str:
        """Return the key of an IP address, empty if the address has no limits."""
        return self.of_packed(sockaddr.parse_ip(ip))

    def of_packed(self, ip: bytes) -> str:
        """Return the key of an IP address as `sockaddr.ip_bytes` returns it."""
        if self._unlimited is not self._settings.unlimited:
            self._unlimited = self._settings.unlimited
            self._key_of = lru_cache(ADDRESSES)(partial(limited_key, unlimited=self._unlimited))
        return self._key_of(ip)


def limited_key(ip: bytes, unlimited: tuple[Network, ...]) -> str:
    """Return the rate-limit key of an IP address, empty if it is in an unlimited network."""
    address = ipaddress.ip_address(ip)
    return "" if any(address in network for network in unlimited) else packed_key(ip)
