"""Limit the old entries that a member receives: a backlog if its address comes late, a history after a join."""

from tsudoi.protocol.backbone import Entry, Replay, created_ms

from ..counters import Counters
from ..settings import Settings
from . import audience
from .members import CatchUpState, Member
from .standstills import Standstills

PROMPT_S = 5.0
"""A client that shows its address within this time after its join is sent everything since then, however much it is:
clients do so at once, but a datagram may wait in the socket of a gateway that stands still."""
HISTORY_ENTRIES = 500
"""Entries before the join that are searched for the messages of the history."""


def skip_older(member: Member, settings: Settings, counters: Counters, standstills: Standstills, now: float) -> None:
    """Skip all but the last `--backlog` entries that a member without an address has missed for more than `PROMPT_S`.

    The broker's clock tells when it has joined (its id), and how late the room is here.
    """
    room = member.room
    oldest = room.position - settings.backlog
    age_s = (room.at_ms - created_ms(member.id)) / 1000
    if member.cursor < oldest and standstills.silent_s(now - age_s, now) >= PROMPT_S:
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
