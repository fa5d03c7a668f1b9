"""Decide what a ban (may not join) or a mute (may not send) covers, in one room or in all; PROTOCOL.md, "Commands".

A host names a member. Its name is covered, and its address too, so that another name alone does not evade the order;
but not an address that others have: the name alone is covered if another member of the room has the address, or if it
lies in the gateway's `--unlimited` networks (a school's NAT, a proxy). An address that the host or the operator names
itself is always covered. Of an IPv6 address the first 64 bits count (`tsudoi/ops/rate_key.py`): one user has all
addresses of a /64. Times are milliseconds since 1970.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.client.member_options import MemberOptions

from ..store.interface import FOREVER, Restriction, RestrictionKind
from .room_and_member import Member

EVERYWHERE = 0
"""Instead of a room's id: for all rooms, set by the operator."""
RESTRICTIONS_A_ROOM = 1_000
"""Bans and mutes of one room; beyond that the oldest is lifted."""

Key = tuple[int, int, str, str]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a ban or a mute of one member covers."""

    names: tuple[str, ...]
    ip: str
    """Its address, as a rate key; empty: names alone."""
    address: str
    """The member's address, covered or not."""
    others: int
    """Other members of its room that have this address."""


def coverage(target: Member) -> Coverage:
    room, address = target.room, rate_key(target.ip)
    others = sum(1 for each in room.members.values() if each is not target and rate_key(each.ip) == address)
    is_shared = others or target.options & MemberOptions.SHARED_ADDRESS
    return Coverage(own_names(target), "" if is_shared else address, address, others)


def own_names(member: Member) -> tuple[str, ...]:
    """Return a member's name, and the one that it asked for unless another member has that: it is bob#2, not bob."""
    wished = member.wished
    return (member.name,) if wished == member.name or member.room.is_taken(wished) else (member.name, wished)


def removed_everywhere(members: Iterable[Member], name: str, ip: str) -> list[Member]:
    """Return the members that a ban from all rooms, of a name or of a rate key, removes, in this order.

    Guests come before hosts: they are told why, and then rooms close.
    """

    def is_meant(member: Member) -> bool:
        if name:
            return name in (member.name, member.wished)
        return ip in (rate_key(member.ip), rate_key(member.where))

    meant = [member for member in members if not member.room.closed_ms and is_meant(member)]
    return sorted(meant, key=lambda each: each.is_host)


class BansAndMutes:
    """All bans and mutes."""

    def __init__(self, restrictions: Iterable[Restriction]) -> None:
        """Begin with what the store has."""
        self._rooms: dict[int, dict[Key, Restriction]] = {}
        self.changes: dict[Key, Restriction | None] = {}
        """Those since the last turn, for the store, which takes them."""
        for restriction in restrictions:
            self._rooms.setdefault(restriction.room, {})[restriction.key] = restriction
        for restriction in [each for room in self._rooms.values() for each in room.values()]:
            if (ip := rate_key(restriction.ip)) != restriction.ip:
                # An older store may have a single address of IPv6.
                self._drop(restriction)
                self.add(replace(restriction, ip=ip))

    def add(self, restriction: Restriction) -> None:
        """Add a ban or mute, or replace the one with its key; its address is a rate key.

        A room keeps the newest 1,000; the oldest is dropped.
        """
        room = self._rooms.setdefault(restriction.room, {})
        room.pop(restriction.key, None)
        room[restriction.key] = self.changes[restriction.key] = restriction
        if len(room) > RESTRICTIONS_A_ROOM:
            self._drop(next(iter(room.values())))

    def lift(self, room: int, kind: RestrictionKind, who: str) -> list[Restriction]:
        """Lift the restrictions of a kind on a name, or on an address; return those that were there.

        A restriction of a member covers its name and its address: lifting the name lifts both, lifting the address
        leaves the name restricted.
        """
        name, ip = who or None, rate_key(who) or None
        held = [each for each in self._rooms.get(room, {}).values() if each.kind == kind]
        lifted = [each for each in held if each.name == name or each.ip == ip]
        for restriction in lifted:
            self._drop(restriction)
            if restriction.name and restriction.name != name:
                self.add(replace(restriction, ip=""))
        return lifted

    def free_address(self, room: int, kind: RestrictionKind, ip: str) -> None:
        """Lift the address from restrictions on other members' names: it turned out to be shared."""
        key, held = rate_key(ip) or None, list(self._rooms.get(room, {}).values())
        for restriction in [each for each in held if each.kind == kind and each.name and each.ip == key]:
            self._drop(restriction)
            self.add(replace(restriction, ip=""))

    def until(self, room: int, kind: RestrictionKind, name: str, ip: str, now_ms: int, is_shared: bool = False) -> int:
        """Return until when a user is restricted, in this room or everywhere; 0: not. Drop what has expired.

        `is_shared`: many users may have its address, so a restriction on a member's name does not cover it.
        """
        latest, user, address = 0, name or None, rate_key(ip) or None
        expired = []
        for where in {EVERYWHERE, room}:
            for each in self._rooms.get(where, {}).values():
                if each.until_ms <= now_ms:
                    expired.append(each)
                elif each.name == user or (each.ip == address and not (is_shared and each.name)):
                    latest = max(latest, each.until_ms if each.kind == kind else 0)
        for each in expired:
            self._drop(each)
        return latest

    def of_room(self, room: int) -> list[Restriction]:
        """Return the restrictions of a room, oldest first; of `EVERYWHERE`, the operator's."""
        return list(self._rooms.get(room, {}).values())

    def forget_room(self, room: int) -> None:
        """Forget the restrictions of a room that is purged; the store drops them with the room."""
        self._rooms.pop(room, None)

    def _drop(self, restriction: Restriction) -> None:
        self.changes[restriction.key] = None
        room = self._rooms[restriction.room]
        del room[restriction.key]
        if not room:
            del self._rooms[restriction.room]


def end_of(minutes: int, now_ms: int) -> int:
    """Return when a restriction that begins now ends; 0 minutes: never."""
    return now_ms + minutes * 60_000 if minutes else FOREVER


def minutes_left(until_ms: int, now_ms: int) -> int:
    """Return for how many minutes, begun ones included, a restriction holds yet; 0: it does not end by itself."""
    return 0 if until_ms == FOREVER else -(-(until_ms - now_ms) // 60_000)
