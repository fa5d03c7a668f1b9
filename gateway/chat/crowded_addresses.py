"""Decide which member makes room when its address has as many as it may (`--address-members`) and another one comes.

Members behind one address look alike, and one user may have made most of them. So a newcomer displaces first a member
that never sent a datagram. Next come members of a room that has at least two more of them than the newcomer's, serves
this address alone, and is quiet or has more than a quarter of the address's places. The largest room gives first: in it
members that never spoke, then the newest, so the host last. A room with other addresses' members, and one in which
members talk, loses none. So a user who fills an address gives way to its classmates, and does not displace them.
"""

from dataclasses import dataclass, field

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.codes import LeaveReason

from .leave import Leaving
from .members import Member, Members, Room
from .outbound import Component

UNHEARD_S = 5.0
"""How long a new member has to send its first datagram."""
QUIET_S = 300.0
"""A room without a message for this time is quiet."""
LOOK_S, FOUND, ADDRESSES = 1.0, 100, 100
"""Least time between two searches for one address, as each looks at all members; members that one search finds; and
addresses for which these are kept."""


@dataclass(slots=True)
class Spare:
    """What one search has found for an address."""

    searched_at: float
    unheard: list[Member]
    """Members that never sent a datagram; the last one goes first, here and in the next list."""
    quiet: list[Member]
    """Of rooms that can do without them."""
    shares: dict[str, int]
    """Room → its members from this address."""


@dataclass(slots=True, eq=False)
class CrowdedAddresses(Component):
    """Displaces members of addresses that have their most."""

    leaving: Leaving
    _spare: dict[str, Spare] = field(default_factory=dict)
    """By rate key."""

    def may_add(self, rate_key: str, room: str, now: float) -> bool:
        """Return whether an address may have one more member, in the room of that name; if not, count it."""
        has_place = not rate_key or self.members.rate_keys.get(rate_key, 0) < self.settings.address_members
        if has_place or self._take(rate_key, room, now) is not None:
            return True
        self.counters.members_limited += 1
        return False

    def added(self, newcomer: Member, now: float) -> None:
        """Remove another member of the newcomer's address if the address has more than `--address-members`."""
        rate_key, room = newcomer.rate_key, newcomer.room.name
        if not rate_key or self.members.rate_keys.get(rate_key, 0) <= self.settings.address_members:
            return
        if (displaced := self._take(rate_key, room, now)) is not None:
            self.counters.members_displaced += 1
            self.leaving.leave(displaced, LeaveReason.IDLE, now)
            shares = self._spare[rate_key].shares
            shares[displaced.room.name] -= 1
            shares[room] = shares.get(room, 0) + 1

    def _take(self, rate_key: str, room: str, now: float) -> Member | None:
        """Return the member that makes room for one in a room of that name; None: each one keeps its place."""
        spare = self._spare.get(rate_key)
        if spare is None or (now - spare.searched_at >= LOOK_S and not (spare.unheard or spare.quiet)):
            spare = search(self.members, rate_key, self.settings.address_members, now)
        put_newest(self._spare, rate_key, spare, ADDRESSES)
        for found in (spare.unheard, spare.quiet):
            while found and (_is_gone(found[-1]) or (found is spare.unheard and found[-1].is_reachable)):
                found.pop()
        if spare.unheard:
            return spare.unheard[-1]
        if spare.quiet and spare.shares[spare.quiet[-1].room.name] >= spare.shares.get(room, 0) + 2:
            return spare.quiet[-1]
        return None


def search(members: Members, rate_key: str, most: int, now: float) -> Spare:
    """Find the members of an address that can make room for others; `most` is how many it may have."""
    unheard: list[tuple[int, int, Member]] = []
    quiet: list[tuple[int, int, Member]] = []
    shares: dict[str, int] = {}
    silent_s = members.standstills.silent_s
    for room in members.rooms.values():
        own = [member for member in room.members.values() if member.rate_key == rate_key and not member.leaving]
        if not own:
            continue
        share = shares[room.name] = len(own)
        silent = [member for member in own if not member.is_reachable and silent_s(member.seen, now) >= UNHEARD_S]
        heard = sorted((member for member in own if member.is_reachable), key=_worth)
        # Each one that goes makes its room smaller: the largest room gives until it is as large as the next.
        places = enumerate(sorted(silent, key=_worth))
        unheard += [(place - share, -member.id, member) for place, member in places]
        places = enumerate(heard[: _spare_in(room, share, most, now)])
        quiet += [(place - share, -member.id, member) for place, member in places]
    first, second = (
        [member for _, _, member in sorted(found, key=lambda each: each[:2])[:FOUND]][::-1]
        for found in (unheard, quiet)
    )
    return Spare(now, first, second, shares)


def _is_gone(member: Member) -> bool:
    return member.leaving or member.id not in member.room.members


def _worth(member: Member) -> tuple[bool, int]:
    return member.sender is not None, -member.id


def _spare_in(room: Room, own: int, most: int, now: float) -> int:
    """Return how many members of an address a room can lose, of so many."""
    if own < room.size:
        return 0
    return own if is_quiet(room, now) else max(own - most // 4, 0)


def is_quiet(room: Room, now: float) -> bool:
    """Return whether no message has come in a room lately."""
    return now - room.spoke_at >= QUIET_S
