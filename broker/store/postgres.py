"""Engine: a PostgreSQL database, whose synchronous standby keeps each accepted message on a second machine.

A commit is one round trip: the function `commit_turn` (`postgres_schema.py`) checks that this broker still owns the
rooms, and writes the turn. As in the SQLite engine, a turn's log entries are one row, and many turns are folded into
the rooms' logs at once.

A commit whose outcome is not known (the connection is lost, the primary is gone) is a StoreError, as any: the broker
ends, and the next one opens the store with a synchronous write, after which what it reads is what was kept.
Source: postgresql.org/docs/current/warm-standby.html, "Synchronous Replication".
"""

import operator
from dataclasses import fields
from threading import Lock
from typing import Any

from tsudoi.protocol.errors import StoreError

from .interface import Batch, Chunk, MemberRow, PostRow, Restriction, RoomRow, Snapshot, with_entries
from .postgres_link import Link
from .unfolded_turns import UnfoldedTurns, decode_turn, encode_turn

SHARD = 0

_ROOM = tuple(column.name for column in fields(RoomRow))
_MEMBER = tuple(column.name for column in fields(MemberRow))
_room_values = operator.attrgetter(*_ROOM)
_member_values = operator.attrgetter(*_MEMBER)
_post_values = operator.attrgetter(*(column.name for column in fields(PostRow)))
_restriction_values = operator.attrgetter(*(column.name for column in fields(Restriction)))

_COMMIT = "SELECT commit_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
_READ = "SELECT room, first, last, at_ms, news FROM log WHERE shard=$1 AND room=$2 AND last>$3 ORDER BY last LIMIT $4"


