"""Map an IP address to its rate-limit key: the IPv4 address, or the IPv6 network of 64 bits.

A provider gives each customer at least 64 bits of IPv6, so a limit on single addresses would be none.
"""

import ipaddress
from functools import lru_cache

_BITS = 64


@lru_cache(10_000)
def rate_key(ip: str) -> str:
    """Return the key of an IP address or of an IPv6 network of 64 bits; empty for any other text."""
    text = ip.partition("%")[0]
    try:
        address = ipaddress.ip_address(text.removesuffix(f"/{_BITS}") if ":" in text else text)
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _BITS), strict=False))
