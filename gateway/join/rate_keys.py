"""Map an IP address to its key in the limits by address: an IPv4 address or an IPv6 /64 (`tsudoi/ops/rate_key.py`).

Addresses in the `--unlimited` networks (by default the loopback ones) have no key, and no limits of their own.
"""

import ipaddress

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.rate_key import rate_key

from ..settings import Network, Settings

ADDRESSES = 10_000
"""Addresses that each limit remembers; beyond that the one not seen for longest is forgotten."""


class RateKeys:
    """Maps IP addresses to rate-limit keys; caches the last `ADDRESSES`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._unlimited = settings.unlimited
        self._cache: dict[str, str] = {}

    def of(self, ip: str) -> str:
        """Return the key of an IP address, empty if the address has no limits."""
        if self._unlimited is not self._settings.unlimited:
            self._unlimited = self._settings.unlimited
            self._cache.clear()
        key = self._cache.get(ip)
        if key is None:
            key = limited_key(ip, self._unlimited)
            put_newest(self._cache, ip, key, ADDRESSES)
        return key


def limited_key(ip: str, unlimited: tuple[Network, ...]) -> str:
    """Return the rate-limit key of an IP address, empty if it is in an unlimited network."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in unlimited):
        return ""
    return rate_key(ip)
