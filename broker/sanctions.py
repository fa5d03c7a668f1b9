"""Who may not come into a room, or not speak in it; PROTOCOL.md, "Commands".

By name and by address: somebody who comes back under another name is known by the address, and the other way round. An
address stands for its rate_key (`protocol/rate_key.py`): who has one address of IPv6 has very many.
Times are milliseconds since 1970.
"""

from collections.abc import Iterable

from broker.store import FOREVER, Sanction, SanctionKind
from tsudoi.ops.rate_key import rate_key

EVERYWHERE = 0
"""In place of a room: set by the operator, for all rooms."""
SANCTIONS_A_ROOM = 1_000
"""Bans and mutes of one room; beyond that the oldest goes."""

Changes = dict[tuple[int, int, str, str], Sanction | None]


class Sanctions:
    """All bans and mutes."""

    def __init__(self, sanctions: Iterable[Sanction]) -> None:
        self._rooms: dict[int, dict[tuple[int, int, str, str], Sanction]] = {}
        for sanction in sanctions:
            self._rooms.setdefault(sanction.room, {})[sanction.key] = sanction

    def add(self, sanction: Sanction, changes: Changes) -> None:
        """Let a sanction hold from now on; what is to be stored is noted in `changes`."""
        room = self._rooms.setdefault(sanction.room, {})
        room.pop(sanction.key, None)
        room[sanction.key] = changes[sanction.key] = sanction
        if len(room) > SANCTIONS_A_ROOM:
            self._drop(next(iter(room.values())), changes)

    def lift(self, room: int, kind: SanctionKind, who: str, changes: Changes) -> bool:
        """Lift all sanctions of a kind on a name or an address; False if there were none."""
        found = [s for s in self._rooms.get(room, {}).values() if s.kind == kind and _concerns(s, who, who)]
        for sanction in found:
            self._drop(sanction, changes)
        return bool(found)

    def until(self, room: int, kind: SanctionKind, name: str, ip: str, now_ms: int, changes: Changes) -> int:
        """Return until when somebody may not do a thing, in this room or anywhere; 0 if it may. What is over goes."""
        latest = 0
        for sanctions in (self._rooms.get(EVERYWHERE), self._rooms.get(room)):
            for sanction in list(sanctions.values()) if sanctions else ():
                if sanction.until_ms <= now_ms:
                    self._drop(sanction, changes)
                elif sanction.kind == kind and _concerns(sanction, name, ip):
                    latest = max(latest, sanction.until_ms)
        return latest

    def of_room(self, room: int) -> list[Sanction]:
        """Return what holds in a room, oldest first; of `EVERYWHERE`, what holds in all."""
        return list(self._rooms.get(room, {}).values())

    def forget_room(self, room: int) -> None:
        """A room was closed: the store drops its sanctions with it."""
        self._rooms.pop(room, None)

    def _drop(self, sanction: Sanction, changes: Changes) -> None:
        changes[sanction.key] = None
        room = self._rooms[sanction.room]
        del room[sanction.key]
        if not room:
            del self._rooms[sanction.room]


def _concerns(sanction: Sanction, name: str, ip: str) -> bool:
    if sanction.name and name == sanction.name:
        return True
    where = rate_key(ip)
    return bool(where) and where == rate_key(sanction.ip)


def end_of(minutes: int, now_ms: int) -> int:
    """Return when a time is over that begins now; 0 minutes never are."""
    return now_ms + minutes * 60_000 if minutes else FOREVER
