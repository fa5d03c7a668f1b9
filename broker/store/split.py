"""Split a store with one shard into the batches of a store with many: each room's rows go to the room's shard."""

from collections.abc import Iterable, Iterator
from typing import Any

from tsudoi.protocol.backbone import shard_of
from tsudoi.protocol.names import RoomName

from .interface import Batch, Chunk, RoomRow, Snapshot


def shards_of_rooms(rooms: Iterable[RoomRow], shards: int) -> dict[int, int]:
    """Return room id → shard."""
    return {room.id: shard_of(RoomName(room.name), shards) for room in rooms}


def split_rows(snapshot: Snapshot, shards: int, size: int) -> Iterator[list[Batch]]:
    """Yield batches of what belongs to rooms, for one turn after another; a turn has up to `size` rows.

    - How far gateways had delivered goes to the rooms' shards: members continue from there.
    - The numbers of gateways' items are left out. They tell which items of a gateway's one sequence are in the logs;
      a gateway of many shards has a sequence for each, and these begin with 1.
    """
    found: dict[int, Batch] = {}
    rows = _rows(snapshot, shards_of_rooms(snapshot.rooms, shards))
    for count, (shard, field, key, row) in enumerate(rows, 1):
        getattr(found.setdefault(shard, Batch(shard=shard)), field)[key] = row
        if count % size == 0:
            yield list(found.values())
            found = {}
    if found:
        yield list(found.values())


def _rows(snapshot: Snapshot, own: dict[int, int]) -> Iterator[tuple[int, str, Any, Any]]:
    """Yield (shard, field of `Batch`, key, row); `own` is room id → shard."""
    for member in snapshot.members:
        yield own[member.room], "members", member.id, member
    for key, offset in snapshot.delivered.items():
        if key[0] in own:  # else its room was purged
            yield own[key[0]], "delivered", key, offset
    for post in snapshot.posts:
        yield own[post.room], "posts", post.key, post
    for restriction in snapshot.restrictions:
        if restriction.room:
            yield own[restriction.room], "restrictions", restriction.key, restriction


def split_rooms(snapshot: Snapshot, shards: int) -> list[Batch]:
    """Return the batches of the last turn: all rooms, and the restrictions in all rooms, which go to every shard."""
    everywhere = {each.key: each for each in snapshot.restrictions if not each.room}
    batches = [Batch(shard=shard, restrictions=dict(everywhere)) for shard in range(shards)]
    own = shards_of_rooms(snapshot.rooms, shards)
    for room in snapshot.rooms:
        batches[own[room.id]].rooms[room.id] = room
    return [batch for batch in batches if batch]


def split_logs(logs: Iterable[tuple[int, Chunk]], size: int) -> Iterator[list[Batch]]:
    """Yield batches for one turn after another; `logs` are (shard, chunk), and a turn has about `size` bytes."""
    found: dict[int, Batch] = {}
    collected = 0
    for shard, chunk in logs:
        found.setdefault(shard, Batch(shard=shard)).chunks.append(chunk)
        collected += len(chunk.news)
        if collected >= size:
            yield list(found.values())
            found, collected = {}, 0
    if found:
        yield list(found.values())
