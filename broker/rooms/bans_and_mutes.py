"""Bans (may not join) and mutes (may not send) of one room or of all; PROTOCOL.md, "Commands".

A restriction is by name and by address, so that another name alone does not evade it. Of an IPv6 address the first 64
bits count (`tsudoi/ops/rate_key.py`): one user has all addresses of a /64. Times are milliseconds since 1970.
"""

from collections.abc import Iterable

from tsudoi.ops.rate_key import rate_key

from ..store.interface import FOREVER, Restriction, RestrictionKind

EVERYWHERE = 0
"""Instead of a room's id: for all rooms, set by the operator."""
RESTRICTIONS_A_ROOM = 1_000
"""Bans and mutes of one room; beyond that the oldest is lifted."""

Key = tuple[int, int, str, str]


class BansAndMutes:
    """All bans and mutes."""

    def __init__(self, restrictions: Iterable[Restriction]) -> None:
        """Begin with what the store has."""
        self._rooms: dict[int, dict[Key, Restriction]] = {}
        self._changes: dict[Key, Restriction | None] = {}
        for restriction in restrictions:
            self._rooms.setdefault(restriction.room, {})[restriction.key] = restriction

    def take_changes(self) -> dict[Key, Restriction | None]:
        """Return the changes since the last call, for the store."""
        changes, self._changes = self._changes, {}
        return changes

    def add(self, restriction: Restriction) -> None:
        """Add or replace a restriction."""
        room = self._rooms.setdefault(restriction.room, {})
        room.pop(restriction.key, None)
        room[restriction.key] = self._changes[restriction.key] = restriction
        if len(room) > RESTRICTIONS_A_ROOM:
            self._drop(next(iter(room.values())))

    def lift(self, room: int, kind: RestrictionKind, who: str) -> bool:
        """Lift all restrictions of a kind on a name or an address; return whether there were any."""
        held = self._rooms.get(room, {}).values()
        found = [each for each in held if each.kind == kind and _concerns(each, who, who)]
        for restriction in found:
            self._drop(restriction)
        return bool(found)

    def until(self, room: int, kind: RestrictionKind, name: str, ip: str, now_ms: int) -> int:
        """Return until when a user is restricted, in this room or everywhere; 0: not. Drop what has expired."""
        latest = 0
        for restrictions in (self._rooms.get(EVERYWHERE), self._rooms.get(room)):
            for restriction in list(restrictions.values()) if restrictions else ():
                if restriction.until_ms <= now_ms:
                    self._drop(restriction)
                elif restriction.kind == kind and _concerns(restriction, name, ip):
                    latest = max(latest, restriction.until_ms)
        return latest

    def of_room(self, room: int) -> list[Restriction]:
        """Return the restrictions of a room, oldest first; of `EVERYWHERE`, the operator's."""
        return list(self._rooms.get(room, {}).values())

    def forget_room(self, room: int) -> None:
        """Forget the restrictions of a room that is purged; the store drops them with the room."""
        self._rooms.pop(room, None)

    def _drop(self, restriction: Restriction) -> None:
        self._changes[restriction.key] = None
        room = self._rooms[restriction.room]
        del room[restriction.key]
        if not room:
            del self._rooms[restriction.room]


def _concerns(restriction: Restriction, name: str, ip: str) -> bool:
    if restriction.name and name == restriction.name:
        return True
    key = rate_key(ip)
    return bool(key) and key == rate_key(restriction.ip)


def end_of(minutes: int, now_ms: int) -> int:
    """Return when a restriction that begins now ends; 0 minutes: never."""
    return now_ms + minutes * 60_000 if minutes else FOREVER
