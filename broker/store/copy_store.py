"""Copy the store of a broker that has ended into an empty database; docs/operations.md, "From SQLite to PostgreSQL".

The logs and what belongs to rooms are copied first, in many turns, and all rooms in one turn at the end: until then the
database has no room, and the copy can be begun again. Turns are small, so that the lease is renewed in time. Before the
last turn the source notes that it is continued elsewhere: if a broker opens it again, no position is given twice.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tsudoi.protocol.errors import SettingError

from .interface import Batch, Chunk, Snapshot, Store, StoreInUse
from .place import Database, open_store
from .sharing import LEASE_S, RENEW_S, Broker, SharedStore
from .split import shards_of_rooms, split_logs, split_rooms, split_rows
from .sqlite import SqliteStore

TURN_SIZE = 2**20
"""Bytes of log entries in one turn."""
TURN_ROWS = 2_000
"""Rows of members and the like in one turn."""
PORTION = 1_000
"""Entries of a room's log that are read at once."""
AGAIN_S = 0.2
"""Pause between two attempts to own all shards."""
NOWHERE = "tcp://127.0.0.1:1"
"""The endpoint under which the copy is registered as a broker; no gateway runs meanwhile."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy has."""

    rooms: int
    members: int
    entries: int


def copy_store(source: Path, target: Database) -> Copied:
    """Copy all rooms, members, logs, restrictions and passwords; tokens and positions stay as they are.

    Raises:
        SettingError: there is no such store, or one can not be used; nothing is changed.
        StoreInUse: a broker has one open; nothing is changed.
        StoreError: the source can not be read, or the database did not keep all. The copy can be begun again; the
            source's rooms may begin a new epoch when it is opened next.
    """
    if not source.is_file():
        raise SettingError(f"there is no store {source}")
    with closing(SqliteStore(source, "full")) as old, closing(open_store(target, "full", False)) as opened:
        new = cast(SharedStore, opened)
        snapshot = old.load()
        shards = shards_of_rooms(snapshot.rooms, new.shards)
        _make_empty(new, target)
        entries = 0
        for turn in split_logs(_chunks(old, shards), TURN_SIZE):
            new.commit(*turn)
            entries += sum(chunk.last - chunk.first + 1 for batch in turn for chunk in batch.chunks)
        for turn in split_rows(snapshot, new.shards, TURN_ROWS):
            new.commit(*turn)
        old.continue_elsewhere()
        if rooms := split_rooms(snapshot, new.shards):
            new.commit(*rooms)
        return Copied(len(snapshot.rooms), len(snapshot.members), entries)


def _make_empty(store: SharedStore, target: Database) -> None:
    """Own all shards, and delete what a copy that was interrupted has left.

    Raises:
        StoreInUse: a broker has shards.
        SettingError: there are rooms.
    """
    # Leaving from the start: a broker that starts meanwhile waits for the shards, and gives this one none.
    store.register(Broker("", NOWHERE, "", is_leaving=True), lambda view: None, lambda reason: None)
    shards = range(store.shards)
    missing, deadline = set(shards), time.monotonic() + LEASE_S + RENEW_S
    while missing := missing - store.take(missing).keys():
        # The lease of a broker, or a copy, that was killed ends by itself.
        if time.monotonic() > deadline:
            raise StoreInUse(f"a broker uses the database {target}: stop all brokers first")
        time.sleep(AGAIN_S)
    left = []
    for shard in shards:
        found = store.load(shard)
        if found.rooms or any(not each.room for each in found.restrictions):
            raise SettingError(f"the database {target} has rooms or bans already: copy into an empty one")
        if rooms := _rooms_without_row(found):
            left.append(Batch(shard=shard, purged=rooms))
    if left:
        store.commit(*left)


def _rooms_without_row(found: Snapshot) -> set[int]:
    of_rows = [*(row.room for row in found.members), *(row.room for row in found.posts)]
    of_rows += (each.room for each in found.restrictions)
    return {*found.ends, *of_rows, *(room for room, _ in found.delivered)}


def _chunks(store: Store, shards: dict[int, int]) -> Iterator[tuple[int, Chunk]]:
    for room_id, shard in shards.items():
        after = 0
        while chunks := store.read(room_id, after, PORTION):
            yield from ((shard, chunk) for chunk in chunks)
            after = chunks[-1].last
