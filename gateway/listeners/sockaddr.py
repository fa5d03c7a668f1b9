"""Convert socket addresses to the kernel's form: `struct sockaddr_in` (16 bytes) or `sockaddr_in6` (28) of Linux.

The hot path compares these bytes and hands them back to the kernel, and never turns one into text. On other systems
they are packed from Python's address tuples.
"""

import ipaddress
import struct
from functools import lru_cache

AF_INET, AF_INET6 = 2, 10
"""Linux's numbers; on other systems these bytes never reach the kernel."""

#  | family: 2, native | port: 2, big-endian | address: 4 | zeros: 8 |
_IPV4 = struct.Struct("=H2s4s8x")
#  | family: 2, native | port: 2, big-endian | flow: 4 | address: 16 | scope: 4, native |
_IPV6 = struct.Struct("=H2s4x16sI")
_FAMILY = struct.Struct("=H")
KNOWN = 1_024
"""Hosts whose conversion is cached."""
_MAPPED = bytes(10) + b"\xff\xff"


def pack(ip: str, port: int, scope: int = 0) -> bytes:
    """Return the address of an IPv4 or IPv6 literal and a port; raise ValueError if it is no literal."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    raw_port = port.to_bytes(2, "big")
    if address.version == 4:
        return _IPV4.pack(AF_INET, raw_port, address.packed)
    return _IPV6.pack(AF_INET6, raw_port, address.packed, scope)


def unpack(raw: bytes) -> tuple[str, int]:
    """Return (ip, port) of an address that `pack` or the kernel made."""
    return text_of(ip_bytes(raw)), int.from_bytes(raw[2:4], "big")


@lru_cache(KNOWN)
def text_of(ip: bytes) -> str:
    """Return the text of an IP address, as `ip_bytes` returns it."""
    return str(ipaddress.ip_address(ip))


def scope(raw: bytes) -> int:
    """Return the scope of an IPv6 address, 0 for IPv4."""
    return int(_IPV6.unpack(raw)[3]) if is_ipv6(raw) else 0


def is_ipv6(raw: bytes) -> bool:
    """Return whether an address is a `sockaddr_in6`."""
    return bool(_FAMILY.unpack_from(raw)[0] == AF_INET6)


def ip_bytes(raw: bytes) -> bytes:
    """Return the IP address alone, 4 or 16 bytes; an IPv4 address mapped into IPv6 becomes IPv4."""
    if not is_ipv6(raw):
        return raw[4:8]
    ip = raw[8:24]
    return ip[12:] if ip.startswith(_MAPPED) else ip


@lru_cache(KNOWN)
def parse_ip(text: str) -> bytes:
    """Return the bytes of an IP literal in the form of `ip_bytes`; raise ValueError if it is none."""
    return ip_bytes(pack(text, 0))


def is_loopback(ip: bytes) -> bool:
    """Return whether an IP address (as `ip_bytes` returns it) is a loopback address."""
    return ip[0] == 127 if len(ip) == 4 else ip == bytes(15) + b"\x01"


def same_host(one: bytes, other: bytes) -> bool:
    """Return whether two IP addresses (as `ip_bytes` returns them) count as one host: equal, or both loopback."""
    return one == other or (is_loopback(one) and is_loopback(other))


def with_port(raw: bytes, port: int) -> bytes:
    """Return the address with another port."""
    return raw[:2] + port.to_bytes(2, "big") + raw[4:]
