"""Which members are sent an entry of their room's log, by its kind; PROTOCOL.md, "Told".

Members with notices are sent all entries except those for other members alone. Members that an entry concerns (the one
that did something, and the one to which it was done) are sent it in any case.
"""

from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind

BY_MEMBERS = frozenset({EntryKind.SAID, EntryKind.ACTED})
"""Messages of members: sent back to the sender itself only in dialects with `Dialect.echo`."""
FOR_ALL = frozenset({EntryKind.SAID, EntryKind.ACTED, EntryKind.ANNOUNCED})
"""Sent to all members."""
FOR_ONE = frozenset({EntryKind.WHISPERED, EntryKind.ANSWERED})
"""Sent to the members concerned only."""
COUNTED = frozenset({EntryKind.JOINED, EntryKind.LEFT})
"""Sent to big rooms as numbers (`room_events`)."""


def concerned(entry: Entry) -> tuple[int, ...]:
    """Return the ids of the members that an entry concerns: none if it is for all anyway."""
    if entry.kind in FOR_ALL:
        return ()
    return (entry.member, entry.peer) if entry.peer and entry.peer != entry.member else (entry.member,)


def hears(entry: Entry, member: int, options: int) -> bool:
    """Say whether a member with this id and these options is sent an entry; `Dialect.echo` is not considered."""
    if entry.kind in FOR_ALL or member in concerned(entry):
        return True
    return entry.kind not in FOR_ONE and bool(options & MemberOptions.NOTICES)
