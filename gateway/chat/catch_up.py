"""Send members what they have missed, from the room's log: after a join, a move or a handover.

Live members of a room have received it up to the room's position. Any other member has a cursor of its own: it is sent
the entries after it at the rate of `replay_limiter`, until it reaches the position and becomes live.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.protocol.backbone import Answer, Entry, Replay, Replayed
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind

from . import audience, history, render
from .closed_rooms import ClosedRooms
from .fencing import Fencing
from .groups import Groups
from .members import CatchUpState, Member, Room
from .outbound import Component
from .replay_limiter import ReplayLimiter
from .room_events import RoomEvents

_LEFT, _CLOSED = int(EntryKind.LEFT), int(EntryKind.CLOSED)
"""Plain ints: each entry is compared with them."""
SendAnswer = Callable[[Member, CatchUpState, Replayed], None]


@dataclass(slots=True, eq=False)
class CatchUp(Component):
    """Decides what members in `Room.waiting` are sent."""

    groups: Groups
    events: RoomEvents
    closed_rooms: ClosedRooms
    fencing: Fencing

    def begin(self, member: Member, now: float) -> None:
        """Start to catch up a member that has an address and is not live."""
        member.room.waiting[member.id] = member
        self.members.unsettled[member.room.id] = member.room
        self._go_on(member, now)

    def go_on(self, room: Room, now: float) -> None:
        """Continue with all members of a room that catch up."""
        for member in list(room.waiting.values()):
            self._go_on(member, now)

    def interrupt_streams(self, room: Room) -> None:
        """Let a room's members with streams come back with their positions, and so learn what is lost to them."""
        for member in list(room.members.values()):
            if member.stream is not None:
                member.stream.interrupt(member)

    def next_portion(self, room: Room, limiter: ReplayLimiter, reached: int, goal: int, now: float) -> int:
        """Return how many entries to ask a room's log for; 0: none now, `Deliver.go_on` asks again."""
        waited = limiter.waits
        portion = limiter.portion(reached, goal, now)
        if limiter.waits:
            self.counters.replays_paced += not waited
            self.members.paced[room.id] = room
        return portion

    def join_live(self, room: Room) -> None:
        """Make the members live that have reached the room's position, before it advances."""
        for member in list(room.waiting.values()):
            state = member.catch_up
            if member.cursor == room.position and not (state and (state.replaying or state.history)):
                self.groups.join(member)

    def _go_on(self, member: Member, now: float) -> None:
        room, state = member.room, member.catch_up
        if not room.confirmed or (state is not None and state.replaying):
            return
        if member.stream is not None and member.stream.is_behind:
            return  # a tick asks again
        if state is not None and state.history:
            self._ask_log(member, state, history.history_question(member, state), self._send_history, now)
            return
        # Many members join before their addresses are known: do not ask the log for JOINED entries alone.
        missed_joins = (
            room.last_not_joined <= member.cursor <= room.position and not member.options & MemberOptions.NOTICES
        )
        if member.cursor == room.position or missed_joins:
            self.groups.join(member)
            return
        if member.cursor > room.position:
            return  # the room's own gap is being repaired
        if state is None:
            state = member.catch_up = CatchUpState()
        if state.limiter is None:
            state.limiter = ReplayLimiter(self.settings.replay_rate, room.position, now)
        if portion := self.next_portion(room, state.limiter, member.cursor, room.position, now):
            question = Replay(room.id, room.epoch, member.cursor, portion)
            self._ask_log(member, state, question, self._send_replay, now)

    def _ask_log(self, member: Member, state: CatchUpState, question: Replay, send: SendAnswer, now: float) -> None:
        """Ask the log, pass the answer to `send`, and continue."""
        room = member.room

        def answered(answer: Answer | None, now: float) -> None:
            state.replaying = False
            if room.members.get(member.id) is not member or member.id not in room.waiting:
                return
            if member.catch_up is not state:
                return  # it has begun again, from elsewhere
            if not isinstance(answer, Replayed) or self.fencing.is_fenced(room.shard, now):
                return
            if answer.epoch == 0:
                self.closed_rooms.log_is_gone(room)
            elif answer.epoch == room.epoch:
                send(member, state, answer)
                if room.members.get(member.id) is member:
                    self._go_on(member, now)

        state.replaying = True
        self.routes.ask(room.shard, question, now, answered)

    def _send_history(self, member: Member, state: CatchUpState, answer: Replayed) -> None:
        self._send(member, history.history(answer.entries, state), member.cursor)
        state.history = 0
        member.options &= ~MemberOptions.HISTORY

    def _send_replay(self, member: Member, state: CatchUpState, answer: Replayed) -> None:
        """Send a member the entries that it has missed, up to its room's position."""
        room = member.room
        if answer.first > member.cursor + 1:
            self.counters.lost_entries += answer.first - member.cursor - 1
            member.cursor = answer.first - 1
            self.fencing.reconcile(room.shard)
            if member.stream is not None:
                member.stream.interrupt(member)
                return
        begun = member.cursor
        missed: list[Entry] = []
        for entry in answer.entries:
            if entry.offset > room.position:
                break
            if entry.offset <= member.cursor:
                continue
            if entry.kind == _LEFT and entry.member == member.id:
                # It left before this gateway knew of its join.
                self._send(member, missed, begun)
                self.events.remove(member, entry)
                return
            if entry.kind == _CLOSED:
                self._send(member, missed, begun)
                self.closed_rooms.end_for(member, entry)
                return
            is_own = entry.member == member.id and not member.dialect.echo and entry.kind in audience.BY_MEMBERS
            if not is_own and audience.receives(entry, member.id, member.options):
                missed.append(entry)
            member.cursor = entry.offset
        self._send(member, missed, begun)
        if state.limiter is not None:
            state.limiter.sent(member.cursor - begun)

    def _send(self, member: Member, entries: list[Entry], begun: int) -> None:
        """Send a member some entries: those that it gets of the offsets after `begun`, up to its cursor."""
        style, options = member.dialect.down, member.options
        rendered = (render.payload(entry, member.room.name, style, options, member.id) for entry in entries)
        payloads = [payload for payload in rendered if payload is not None]
        if payloads and member.address is not None:
            self.out.send_many(member.listener, member.address, payloads)
        elif member.stream is not None and member.cursor > begun:
            member.stream.send_entries(begun, member.cursor, payloads)
