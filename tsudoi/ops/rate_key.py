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
    mapped = address.ipv4_mapped if address.version == 6 else None
    return packed_key((mapped or address).packed)


def packed_key(ip: bytes) -> str:
    """Return the key of an address as 4 bytes of IPv4, or 16 of IPv6 that do not stand for one of IPv4.

    Cheap, as each datagram of a flood has another address: a text takes ten times as long to read.
    """
    return _network_key(ip[: _BITS // 8])


@lru_cache(10_000)
def _network_key(network: bytes) -> str:
    if len(network) == 4:
        return ".".join(map(str, network))
    return f"{ipaddress.IPv6Address(network + bytes(8))}/{_BITS}"
