"""Compare IP addresses, and recognise texts that mean one."""

import ipaddress
import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

_LIKE_IPV4 = re.compile(r"[0-9]+(\.([0-9]+|\*)){2,}([/:\-].*)?|[0-9]+(\.[0-9]+)*/[0-9.]+")
_LIKE_IPV6 = re.compile(r"\[?[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*(%\w+)?\]?([/:].*)?")


def looks_like_address(text: str) -> bool:
    """Return whether a text is meant as an address, a network or a range of addresses, valid or not."""
    return bool(_LIKE_IPV4.fullmatch(text) or _LIKE_IPV6.fullmatch(text))


@lru_cache(10_000)
def same_host(one: str, other: str) -> bool:
    """Return whether two IP addresses are equal, or both loopback addresses; PROTOCOL.md, "Addresses"."""
    try:
        first, second = _plain(one), _plain(other)
    except ValueError:
        return False
    return first == second or (first.is_loopback and second.is_loopback)


def _plain(ip: str) -> IPv4Address | IPv6Address:
    address = ipaddress.ip_address(ip.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
