"""Convert socket addresses to the kernel's form: `struct sockaddr_in` (16 bytes) or `sockaddr_in6` (28) of Linux.

The hot path compares these bytes and hands them back to the kernel, and never turns one into text. On other systems
they are packed from Python's address tuples.

A listener on all addresses of its host also needs to know to which of them a client sends, in order to answer from
there (`pktinfo.py`). That *local address* then follows the client's: 4 bytes of IPv4, or 16 of IPv6 and 4 of a scope.

    | sockaddr_in: 16  | local: 0 or 4                |
    | sockaddr_in6: 28 | local: 0 or 16, scope: 0 or 4 |
"""

import ipaddress
import struct
import sys
from functools import lru_cache
from typing import Any

AF_INET, AF_INET6 = 2, 10
"""Linux's numbers; on other systems these bytes never reach the kernel."""

#  | family: 2, native | port: 2, big-endian | address: 4 | zeros: 8 |
_IPV4 = struct.Struct("=H2s4s8x")
#  | family: 2, native | port: 2, big-endian | flow: 4 | address: 16 | scope: 4, native |
_IPV6 = struct.Struct("=H2s4x16sI")
_FAMILY = struct.Struct("=H")
_SCOPE = struct.Struct("=I")
IPV4_SIZE, IPV6_SIZE = _IPV4.size, _IPV6.size
PEER_SIZES = frozenset({IPV4_SIZE, IPV6_SIZE})
"""Sizes of addresses without a local address."""
KNOWN = 1_024
"""Hosts whose conversion is cached."""
_MAPPED = bytes(10) + b"\xff\xff"
_LINK_LOCAL = b"\xfe\x80"
"""The first 10 bits of IPv6 addresses that mean something on one link only: these need a scope, the link's number."""


def pack(ip: str, port: int, scope: int = 0) -> bytes:
    """Return the address of an IPv4 or IPv6 literal and a port; raise ValueError if it is no literal."""
    return pack_bytes(ipaddress.ip_address(ip.partition("%")[0]).packed, port, scope)


def beside(peer: tuple[Any, ...], port: int, here: tuple[Any, ...]) -> bytes:
    """Return the address of a UDP port at a TCP connection's peer, with the connection's own address as the local one.

    `peer` and `here` are address tuples of Python's sockets.
    """
    ip, local = parse_ip(peer[0].partition("%")[0]), parse_ip(here[0].partition("%")[0])
    scope, link = (each[3] if len(each) > 3 else 0 for each in (peer, here))
    return pack_bytes(ip, port, scope) + local_bytes(local, link)


def unpack(raw: bytes) -> tuple[str, int]:
    """Return (ip, port) of an address that `pack` or the kernel made."""
    return text_of(ip_bytes(raw)), port(raw)


def port(raw: bytes) -> int:
    """Return the port of an address."""
    return int.from_bytes(raw[2:4], "big")


@lru_cache(KNOWN)
def text_of(ip: bytes) -> str:
    """Return the text of an IP address, as `ip_bytes` returns it."""
    return ".".join(map(str, ip)) if len(ip) == 4 else str(ipaddress.ip_address(ip))


@lru_cache(KNOWN)
def plain_text(ip: str) -> str:
    """Return an IP literal unchanged, except that an IPv4 address mapped into IPv6 becomes IPv4."""
    return text_of(parse_ip(ip)) if ip.startswith("::ffff:") else ip


def scope(raw: bytes) -> int:
    """Return the scope of an IPv6 address, 0 for IPv4."""
    return int(_IPV6.unpack_from(raw)[3]) if is_ipv6(raw) else 0


def peer(raw: bytes) -> bytes:
    """Return an address without the local address."""
    return raw if len(raw) in PEER_SIZES else raw[: IPV6_SIZE if is_ipv6(raw) else IPV4_SIZE]


def local(raw: bytes) -> bytes:
    """Return the local address that follows an address, with its scope; empty if there is none."""
    return b"" if len(raw) in PEER_SIZES else raw[IPV6_SIZE if is_ipv6(raw) else IPV4_SIZE :]


def local_bytes(ip: bytes, link: int) -> bytes:
    """Return a local address (4 or 16 bytes) in the form that follows an address; empty if none can send from it.

    `link` is the number of the network interface; it counts for link-local addresses alone.
    """
    if len(ip) == 4:
        return ip if any(ip) else b""
    if ip[0] == 0xFF or not any(ip):  # multicast, or unspecified
        return b""
    return ip + _SCOPE.pack(link if is_link_local(ip) else 0)


@lru_cache(KNOWN)
def received_local(raw: bytes) -> bytes:
    """Return a local address that the kernel wrote, IPv4 or IPv6 and the interface, in the form of `local_bytes`."""
    return local_bytes(raw[:16], int.from_bytes(raw[16:], sys.byteorder))


def local_text(raw: bytes) -> str:
    """Return the local address that follows an address as text, `%` and the scope behind it if there is one.

    Without a local address, the text is empty, or the scope of the address itself.
    """
    followed = local(raw)
    size = 16 if is_ipv6(raw) else 4
    (link,) = _SCOPE.unpack_from(followed, size) if len(followed) > size else (0,)
    ip = text_of(ip_of(followed[:size])) if followed else ""
    return f"{ip}%{link or scope(raw)}" if link or scope(raw) else ip


def is_link_local(ip: bytes) -> bool:
    """Return whether an IPv6 address (16 bytes) is link-local, fe80::/10."""
    return len(ip) == 16 and ip[0] == _LINK_LOCAL[0] and ip[1] & 0xC0 == _LINK_LOCAL[1]


def mapped(ip: bytes) -> bytes:
    """Return an IP address as IPv6: one of IPv4 becomes ::ffff:a.b.c.d, as an IPv6 socket for both writes it."""
    return _MAPPED + ip if len(ip) == 4 else ip


def pack_bytes(ip: bytes, port: int, link: int = 0) -> bytes:
    """Return the address of an IP address (4 or 16 bytes) and a port."""
    raw_port = port.to_bytes(2, "big")
    return _IPV4.pack(AF_INET, raw_port, ip) if len(ip) == 4 else _IPV6.pack(AF_INET6, raw_port, ip, link)


def is_ipv6(raw: bytes) -> bool:
    """Return whether an address is a `sockaddr_in6`."""
    return bool(_FAMILY.unpack_from(raw)[0] == AF_INET6)


def ip_bytes(raw: bytes) -> bytes:
    """Return the IP address alone, 4 or 16 bytes; an IPv4 address mapped into IPv6 becomes IPv4."""
    return ip_of(raw[8:24]) if is_ipv6(raw) else raw[4:8]


def ip_of(ip: bytes) -> bytes:
    """Return an IP address (4 or 16 bytes); an IPv4 address mapped into IPv6 becomes IPv4."""
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
