"""Members that were removed although they never left: no fault may cost a client its session."""

from collections.abc import Iterator

from tests.chaos.history import History, ending, joins
from tsudoi.protocol.codes import EntryKind


def expelled(history: History) -> Iterator[str]:
    """Yield each removal, and each closing of a room, that no client has asked for."""
    clients: dict[int, set[int]] = {}
    for client, (room, at) in joins(history).items():
        clients.setdefault(room.room_id, set()).add(client)
        end = ending(room, at)
        if end is not None and end.kind == EntryKind.LEFT and client not in history.leavers:
            yield f"{end.sender} was removed from room {room.room_id} at {end.offset}, and had not left"
    for room_id, inside in clients.items():
        for entry in history.log[room_id].entries:
            if entry.kind == EntryKind.CLOSED and not inside & history.leavers:
                yield f"room {room_id} was closed at {entry.offset}, and its host had not left"
