"""Choose what a new member is sent from before its join: the room's last messages (`--history`).

Of very long ones it is sent fewer: as many as one answer of the broker has, the last before its join.
"""

from tsudoi.protocol.backbone import Entry, Replay

from . import audience
from .members import CatchUpState, Member

HISTORY_ENTRIES = 500
"""Entries before the join that are searched for messages."""


def history_question(member: Member, state: CatchUpState) -> Replay:
    """Return the question for the entries from before a member joined."""
    after = max(state.joined_at - HISTORY_ENTRIES, 0)
    return Replay(member.room.id, member.room.epoch, after, max(state.joined_at - after, 1), newest=True)


def history(entries: list[Entry], state: CatchUpState) -> list[Entry]:
    """Return the last messages from before a member joined, oldest first."""
    before = [entry for entry in entries if entry.offset <= state.joined_at and entry.kind in audience.BY_MEMBERS]
    return before[-state.history :]
