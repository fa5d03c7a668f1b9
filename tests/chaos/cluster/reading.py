"""Reads the database beside the brokers: the rooms' logs after a run, and the owners of shards during it."""

import asyncio
import contextlib
import time
from collections import defaultdict
from typing import Any

import asyncpg

from broker.store.unfolded_turns import decode_turn
from tests.chaos.cluster.database import Database, connected
from tests.chaos.history import Move, RoomLog
from tsudoi.protocol.backbone import parse_news_untrusted

_SHARDS = "SELECT shard, term, owner FROM tsudoi.shards WHERE owner <> ''"
_BARRIER = """
CREATE TABLE IF NOT EXISTS public.barrier (number int PRIMARY KEY);
INSERT INTO public.barrier VALUES (0) ON CONFLICT (number) DO UPDATE SET number = 0;
"""


class TermWatch:
    """Looks at the shards' terms and owners all the time.

    What it reads is believed when a synchronous write after it has succeeded: a primary that was killed may show, once
    it is started again, what no standby has.
    """

    def __init__(self, database: Database) -> None:
        self.complaints: list[str] = []
        self.looks = 0
        self.moves: list[Move] = []
        self._looked_at = 0.0
        self._database = database
        self._terms: dict[int, int] = {}
        """Shard → its newest term."""
        self._owners: dict[tuple[int, int], str] = {}
        """(shard, term) → its owner."""
        self._task: asyncio.Task[None] | None = None

    @property
    def takeovers(self) -> int:
        """How many times a shard has changed hands since the first look."""
        return len(self._owners) - len(self._terms)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def note(self, rows: list[tuple[int, int, str]], began: float, now: float) -> None:
        """Compare a look with those before it; it began and was over at these times."""
        self.looks += 1
        since, self._looked_at = self._looked_at, began
        for shard, term, owner in rows:
            if term < self._terms.get(shard, 0):
                self.complaints.append(f"shard {shard} went back from term {self._terms[shard]} to {term}")
            if term > self._terms.get(shard, term):
                self.moves.append(Move(shard, since, now))
            self._terms[shard] = max(term, self._terms.get(shard, 0))
            before = self._owners.setdefault((shard, term), owner)
            if before != owner:
                self.complaints.append(f"shard {shard} has two owners in term {term}: {before} and {owner}")

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                began = time.time()
                async with connected(self._database.nodes[self._database.primary].url()) as connection:
                    rows = [(int(row[0]), int(row[1]), str(row[2])) for row in await connection.fetch(_SHARDS)]
                    await connection.execute(_BARRIER)
                self.note(rows, began, time.time())
            await asyncio.sleep(0.2)


async def read_owners(database: Database) -> list[str]:
    """Return the owner of each shard, as its brokers see it now."""
    async with connected(database.nodes[database.primary].url()) as connection:
        return [str(row["owner"]) for row in await connection.fetch("SELECT owner FROM tsudoi.shards ORDER BY shard")]


async def read_log(url: str) -> dict[int, RoomLog]:
    """Return the rooms' logs by room id; brokers may use the server meanwhile."""
    async with connected(url) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        news: defaultdict[int, list[Any]] = defaultdict(list)
        for row in await connection.fetch("SELECT room, news FROM tsudoi.log ORDER BY shard, room, last"):
            news[row["room"]] += map(parse_news_untrusted, row["news"])
        for row in await connection.fetch("SELECT body FROM tsudoi.turns ORDER BY shard, number"):
            for chunk in decode_turn(row["body"]).chunks:
                news[chunk.room].append(parse_news_untrusted(chunk.news))
    return {
        room: RoomLog(
            room,
            frozenset(piece.epoch for piece in pieces),
            tuple(entry for piece in pieces for entry in piece.entries),
        )
        for room, pieces in news.items()
    }
