"""Repair gaps: ask the log for entries that the news did not bring, and deliver them before anything later.

PUB/SUB may drop news; positions reveal it. Entries that the log no longer has are counted as lost.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Entry, News, Replay, Replayed

from .catch_up import CatchUp
from .closed_rooms import ClosedRooms
from .fencing import Fencing
from .members import Room
from .outbound import Component
from .replay_limiter import ReplayLimiter


@dataclass(slots=True, eq=False)
class Gaps(Component):
    """Repairs the gaps of rooms, for all live members together."""

    catch_up: CatchUp
    closed_rooms: ClosedRooms
    fencing: Fencing
    advance: Callable[[Room, list[Entry], float], None] = field(init=False)
    """Set by `Deliver`: delivers the entries that the log had."""

    def pace(self, room: Room, news: News, now: float) -> list[Entry]:
        """Return the entries of a large piece of news that may be delivered now; `repair` must follow for the rest."""
        new = news.entries
        if new[0].offset <= room.position:
            new = [entry for entry in new if entry.offset > room.position]
        allowed = self._limiter(room, room.position, now).live(len(new), news.last, now)
        return new if allowed == len(new) else new[:allowed]

    def _limiter(self, room: Room, last: int, now: float) -> ReplayLimiter:
        if room.limiter is None:
            room.limiter = ReplayLimiter(self.settings.replay_rate, last, now)
        return room.limiter

    def repair(self, room: Room, now: float) -> None:
        """Ask the log for what is missing, or wait for the limiter; meanwhile news only raise `known_last`."""
        room.repairing = True
        self.members.unsettled[room.id] = room
        limiter = self._limiter(room, room.known_last, now)
        portion = self.catch_up.next_portion(room, limiter, room.position, room.known_last, now)
        if not portion and not room.is_stale:
            return

        def answered(answer: Answer | None, now: float) -> None:
            room.repairing = False
            if self.members.rooms.get(room.id) is not room:
                return
            if isinstance(answer, Replayed) and not self.fencing.is_fenced(room.shard, now):
                self._take(room, answer, now)

        question = Replay(room.id, room.epoch, room.position, max(portion, 1), room.at_ms)
        self.routes.ask(room.shard, question, now, answered)

    def doubt(self, room: Room, now: float) -> None:
        """Ask the log whether it goes on from what was received here: it may be an older one, or a new epoch's."""
        room.is_stale = True
        self.members.unsettled[room.id] = room
        if not room.repairing and not self.fencing.is_fenced(room.shard, now):
            self.repair(room, now)

    def _take(self, room: Room, answer: Replayed, now: float) -> None:
        """Handle the log's answer: entries, a new epoch, or that the room is closed and its log gone (epoch 0)."""
        if answer.epoch == 0:
            self.counters.lost_entries += max(answer.last - room.position, 0)
            self.closed_rooms.log_is_gone(room)
            return
        room.is_stale = False
        if answer.epoch != room.epoch:
            self._begin_epoch(room, answer)
        if answer.first > room.position + 1:
            self.counters.lost_entries += answer.first - room.position - 1
            self.catch_up.interrupt_streams(room)
            room.position = room.last_not_joined = answer.first - 1
            room.at_ms = 0
            # Among the lost entries may be one that removed a member.
            self.fencing.reconcile(room.shard)
        room.known_last = max(room.known_last, answer.last)
        if room.limiter is not None:
            room.limiter.sent(len(answer.entries))
        self.advance(room, answer.entries, now)
        if self.members.rooms.get(room.id) is not room:
            return
        if room.position < room.known_last:
            self.repair(room, now)
            return
        if room.waiting:
            self.catch_up.go_on(room, now)

    def _begin_epoch(self, room: Room, answer: Replayed) -> None:
        """Begin a new epoch: history was lost, or an older state of the store was put in its place.

        The broker knows the last entry that was received here and is still in its log; later entries are delivered.
        """
        self.counters.resets += 1
        self.catch_up.interrupt_streams(room)
        room.epoch, room.known_last = answer.epoch, answer.last
        position = answer.first - 1
        if position != room.position:
            room.position = room.last_not_joined = position
            room.at_ms = 0
            for member in room.members.values():
                member.cursor = min(member.cursor, position)
        self.fencing.reconcile(room.shard)
