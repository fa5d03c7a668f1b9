"""How much of the past a member is sent: a backlog if its address comes late, and a history if it has just joined."""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.protocol.backbone import Answer, Entry, Replay, Replayed

from ..config import Settings
from ..counters import Counters
from . import audience
from .members import CatchUpState, Member
from .outbound import Outbound

HISTORY_ENTRIES = 500
"""Entries from before the joining in which the messages of its history are looked for."""


@dataclass(slots=True, eq=False)
class Backlog:
    """Decides what of the past waits for a member."""

    settings: Settings
    out: Outbound
    counters: Counters

    def skip_older(self, member: Member) -> None:
        """Skip what a member without an address has missed beyond the last few entries (`--backlog`)."""
        oldest = member.room.position - self.settings.backlog
        if member.cursor < oldest:
            self.counters.backlog_skipped += oldest - member.cursor
            member.cursor = oldest

    def ask_history(
        self, member: Member, state: CatchUpState, now: float, on_history: Callable[[list[Entry] | None, float], None]
    ) -> None:
        """Ask the log for the last messages from before a member joined (`--history`).

        Args:
            member: who has joined.
            state: says when, and how many messages.
            now: monotonic seconds.
            on_history: called with them, oldest first; None: the room is closed and its log gone. Not called if there
                is no answer, or another epoch's: then they are asked for again.
        """
        room = member.room

        def answered(answer: Answer | None, now: float) -> None:
            state.replaying = False
            if not isinstance(answer, Replayed):
                return
            if answer.epoch == 0:
                on_history(None, now)
            elif answer.epoch == room.epoch:
                before = [e for e in answer.entries if e.offset < state.joined_at and e.kind in audience.BY_MEMBERS]
                on_history(before[-state.history :], now)

        state.replaying = True
        after = max(state.joined_at - 1 - HISTORY_ENTRIES, 0)
        self.out.ask(Replay(room.id, room.epoch, after, HISTORY_ENTRIES), now, answered)
