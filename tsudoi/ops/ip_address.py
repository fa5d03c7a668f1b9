"""Compare IP addresses, and recognise texts that mean one."""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

_LIKE_IPV4 = re.compile(r"[0-9]+(\.([0-9]+|\*)){2,}([/:\-].*)?|[0-9]+(\.[0-9]+)*/[0-9.]+")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_LIKE_IPV6 = re.compile(r"\[?[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*(%\w+)?\]?([/:].*)?")


def looks_like_address(text: str) -> bool:
    """Return whether a text is meant as an address, a network or a range of addresses, valid or not."""
    text = plain(text)
    return bool(_LIKE_IPV4.fullmatch(text) or _LIKE_IPV6.fullmatch(text) or full_form(text))


def plain(text: str) -> str:
    """Return a text without white space around it, without a dot at its end, and with ASCII's digits and signs."""
    return unicodedata.normalize("NFKC", text).strip().removesuffix(".")


def full_form(text: str) -> str:
    """Return the address that a short or odd form of IPv4 means to inet_aton(3), as `127.1`; empty for another text.

    A small number alone means none here: it is a user's name.
    """
    parts = text.split(".")
    if not 1 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return ""
    try:
        *head, tail = (int(part, 8 if part.isdigit() and part[0] == "0" else 0) for part in parts)
    except ValueError:
        return ""  # 09 is no octal number
    value = tail
    for at, part in enumerate(head):
        if part > 255:
            return ""
        value += part << (24 - 8 * at)
    if tail >= 256 ** (4 - len(head)) or (not head and value < 2**24):
        return ""
    return str(IPv4Address(value))


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
