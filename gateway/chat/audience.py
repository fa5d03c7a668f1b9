"""Decide by an entry's kind which members of the room receive it; PROTOCOL.md, "Told".

Members with notices receive all entries but private ones of others. The members that an entry concerns (the actor, and
the target) always receive it.
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
    """Return the ids of the members that an entry concerns; none if all members receive it."""
    if entry.kind in FOR_ALL:
        return ()
    return (entry.member, entry.peer) if entry.peer and entry.peer != entry.member else (entry.member,)


def receives(entry: Entry, member: int, options: int) -> bool:
    """Return whether a member with this id and these options receives an entry; `Dialect.echo` is not considered."""
    if entry.kind in FOR_ALL or member in concerned(entry):
        return True
    return entry.kind not in FOR_ONE and bool(options & MemberOptions.NOTICES)
