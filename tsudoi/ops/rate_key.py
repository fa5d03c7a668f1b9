"""What an IP address is counted as: an IPv4 address, or an IPv6 network of 64 bits, as one household has it.

And when two are of one host.
"""

import ipaddress
import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

_BITS = 64
_LIKE_IPV4 = re.compile(r"[0-9]+(\.([0-9]+|\*)){2,}([/:\-].*)?|[0-9]+(\.[0-9]+)*/[0-9.]+")
_LIKE_IPV6 = re.compile(r"\[?[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*(%\w+)?\]?([/:].*)?")


@lru_cache(10_000)
def rate_key(ip: str) -> str:
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


def looks_like_address(text: str) -> bool:
    """Say whether somebody who writes this means an address, a network or a range of them, right or wrong."""
    return bool(_LIKE_IPV4.fullmatch(text) or _LIKE_IPV6.fullmatch(text))


@lru_cache(10_000)
def same_host(one: str, other: str) -> bool:
    """Say whether two IP addresses count as one, equal or both of this machine; PROTOCOL.md, "Addresses"."""
    try:
        first, second = _plain(one), _plain(other)
    except ValueError:
        return False
    return first == second or (first.is_loopback and second.is_loopback)


def _plain(ip: str) -> IPv4Address | IPv6Address:
    address = ipaddress.ip_address(ip.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