class PostgresStore:
    """Keeps everything in the schema `tsudoi` of a database; one broker at a time owns it, by a lease."""

    def __init__(self, url: str, *, requires_synchronous: bool = False) -> None:
        """Connect, bring the tables up to date, and take the lease.

        Args:
            url: `postgresql://USER@HOST[,HOST…]/DATABASE?…`, without a password (it comes from `PGPASSWORD` or a
                password file); with several hosts the one that takes writes is used.
            requires_synchronous: refuse, and end, while no second machine keeps what is committed.

        Raises:
            SettingError: no such database can be reached, it is too old or too new, or may not be used.
            StoreInUse: another broker has the lease.
        """
        self._mutex = Lock()
        self._link = Link(url, SHARD, requires_synchronous=requires_synchronous)
        self._turns = UnfoldedTurns()
        self._ends: dict[int, int] = {}
        """Room id → last offset of its log."""
        self._grown: set[int] = set()
        """Rooms whose logs grew since the last trim."""
        self._kept = 0
        """How many entries of each log the last trim kept at least."""
        self._aged_ms = 0
        """The last trim dropped what was older than this; later it would only find it again."""
        for (body,) in self._fetch("SELECT body FROM turns WHERE shard=$1 ORDER BY number"):
            self._turns.add(decode_turn(body))

    @property
    def survives_a_machine(self) -> bool:
        """Whether what is committed now is kept on a second machine."""
        return self._link.is_synchronous

    def illness(self) -> str:
        """Return why the store is unhealthy, empty if it is healthy."""
        return self._link.illness()

    # --- the interface; see `Store` -------------------------------------------------------------------------------

    @property
    def shards(self) -> int:
        return 1

    @property
    def is_long_commit_due(self) -> bool:
        return True  # each is a round trip

    def load(self, shard: int = 0) -> Snapshot:
        with self._mutex:
            self._fold()
            rows = self._fetch(f"SELECT {', '.join(_ROOM)} FROM rooms WHERE shard=$1 ORDER BY created_ms, id")
            rooms = [RoomRow(*row) for row in rows]
            rows = self._fetch(f"SELECT {', '.join(_MEMBER)} FROM members WHERE shard=$1 ORDER BY id")
            members = [MemberRow(*row) for row in rows]
            rows = self._fetch("SELECT room, min(first), max(last) FROM log WHERE shard=$1 GROUP BY room")
            ends = {room: (first, last) for room, first, last in rows}
            accepted = dict(map(tuple, self._fetch("SELECT gateway, number FROM accepted WHERE shard=$1")))
            rows = self._fetch('SELECT room, gateway, "offset" FROM delivered WHERE shard=$1')
            delivered = {(room, gateway): offset for room, gateway, offset in rows}
            rows = self._fetch("SELECT room, kind, name, ip, until_ms FROM restrictions WHERE shard=$1")
            restrictions = [Restriction(*row) for row in rows]
            query = 'SELECT key, room, epoch, "offset", text_hash, at_ms FROM posts WHERE shard=$1 ORDER BY at_ms'
            posts = [PostRow(*row) for row in self._fetch(query)]
            newest_ms = self._link.fetch_value("SELECT max(at_ms) FROM log WHERE shard=$1", SHARD) or 0
            self._grown.update(ends)
            self._ends = {room: last for room, (_, last) in ends.items()}
            return Snapshot(rooms, members, ends, accepted, delivered, restrictions, posts, newest_ms=newest_ms)

    def commit(self, *batches: Batch) -> None:
        (batch,) = batches  # there is one shard
        with self._mutex:
            if conflict := next((each for each in batch.chunks if each.first <= self._ends.get(each.room, 0)), None):
                raise StoreError(f"can not write to the store: room {conflict.room} has entry {conflict.first}")
            batch = batch.without_dropped()
            drops = bool(batch.purged or batch.forgotten)
            self._commit(batch, folds=drops or self._turns.is_full)

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        with self._mutex:
            recent = self._turns.chunks.get(room, ())
            # A chunk holds at least one entry.
            rows = () if recent and recent[0].first <= after + 1 else self._link.fetch(_READ, SHARD, room, after, limit)
            return with_entries([*(Chunk(*row) for row in rows), *recent], after, limit)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        with self._mutex:
            self._fold()
            query = "SELECT room, first FROM trim_logs($1, $2, $3, $4, $5, $6)"
            grown = list(self._ends if keep < self._kept else self._grown)
            self._kept = keep
            rows = self._link.fetch(query, SHARD, self._link.term, grown, keep, self._aged_ms, before_ms)
            self._grown.clear()
            self._aged_ms = max(self._aged_ms, before_ms)
            return dict(map(tuple, rows))

    def close(self) -> None:
        with self._mutex:
            self._link.close()

    # --- internals ------------------------------------------------------------------------------------------------

    def _fetch(self, query: str) -> list[Any]:
        return self._link.fetch(query, SHARD)

    def _fold(self) -> None:
        if self._turns:
            self._commit(Batch(), folds=True)

    def _commit(self, batch: Batch, *, folds: bool) -> None:
        """Write a batch, and move the turns before it to the tables."""
        turns = self._turns
        chunks = [chunk for room in turns.chunks.values() for chunk in room] if folds else []
        appends = bool(batch.chunks or batch.accepted or batch.delivered)
        kept = self._link.fetch_value(
            _COMMIT,
            SHARD,
            self._link.term,
            encode_turn(batch) if appends else None,
            [(SHARD, *_room_values(room)) for room in batch.rooms.values()],
            [(SHARD, *_member_values(member)) for member in batch.members.values() if member],
            [member_id for member_id, member in batch.members.items() if member is None],
            [(SHARD, *_restriction_values(each)) for each in batch.restrictions.values() if each],
            [(SHARD, *key, 0) for key, each in batch.restrictions.items() if each is None],
            [(SHARD, *_post_values(post)) for post in batch.posts.values() if post],
            [key for key, post in batch.posts.items() if post is None],
            [(SHARD, *chunk) for chunk in chunks],
            [(SHARD, *each) for each in turns.accepted.items()] if folds else [],
            [(SHARD, *key, offset) for key, offset in turns.delivered.items()] if folds else [],
            list(batch.purged),
            list(batch.forgotten),
            folds,
        )
        if not kept:
            raise StoreError("another broker owns the rooms in the database now")
        if folds:
            self._grown.update(turns.chunks)
            self._grown -= batch.purged
            turns.clear()
        turns.add(batch)
        self._ends.update((chunk.room, chunk.last) for chunk in batch.chunks)
        for room in batch.purged:
            self._ends.pop(room, None)
