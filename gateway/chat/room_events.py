"""Handle room events: entries of a room's log other than messages and the closing (joins, renames, …).

`audience` decides which members receive them. In big rooms joins and leaves are counted, and sent as numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.web.codes import Ending

from . import audience, render
from .leave import Leaving
from .members import DISPLACED, Member, Room, slots_in
from .outbound import Component

BIG_ROOM, COUNTED_S = 1_000, 1.0
"""In a room with more members than this, joins and leaves are sent as numbers, this often: n joins of a crowd would be
n² datagrams."""

_ENDINGS = {
    int(LeaveReason.IDLE): Ending.IDLE,
    int(LeaveReason.KICKED): Ending.KICKED,
    int(LeaveReason.BANNED): Ending.BANNED,
    int(LeaveReason.OPERATOR): Ending.REMOVED,
}


@dataclass(slots=True, eq=False)
class RoomEvents(Component):
    """Sends live members the entries of their rooms, except messages and the closing."""

    leaving: Leaving
    _counted: dict[int, tuple[Room, list[int]]] = field(default_factory=dict)
    """Room id → the room, and [joins, leaves] that were not sent yet."""
    _counts_sent_at: float = 0.0

    def take(self, room: Room, entry: Entry) -> None:
        """Handle a room's next entry: apply what it changes here, and send it to its audience."""
        member = room.members.get(entry.member)
        if entry.kind == EntryKind.LEFT:
            room.size = max(room.size - 1, 0)
            if member is not None:
                self.remove(member, entry)
        elif entry.kind == EntryKind.JOINED:
            room.size = entry.code or room.size + 1
        elif entry.kind == EntryKind.RENAMED and member is not None:
            member.rename(entry.text)
        if entry.kind in audience.BY_MEMBERS:
            self._fan_out(room, entry, sender=member)
        elif entry.kind in audience.FOR_ALL:
            self._fan_out(room, entry)
        elif entry.kind in audience.COUNTED and room.size > BIG_ROOM:
            counts = self._counted.setdefault(room.id, (room, [0, 0]))[1]
            counts[entry.kind == EntryKind.LEFT] += 1
            self._send_to_concerned(room, entry, (entry.peer,), but_noticing=False)
        elif entry.kind in audience.FOR_ONE:
            self._send_to_concerned(room, entry, audience.concerned(entry), but_noticing=False)
        else:
            self._fan_out(room, entry, noticing=True)
            self._send_to_concerned(room, entry, audience.concerned(entry), but_noticing=True)

    def remove(self, member: Member, entry: Entry) -> None:
        """Drop a member that has left or was removed; send it the reason, unless it left by itself."""
        if member.stream is not None:
            why = render.why_removed(entry, member.room.name, member.options)
            member.stream.end(member, _ENDINGS.get(entry.code, Ending.LEFT), why, entry.offset - 1)
        elif member.address is not None and member.source != DISPLACED:
            for payload in render.farewell(entry, member.room.name, member.dialect, member.options):
                self.send_to(member, payload)
        self.leaving.drop(member)

    def tick(self, now: float) -> None:
        """Send big rooms the numbers of joins and leaves."""
        if not self._counted or now - self._counts_sent_at < COUNTED_S:
            return
        self._counts_sent_at = now
        counted, self._counted = self._counted, {}
        for room, (joined, left) in counted.values():
            for (listener, style, options), recipients in room.groups.items():
                if options & MemberOptions.NOTICES:
                    payload = render.people(style, room.name, options, joined, left)
                    self.out.fan_out(listener, recipients, (payload,), (-1,))

    def _fan_out(self, room: Room, entry: Entry, sender: Member | None = None, noticing: bool = False) -> None:
        """Send an entry to all live members except the sender, or only to those with notices."""
        for (listener, style, options), recipients in room.groups.items():
            if noticing and not options & MemberOptions.NOTICES:
                continue
            payload = render.payload(entry, room.name, style, options)
            if payload is None:
                continue
            self.out.fan_out(listener, recipients, (payload,), slots_in(recipients, (sender,)))

    def _send_to_concerned(self, room: Room, entry: Entry, ids: Iterable[int], *, but_noticing: bool) -> None:
        """Send an entry to these live members; `but_noticing`: except to those with notices, which already have it."""
        for member_id in ids:
            member = room.members.get(member_id)
            if member is None or member.recipients is None:
                continue
            if but_noticing and member.options & MemberOptions.NOTICES:
                continue
            payload = render.payload(entry, room.name, member.dialect.down, member.options, member.id)
            if payload is not None:
                self.send_to(member, payload)
