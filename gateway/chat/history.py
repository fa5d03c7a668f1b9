"""Choose what a new member is sent from before its join: the room's last messages (`--history`).

Of very long ones it is sent fewer: as many as one answer of the broker has, the last before its join. Version 2 has
them in the handshake's answer: TCP loses none of them, and the member's position stays where it joined.
"""

from typing import Any

import msgspec

from tsudoi.protocol.backbone import Answer, Entry, Replay, Replayed

from . import audience
from .command_answers import message_fields
from .members import CatchUpState, Member

HISTORY_ENTRIES = 500
"""Entries before the join that are searched for messages."""
MOST_BYTES = 48 * 1024
"""Of rows as JSON. The SDK takes an answer of 64 KiB; 200 lines of usual length have less than half."""


def history_question(member: Member, state: CatchUpState) -> Replay:
    """Return the question for the entries from before a member joined."""
    after = max(state.joined_at - HISTORY_ENTRIES, 0)
    return Replay(member.room.id, member.room.epoch, after, max(state.joined_at - after, 1), newest=True)


def history(entries: list[Entry], state: CatchUpState) -> list[Entry]:
    """Return the last messages from before a member joined, oldest first."""
    before = [entry for entry in entries if entry.offset <= state.joined_at and entry.kind in audience.BY_MEMBERS]
    return before[-state.history :]


def history_rows(answer: Answer | None, state: CatchUpState) -> list[dict[str, Any]]:
    """Return the messages for a handshake's answer, oldest first; none if the broker has not answered."""
    if not isinstance(answer, Replayed):
        return []
    found: list[dict[str, Any]] = []
    left = MOST_BYTES
    for entry in reversed(history(answer.entries, state)):
        row = message_fields(entry)
        left -= len(msgspec.json.encode(row)) + 1
        if left < 0:
            break
        found.append(row)
    return found[::-1]
