"""Which members hear an entry of their room's log, by its kind; PROTOCOL.md, "Told".

Members whose listener promised notices hear of everything but what is for others alone. A member that is concerned
(it did something, or something was done to it) hears of that in any case.
"""

from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind

BY_MEMBERS = frozenset({EntryKind.SAID, EntryKind.ACTED})
"""What a member says to all: sent back to itself only in dialects that have it so (`Dialect.echo`)."""
FOR_ALL = frozenset({EntryKind.SAID, EntryKind.ACTED, EntryKind.ANNOUNCED})
"""Heard by all members."""
FOR_ONE = frozenset({EntryKind.WHISPERED, EntryKind.ANSWERED})
"""Heard by the members concerned only."""
COUNTED = frozenset({EntryKind.JOINED, EntryKind.LEFT})
"""Told to big rooms as numbers (`room_events`)."""


def concerned(entry: Entry) -> tuple[int, ...]:
    """Return the ids of the members that an entry concerns: none if all hear it anyway."""
    if entry.kind in FOR_ALL:
        return ()
    return (entry.member, entry.peer) if entry.peer and entry.peer != entry.member else (entry.member,)


def hears(entry: Entry, member: int, options: int) -> bool:
    """Say whether a member with this id and these options hears an entry; its own messages are another question."""
    if entry.kind in FOR_ALL or member in concerned(entry):
        return True
    return entry.kind not in FOR_ONE and bool(options & MemberOptions.NOTICES)
