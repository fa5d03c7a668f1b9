"""Limit the old entries that a member receives: a backlog if its address comes late, a history after a join."""

from tsudoi.protocol.backbone import Entry, Replay

from ..counters import Counters
from ..settings import Settings
from . import audience
from .members import CatchUpState, Member

HISTORY_ENTRIES = 500
"""Entries before the join that are searched for the messages of the history."""


def skip_older(member: Member, settings: Settings, counters: Counters) -> None:
    """Skip all but the last `--backlog` entries that a member without an address has missed."""
    oldest = member.room.position - settings.backlog
    if member.cursor < oldest:
        counters.backlog_skipped += oldest - member.cursor
        member.cursor = oldest


def history_question(member: Member, state: CatchUpState) -> Replay:
    """Return the question for the entries from before a member joined."""
    after = max(state.joined_at - HISTORY_ENTRIES, 0)
    return Replay(member.room.id, member.room.epoch, after, HISTORY_ENTRIES)


def history(entries: list[Entry], state: CatchUpState) -> list[Entry]:
    """Return the last messages from before a member joined (`--history`), oldest first."""
    before = [entry for entry in entries if entry.offset <= state.joined_at and entry.kind in audience.BY_MEMBERS]
    return before[-state.history :]
