"""Let a client that ended without leaving, and joins again, take its old member's place; PROTOCOL.md, "Addresses".

It has lost its token, so only its address and name tell who it is. Both must be the same, and the address is proven:
the IP address by the handshake's TCP connection, the port by the first datagram with the new token.
"""

from tsudoi.ops.ip_address import same_host
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.codes import Rights
from tsudoi.protocol.names import UserName, numbered_name

from .directory import Directory
from .room_and_member import Member

NUMBERED = 64
"""Members `alice#N` that are looked at, from the newest. A client that joins again gets its name back each time, so its
old member seldom has a high number; a crowd of one name must not cost a look at each for each."""


def claim(directory: Directory, member: Member, address: str, wall_ms: int) -> bool:
    """Handle CLAIMED: replace the member whose place `member` takes; return whether there was one."""
    ip, _, rest = address.partition(" ")
    if member.room.closed_ms or not same_host(ip, member.ip):
        return False
    before = _predecessor(member, (ip, rest.partition(" ")[0]))
    if before is None:
        return False
    directory.replace(before, member, wall_ms)
    return True


def _predecessor(member: Member, place: tuple[str, str]) -> Member | None:
    """Return the older member at this (IP address, port) that has or had the name which `member` wished."""
    last = member.room.numbers.get(member.wished, 1)
    numbers = range(last, max(last - NUMBERED, 1), -1)
    wished = UserName(member.wished)
    for name in (wished, *(numbered_name(wished, number) for number in numbers)):
        other = member.room.called(name)
        if other is not None and other.id < member.id and _is_at(other, place) and _may_replace(member, other):
            return other
    return None


def _is_at(member: Member, place: tuple[str, str]) -> bool:
    return tuple(member.address.decode(errors="replace").split(" ")[:2]) == place


def _may_replace(member: Member, other: Member) -> bool:
    """Return whether the names are the same, and the new one is proven at least as well.

    A member of version 2 is never replaced: its client proves itself by its keys, not by an address.
    """
    if other.dialect == TSUDOI_2.name:
        return False
    is_verified = Rights.VERIFIED in member.rare.rights or Rights.VERIFIED not in other.rare.rights
    return is_verified and member.wished in (other.wished, other.name)
