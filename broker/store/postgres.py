"""Engine: a PostgreSQL database that brokers share, whose synchronous standby keeps each accepted message, too.

A turn is one round trip: the function `commit_turns` (`postgres_schema.py`) checks that this broker still owns the
shards, and writes the turn. As in the SQLite engine, the log entries of a turn are one row (for each shard), and many
turns are folded into the rooms' logs at once.

A commit that fails, or whose outcome is not known, ends this broker's registration (`postgres_lease.py`).
"""

from collections.abc import Callable, Iterable
from threading import Lock

import msgspec

from tsudoi.protocol.backbone import SHARDS
from tsudoi.protocol.errors import StoreError

from . import postgres_rows as sql
from .interface import Batch, Chunk, MemberRow, PostRow, Restriction, RoomRow, Snapshot, with_entries
from .postgres_lease import Registration
from .postgres_link import Link
from .postgres_logs import ShardLogs, to_fold
from .sharing import TRIMS, Broker, View
from .unfolded_turns import decode_turn

TRIM_ROOMS, TRIM_ROWS = 2_000, 10_000
"""Rooms of a shard whose logs one trim looks at, and rows that it deletes; a little more of both."""


class PostgresStore:
    """Keeps everything in the schema `tsudoi` of a database. The methods are those of `SharedStore`."""

    def __init__(self, url: str, *, requires_synchronous: bool | None = None) -> None:
        """Connect, and bring the tables up to date.

        Args:
            url: `postgresql://USER@HOST[,HOST…]/DATABASE?…`, without a password (it comes from `PGPASSWORD` or a
                password file); with several hosts the one that takes writes is used.
            requires_synchronous: accept nothing while no second machine keeps what is committed; None: only where
                several brokers share the database.

        Raises:
            SettingError: no such database can be reached, it is too old or too new, or may not be used.
        """
        self._link = Link(url, requires_synchronous)
        self._mutex = Lock()
        """Of what is remembered about logs. No statement runs meanwhile."""
        self._committing = Lock()
        self._trimmed = -1
        """The shard that was trimmed last."""

    @property
    def place(self) -> str:
        return self._link.lease.place

    # --- the interface; see `Store` -------------------------------------------------------------------------------

    @property
    def shards(self) -> int:
        return SHARDS

    @property
    def is_long_commit_due(self) -> bool:
        return True  # each is a round trip

    @property
    def survives_a_machine(self) -> bool:
        return self._link.lease.is_synchronous

    def unhealthy_reason(self) -> str:
        return self._link.unhealthy_reason()

    def load(self, shard: int = 0) -> Snapshot:
        registration = self._registration(shard)
        found = self._link.load(registration, shard)
        snapshot = Snapshot(
            [RoomRow(*row) for row in found[sql.ROOMS]],
            [MemberRow(*row) for row in found[sql.MEMBERS]],
            {room: (first, last) for room, first, last in found[sql.ENDS]},
            dict(map(tuple, found[sql.ACCEPTED])),
            {(room, gateway): offset for room, gateway, offset in found[sql.DELIVERED]},
            [Restriction(*row) for row in found[sql.RESTRICTIONS]],
            [PostRow(*row) for row in found[sql.POSTS]],
            newest_ms=found[sql.NEWEST][0][0] or 0,
        )
        try:
            turns = [decode_turn(body) for (body,) in found[sql.TURNS]]
        except msgspec.MsgspecError as exc:
            raise StoreError(f"a turn in the store is damaged: {exc}") from exc
        logs = ShardLogs(snapshot, turns)
        with self._mutex:
            registration.logs[shard] = logs
        return snapshot

    def commit(self, *batches: Batch) -> None:
        with self._committing:
            registration = self._registration(*(batch.shard for batch in batches))
            logs = registration.logs
            for batch in batches:
                if batch.shard not in logs:
                    raise StoreError(f"shard {batch.shard} has not been loaded")
                if conflict := logs[batch.shard].find_conflict(batch.chunks):
                    raise self._link.failed(registration, f"room {conflict.room} has entry {conflict.first} already")
            kept = [batch.without_dropped() for batch in batches]
            # So that the tables have everything of the rooms and gateways.
            drops = [batch.shard for batch in kept if batch.purged or batch.forgotten]
            folds = {shard: logs[shard].turns for shard in to_fold(logs, drops)}
            self._link.commit(
                registration, sql.commit_values(registration.terms, kept, folds, self._link.lease.needs_standby)
            )
            with self._mutex:
                for batch in kept:
                    logs[batch.shard].committed(batch, has_folded=batch.shard in folds)
                for shard in folds.keys() - {batch.shard for batch in kept}:
                    logs[shard].committed(Batch(), has_folded=True)

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        registration = self._registration(shard)
        with self._mutex:
            recent = list(registration.logs[shard].turns.chunks.get(room, ())) if shard in registration.logs else []
        if recent and recent[0].first <= after + 1:
            return with_entries(recent, after, limit)
        # A chunk holds at least one entry. A commit may fold the recent ones meanwhile.
        rows = self._link.read(registration, sql.READ, shard, room, after, limit)
        older = (chunk for chunk in sql.chunks_of(room, rows) if not recent or chunk.last < recent[0].first)
        return with_entries([*older, *recent], after, limit)

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        """Trim some shards, and the next ones at the next call.

        What is too old by this machine's clock must be so by the database's, too: of several brokers' clocks one may
        be wrong, and it must not delete what the others have just kept. Whole seconds count: less may be the time that
        the question took.
        """
        before_ms = max(before_ms - max(int(self._link.lease.ahead_s), 0) * 1_000, 0)
        with self._committing:
            registration = self._registration()
            owned = sorted(registration.logs, key=lambda shard: (shard <= self._trimmed, shard))
            part = {shard: registration.logs[shard] for shard in owned[: -(-len(owned) // TRIMS)]}
            folds = {shard: logs.turns for shard, logs in part.items() if logs.turns}
            if folds:
                self._link.fold(registration, sql.fold_values(registration.terms, folds))
                with self._mutex:
                    for shard in folds:
                        part[shard].committed(Batch(), has_folded=True)
            held = [(shard, registration.terms[shard]) for shard in part]
        found: dict[int, int] = {}
        for shard, term in held:
            self._trimmed, logs = shard, part[shard]
            with self._mutex:
                grown = logs.to_trim(keep, TRIM_ROOMS)
            values = (shard, term), logs.aged_ms, grown, keep, before_ms, TRIM_ROOMS, TRIM_ROWS
            if not (rows := self._link.trim(registration, *values)):
                continue  # a commit is in its way, or the shard is another broker's by now
            left = {room: first for room, first, is_left in rows if is_left}
            with self._mutex:
                logs.trimmed(grown, left.pop(None), left)
            found |= {room: first for room, first, is_left in rows if not is_left}
        return found

    def close(self) -> None:
        self._link.close()

    # --- see `SharedStore` ----------------------------------------------------------------------------------------

    def register(self, broker: Broker, on_view: Callable[[View], None], on_lost: Callable[[str], None]) -> None:
        self._link.start(self._link.lease.register(broker, on_view, on_lost))

    def take(self, shards: Iterable[int]) -> dict[int, int]:
        registration = self._registration()
        query = "SELECT shard, term FROM take_shards($1, $2)"
        taken = dict(map(tuple, self._link.change(registration, query, registration.id, sorted(shards))))
        with self._mutex:
            registration.terms.update(taken)
        return taken

    def give(self, shards: Iterable[int]) -> None:
        given = sorted(shards)
        registration = self._registration(*given)
        with self._committing, self._mutex:
            for shard in given:
                registration.terms.pop(shard, None)
                registration.logs.pop(shard, None)
        self._link.change(registration, "SELECT give_shards($1, $2)", registration.id, given)

    def leave(self) -> None:
        self._link.run(self._link.lease.leave())

    def note_reach(self, has_gateways: bool, is_unreached: bool) -> None:
        self._link.run(self._link.lease.note_reach(has_gateways, is_unreached))

    def may_serve(self) -> bool:
        registration = self._link.lease.current
        return registration is not None and not self._link.lease.is_over(registration)

    # --- internals ------------------------------------------------------------------------------------------------

    def _registration(self, *shards: int) -> Registration:
        """Return the present one, or raise StoreError if it does not hold these shards."""
        registration = self._link.current()
        for shard in shards:
            if shard not in registration.terms:
                raise StoreError(f"this broker does not own shard {shard}")
        return registration
