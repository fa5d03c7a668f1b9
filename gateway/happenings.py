"""What happens in a room beside talk: who hears of it, and how; PROTOCOL.md, "Told".

Who comes and goes is told to those whose listener has notices. In big rooms it is counted and told once a second.
"""

from collections.abc import Iterable
from typing import Protocol

from gateway import render
from gateway.members import Member, Recipients, Room
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind

BIG_ROOM = 1_000
"""Members from which on coming and going is told in numbers."""
COUNTED_S = 1.0
TOLD = MemberOptions.NOTICES | MemberOptions.JAPANESE
"""What of a member's options decides what it is told of the same entry."""
SPOKEN = frozenset({EntryKind.SAID, EntryKind.ACTED})
"""What a member says to all: it hears that itself only in dialects that have it so."""


class Doors(Protocol):
    """What carries decisions out, at once and in order: a group may be another by the next decision."""

    def fan_out(self, door: int, recipients: Recipients, payload: bytes, skip: int) -> None:
        """Send a payload from a door to all of a group, but for the member in slot `skip` (-1: nobody)."""

    def send_to(self, door: int, address: bytes, payload: bytes) -> None:
        """Send a payload from a door to one address."""

    def subscribe(self, topic: bytes) -> None:
        """Ask the broker for the news of a topic."""

    def unsubscribe(self, topic: bytes) -> None:
        """Ask for them no more."""


class Served(Protocol):
    """What serves the members; `gateway.delivery.Delivery`."""

    def drop(self, member: Member) -> None:
        """Serve a member no more."""

    def send_to(self, member: Member, payload: bytes) -> None:
        """Send one datagram to a member, if it is known where it is."""


class Happenings:
    """Tells live members of a room's entries, but for what is said and the closing."""

    def __init__(self, doors: Doors, served: Served) -> None:
        self._doors = doors
        self._served = served
        self._counted: dict[int, tuple[Room, list[int]]] = {}
        """Room id → the room and [how many joined, how many left], not told yet."""
        self._told_at = 0.0

    def take(self, room: Room, entry: Entry, now: float) -> None:
        """Take the next entry of a room: note what it changes here, and tell who is to hear of it."""
        member = room.members.get(entry.member)
        if entry.kind == EntryKind.LEFT:
            room.size = max(room.size - 1, 0)
            if member is not None:
                self.part(member, entry)
        elif entry.kind == EntryKind.JOINED:
            room.size = entry.code or room.size + 1
        elif entry.kind == EntryKind.RENAMED and member is not None:
            member.rename(entry.text)
        if entry.kind in SPOKEN:
            self._fan_out(room, entry, skip=member)
        elif entry.kind in render.FOR_ALL:
            self._fan_out(room, entry)
        elif entry.kind in render.COUNTED and room.size > BIG_ROOM:
            counts = self._counted.setdefault(room.id, (room, [0, 0]))[1]
            counts[entry.kind == EntryKind.LEFT] += 1
            self._tell_concerned(room, entry, (entry.peer,))
        else:
            if entry.kind not in render.FOR_ONE:
                self._fan_out(room, entry, noticed=True)
            self._tell_concerned(room, entry, render.concerned(entry))

    def part(self, member: Member, entry: Entry) -> None:
        """A member that is served here is in its room no more: tell it why, if it did not go itself."""
        for payload in render.farewell(entry, member.room.name, member.dialect, member.options):
            self._served.send_to(member, payload)
        self._served.drop(member)

    def tick(self, now: float) -> None:
        """Tell big rooms how many have come and gone, once a second."""
        if not self._counted or now - self._told_at < COUNTED_S:
            return
        self._told_at = now
        counted, self._counted = self._counted, {}
        for room, (joined, left) in counted.values():
            for (door, style, options), recipients in room.groups.items():
                if options & MemberOptions.NOTICES:
                    self._doors.fan_out(door, recipients, render.people(style, room.name, options, joined, left), -1)

    def _fan_out(self, room: Room, entry: Entry, skip: Member | None = None, noticed: bool = False) -> None:
        """Tell the live members; only those with notices if `noticed`."""
        for (door, style, options), recipients in room.groups.items():
            if noticed and not options & MemberOptions.NOTICES:
                continue
            payload = render.payload(entry, room.name, style, options)
            if payload is not None:
                own = skip is not None and skip.recipients is recipients and not skip.dialect.echo
                self._doors.fan_out(door, recipients, payload, skip.slot if skip is not None and own else -1)

    def _tell_concerned(self, room: Room, entry: Entry, ids: Iterable[int]) -> None:
        """Tell those who hear of it in any case, if they have not with the others; who waits will be replayed."""
        for member_id in ids:
            member = room.members.get(member_id)
            if member is None or member.recipients is None:
                continue
            if (
                entry.kind not in render.FOR_ONE
                and member.options & MemberOptions.NOTICES
                and not (entry.kind in render.COUNTED and room.size > BIG_ROOM)
            ):
                continue
            payload = render.payload(entry, room.name, member.dialect.down, member.options, member.id)
            if payload is not None:
                self._served.send_to(member, payload)
