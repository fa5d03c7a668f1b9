"""Members that were removed although they never left: no fault may cost a client its session."""

from collections.abc import Iterator

from tests.chaos.history import History
from tsudoi.protocol.codes import EntryKind


def expelled(history: History) -> Iterator[str]:
    """Yield each removal, and each closing of a room, that no client has asked for."""
    names = {member.name: member.id for member in history.members.values()}
    for room in history.log.values():
        inside = {names[entry.sender] for entry in room.entries if entry.sender in names}
        for entry in room.entries:
            client = names.get(entry.sender)  # None: its handshake was never answered, so it is no member
            if entry.kind == EntryKind.LEFT and client is not None and client not in history.leavers:
                yield f"{entry.sender} was removed from room {room.room_id} at {entry.offset}, and had not left"
            if entry.kind == EntryKind.CLOSED and not inside & history.leavers:
                yield f"room {room.room_id} was closed at {entry.offset}, and its host had not left"
