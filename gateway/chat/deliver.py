"""Deliver a room's entries to its live members in the log's order, encoded once for each form of datagram.

All live members share the room's position, so an entry goes to all of them together and advances it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from tsudoi.protocol.backbone import Answer, Entry, News, Positions, RoomPositions
from tsudoi.protocol.codes import EntryKind

from . import render
from .catch_up import CatchUp
from .closed_rooms import ClosedRooms
from .delivery_reports import DeliveryReports
from .fencing import Fencing
from .gaps import Gaps
from .members import Member, Room, slots_in
from .outbound import Component
from .replay_limiter import AT_ONCE
from .room_events import RoomEvents
from .unknown_members import UnknownMembers

_SAID = int(EntryKind.SAID)
"""A plain int: it is compared for each entry."""
PAUSE_S = 0.25
"""Many entries that come together after so long a silence of their room were said during a pause of the broker. What
comes without a pause is delivered at once, however fast a room talks: its clients receive while it comes."""
POSITIONS_AT_ONCE = 2_000
"""Rooms in one question for positions; the broker accepts no more (`backbone.ROOMS_ASKED`)."""


@dataclass(slots=True, eq=False)
class Deliver(Component):
    """Decides what live members are sent."""

    gaps: Gaps
    catch_up: CatchUp
    events: RoomEvents
    closed_rooms: ClosedRooms
    fencing: Fencing
    reports: DeliveryReports
    unknown_members: UnknownMembers
    on_numbered: Callable[[Room, dict[int, int], float], None] = lambda room, numbers, now: None
    """Is called with the numbers that clients gave their messages, before these are delivered: of each member the last
    one, by its id."""

    def __post_init__(self) -> None:
        self.gaps.advance = self._advance
        self.fencing.on_reconciled = self.check_positions

    def handle_news(self, shard: int, news: Iterable[tuple[int, News]], now: float) -> None:
        """Handle news of a shard's rooms by their ids: entries, or only the last entry's position.

        Those of rooms without members here are ignored.
        """
        rooms, is_fenced = self.members.rooms, self.fencing.is_fenced(shard, now)
        for room_id, each in news:
            if room := rooms.get(room_id):
                self._handle_news(room, each, is_fenced, now)

    def _handle_news(self, room: Room, news: News, is_fenced: bool, now: float) -> None:
        if room.is_ended:
            return
        if news.epoch == 0:
            # It is closed, and this gateway has missed the closing: read the end of its log.
            room.known_last = max(room.known_last, news.last, room.position + 1)
            if not room.repairing:
                self.gaps.repair(room, now)
            return
        is_first, room.confirmed = not room.confirmed, True
        if news.epoch != room.epoch:
            self.gaps.doubt(room, now)
            return
        if news.last > room.known_last:
            room.known_last = news.last
        if room.repairing:
            return
        if is_fenced:
            self.members.unsettled[room.id] = room
            return
        entries, position = news.entries, room.position
        first = entries[0].offset if entries else news.last + 1
        if first <= position and _is_another_log(room, entries):
            self.gaps.doubt(room, now)
            return
        if news.last > position:
            if first > position + 1:
                # Before a room's first news its subscription was not live: that gap is not counted.
                self.counters.gaps += not is_first
                self.gaps.repair(room, now)
                return
            if len(entries) > AT_ONCE and now - room.spoke_at > PAUSE_S:
                entries = self.gaps.pace(room, news, now)
            self._advance(room, entries, now)
            if room.position < news.last and self.members.rooms.get(room.id) is room:
                self.gaps.repair(room, now)
                return
        if room.waiting:
            self.catch_up.go_on(room, now)

    def _advance(self, room: Room, entries: list[Entry], now: float) -> None:
        """Deliver entries that follow on the room's position; earlier ones among them were delivered already."""
        said: list[Entry] = []
        position = room.position
        # Where a member becomes live; elsewhere messages go together also while members catch up.
        cursors: Collection[int] = {member.cursor for member in room.waiting.values()} if room.waiting else ()
        for entry in entries:
            if entry.offset <= position:
                continue
            if position in cursors:
                self._deliver_messages(room, said, now)
                said = []
                self.catch_up.join_live(room)
            position = entry.offset
            if entry.kind == _SAID:
                said.append(entry)
                continue
            self._deliver_messages(room, said, now)
            said = []
            if entry.kind == EntryKind.CLOSED:
                self.closed_rooms.end(room, entry)
                return
            self.events.take(room, entry)
            if not room.members:
                return  # the last one here has left
            if entry.kind != EntryKind.JOINED:
                room.last_not_joined = position
            room.position, room.at_ms = position, entry.at_ms
        self._deliver_messages(room, said, now)
        self.reports.note(room)

    def _deliver_messages(self, room: Room, said: list[Entry], now: float) -> None:
        """Send consecutive messages to all live members, except each to the member that wrote it."""
        if not said:
            return
        last = said[-1]
        room.position = room.last_not_joined = last.offset
        room.at_ms, room.spoke_at = last.at_ms, now
        senders: list[Member | None] = []
        numbers: dict[int, int] = {}
        for entry in said:
            senders.append(room.members.get(entry.member))
            if entry.code:
                numbers[entry.member] = entry.code
        if numbers:
            self.on_numbered(room, numbers, now)
        payloads: list[bytes] = []
        encoded = None
        for (listener, style, _), recipients in room.groups.items():
            if style is not encoded:
                payloads = render.messages(said, room.name, style)
                encoded = style
            self.out.fan_out(listener, recipients, payloads, slots_in(recipients, senders))

    def check_positions(self, shard: int, now: float) -> None:
        """Ask for the positions of all rooms of a shard, and report all: news or reports may have been lost."""
        rooms = self.members.by_shard[shard]
        for room in rooms.values():
            self.reports.note(room)

        def answered(answer: Answer | None, now: float) -> None:
            for room_id, epoch, last in answer.positions if isinstance(answer, RoomPositions) else ():
                if room := rooms.get(room_id):
                    self.handle_news(shard, ((room_id, News(epoch, last, [])),), now)
                    self.unknown_members.ends_at(room, epoch, last)
            self.unknown_members.tick(now)

        own = [(room.id, room.epoch, room.position, room.at_ms) for room in rooms.values()]
        for start in range(0, len(own), POSITIONS_AT_ONCE):
            self.routes.ask(shard, Positions(own[start : start + POSITIONS_AT_ONCE]), now, answered)

    def tick(self, now: float) -> None:
        """Report, reconcile, and continue in rooms where an answer is missing."""
        self.catch_up.groups.publish_waiting()
        self.reports.report_if_due(now)
        fenced = self.fencing.tick(now)
        if len(fenced) == len(self.members.by_shard):
            return
        self.events.tick(now)
        self.unknown_members.tick(now)
        unsettled = self.members.unsettled
        for room in list(unsettled.values()):
            if self.members.rooms.get(room.id) is not room or (room.shard not in fenced and not self._go_on(room, now)):
                del unsettled[room.id]

    def go_on(self, now: float) -> None:
        """Continue the replays that have waited for their limiters. Call it `PACE_S` after one has begun to wait."""
        paced, self.members.paced = self.members.paced, {}
        for room in paced.values():
            if self.members.rooms.get(room.id) is room and not self.fencing.is_fenced(room.shard, now):
                self._go_on(room, now)

    def _go_on(self, room: Room, now: float) -> bool:
        """Continue in a room; return False if there is nothing more to do."""
        if room.repairing:
            if room.limiter is not None and room.limiter.waits:
                self.gaps.repair(room, now)
        elif room.is_stale or (room.confirmed and room.position < room.known_last):
            self.gaps.repair(room, now)
        elif room.waiting:
            self.catch_up.go_on(room, now)
        else:
            return False
        return True


def _is_another_log(room: Room, entries: list[Entry]) -> bool:
    """Return whether the entry at the room's position is not the one that was received here."""
    return bool(room.at_ms) and any(each.offset == room.position and each.at_ms != room.at_ms for each in entries)
