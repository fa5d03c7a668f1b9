"""What a member of version 2 is told of the time before its join; PROTOCOL.md, "Handshake of version 2".

The lines are part of the handshake's answer: TCP loses none of them, and the member's position stays where it joined.
"""

from typing import Any

import msgspec

from tsudoi.protocol.backbone import Answer, Replayed

from ..chat import history
from ..chat.command_answers import message_fields
from ..chat.members import CatchUpState

MOST_BYTES = 48 * 1024
"""As JSON. The SDK takes an answer of 64 KiB; 200 lines of usual length have less than half."""


def rows(answer: Answer | None, state: CatchUpState) -> list[dict[str, Any]]:
    """Return the lines for the client, oldest first; none if the broker has not answered."""
    if not isinstance(answer, Replayed):
        return []
    found: list[dict[str, Any]] = []
    left = MOST_BYTES
    for entry in reversed(history.history(answer.entries, state)):
        row = message_fields(entry)
        left -= len(msgspec.json.encode(row)) + 1
        if left < 0:
            break
        found.append(row)
    return found[::-1]
