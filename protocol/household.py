"""What an IP address is counted as: an IPv4 address, or an IPv6 network of 64 bits, as one household has it."""

import ipaddress
from functools import lru_cache

_BITS = 64


@lru_cache(10_000)
def household(ip: str) -> str:
    """Return what an IP address, or a network of 64 bits, is counted as; empty if it is neither."""
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
