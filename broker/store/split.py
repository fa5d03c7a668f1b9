"""Split a store with one shard into the batches of a store with many: each room's rows go to the room's shard."""

from collections.abc import Iterable, Iterator

from tsudoi.protocol.backbone import shard_of
from tsudoi.protocol.names import RoomName

from .interface import Batch, Chunk, RoomRow, Snapshot


def shards_of_rooms(rooms: Iterable[RoomRow], shards: int) -> dict[int, int]:
    """Return room id → shard."""
    return {room.id: shard_of(RoomName(room.name), shards) for room in rooms}


def split_rows(snapshot: Snapshot, shards: int) -> list[Batch]:
    """Return the batch of each shard, without logs.

    - Restrictions in all rooms go to every shard.
    - How far gateways had delivered goes to the rooms' shards: members continue from there.
    - The numbers of gateways' items are left out. They tell which items of a gateway's one sequence are in the logs;
      a gateway of many shards has a sequence for each, and these begin with 1.
    """
    batches = [Batch(shard=shard) for shard in range(shards)]
    own = {room_id: batches[shard] for room_id, shard in shards_of_rooms(snapshot.rooms, shards).items()}
    for room in snapshot.rooms:
        own[room.id].rooms[room.id] = room
    for member in snapshot.members:
        own[member.room].members[member.id] = member
    for key, offset in snapshot.delivered.items():
        if key[0] in own:  # else its room was purged
            own[key[0]].delivered[key] = offset
    for post in snapshot.posts:
        own[post.room].posts[post.key] = post
    for restriction in snapshot.restrictions:
        for batch in [own[restriction.room]] if restriction.room else batches:
            batch.restrictions[restriction.key] = restriction
    return batches


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
