"""The PostgreSQL engine's connections: the lease, the check of the standby, and statements from other threads.

asyncpg wants an event loop. It has one of its own here, in a thread: a round trip takes a hundred times as long as the
hand-over, and the broker's loop waits for none of them (`net/committer.py`).
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from tsudoi.ops import logs
from tsudoi.protocol.errors import SettingError, StoreError

from . import postgres_hosts
from .interface import StoreInUse
from .postgres_schema import MIGRATIONS, SCHEMA

logger = logs.get("broker.store")
_T = TypeVar("_T")

LEASE_S, RENEW_S, STOP_S = 3.0, 1.0, 2.0
"""The lease by the database's clock, the pause between renewals, and after how long without one this broker stops."""
CHECK_S = 10.0
"""Time between two looks at the standbys."""
CONNECT_S = 5.0
OLDEST = 14
"""Major version of PostgreSQL."""
_NOT_REPLICATED = "canceling wait for synchronous replication"
"""PostgreSQL commits with this warning when an operator cancels a commit that waits for its standby."""
_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Link:
    """Two connections to one database: for statements, and for the lease."""

    def __init__(self, url: str, shard: int, *, requires_synchronous: bool) -> None:
        """Connect, migrate and take the lease; raise SettingError or StoreInUse."""
        self.term = 0
        self.is_synchronous = False
        self._shard = shard
        self._requires_synchronous = requires_synchronous
        self._owner = secrets.token_hex(8)
        self._illness = ""
        self._renewed_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._thread.start()
        place = urlsplit(url)
        self.place = f"{place.hostname or 'this machine'}{place.path}"
        try:
            self._run(self._open(url))
        except (*_ERRORS, ValueError) as exc:
            self.close()
            raise SettingError(f"can not open the store at {self.place}: {self._illness or _why(exc)}") from exc
        except SettingError:
            self.close()
            raise

    def illness(self) -> str:
        """Return why no statement can succeed, or why a commit is not kept on a second machine although it must be."""
        if not self._illness and self._requires_synchronous and not self.is_synchronous:
            return "no second machine keeps the store: no synchronous standby is connected"
        return self._illness

    def fetch(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a statement; raise StoreError."""
        return self._statement(self._statements.fetch(query, *values))

    def fetch_value(self, query: str, *values: Any) -> Any:
        """Return the first value of a statement; raise StoreError."""
        return self._statement(self._statements.fetchval(query, *values))

    def close(self) -> None:
        """Give the lease back, and end the thread."""
        with contextlib.suppress(Exception):
            self._run(self._shut(), CONNECT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONNECT_S)
        if not self._thread.is_alive():
            self._loop.close()

    # --- in this thread's own loop --------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, _T], timeout_s: float | None = None) -> _T:
        """Wait in another thread for work in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def _statement(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._illness:
            work.close()
            raise StoreError(self._illness)
        try:
            result = self._run(work)
        except _ERRORS as exc:
            raise StoreError(self.illness() or f"the store at {self.place}: {_why(exc)}") from exc
        if self._illness:
            raise StoreError(self._illness)
        if time.monotonic() - self._renewed_at > STOP_S:
            raise StoreError("the lease in the database is over")
        return result

    async def _open(self, url: str) -> None:
        self._statements = await self._connect(url, "on")
        version = self._statements.get_server_version()
        if version.major < OLDEST:
            raise SettingError(f"PostgreSQL at {self.place} is {version.major}, and must be {OLDEST} or newer")
        await self._migrate()
        # The lease itself need not survive: the term, which does, is what counts.
        self._control = await self._connect(url, "local")
        self.is_synchronous = await self._standbys() > 0
        if self._requires_synchronous and not self.is_synchronous:
            raise SettingError(f"the store at {self.place} has no synchronous standby: {await self._standby_hint()}")
        await self._take_lease()
        await self._log_survival()
        for work in (self._renew(), self._check()):
            self._tasks.append(asyncio.create_task(work))

    async def _connect(self, url: str, synchronous_commit: str) -> Any:
        connection = await postgres_hosts.connect(
            url,
            CONNECT_S,
            server_settings={
                "application_name": "tsudoi broker",
                "search_path": SCHEMA,
                "synchronous_commit": synchronous_commit,
                "tcp_keepalives_idle": "5",
                "tcp_keepalives_interval": "2",
                "tcp_keepalives_count": "3",
            },
        )
        connection.add_log_listener(self._on_notice)
        return connection

    def _on_notice(self, _: Any, message: Any) -> None:
        if _NOT_REPLICATED in str(message):
            self._fail("the database committed without its standby, as its wait for it was cancelled")

    async def _migrate(self) -> None:
        async with self._statements.transaction():
            # Two brokers that start at once do this one after the other.
            await self._statements.execute("SELECT pg_advisory_xact_lock(hashtext('tsudoi migrations'))")
            await self._statements.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            await self._statements.execute("CREATE TABLE IF NOT EXISTS migrations (number int PRIMARY KEY)")
            done = await self._statements.fetchval("SELECT coalesce(max(number), 0) FROM migrations")
            if done > len(MIGRATIONS):
                raise SettingError(f"the store has version {done}, this program reads up to {len(MIGRATIONS)}")
            for number, script in enumerate(MIGRATIONS[done:], done + 1):
                await self._statements.execute(script)
                await self._statements.execute("INSERT INTO migrations VALUES ($1)", number)

    async def _take_lease(self) -> None:
        """Become the owner, in a new term. This commit waits for the standby, so all that is read after it is kept."""
        asked_at = time.monotonic()
        term = await self._statements.fetchval(
            "UPDATE shards SET term = term + 1, owner = $2, lease_until = now() + make_interval(secs => $3)"
            " WHERE shard = $1 AND lease_until < now() RETURNING term",
            *(self._shard, self._owner, LEASE_S),
        )
        if term is None:
            raise StoreInUse(f"another broker has the store at {self.place}")
        self.term, self._renewed_at = term, asked_at

    async def _renew(self) -> None:
        try:
            while True:
                await asyncio.sleep(RENEW_S)
                asked_at = time.monotonic()
                async with asyncio.timeout(max(self._renewed_at + STOP_S - asked_at, 0.0)):
                    found = await self._control.fetchval(
                        "UPDATE shards SET lease_until = now() + make_interval(secs => $3)"
                        " WHERE shard = $1 AND term = $2 RETURNING term",
                        *(self._shard, self.term, LEASE_S),
                    )
                if found is None:
                    self._fail("another broker owns the rooms in the database now")
                    return
                self._renewed_at = asked_at
        except _ERRORS as exc:
            self._fail(f"the lease at {self.place} can not be renewed: {_why(exc)}")

    async def _check(self) -> None:
        with contextlib.suppress(*_ERRORS):  # `_renew` reports it
            while True:
                await asyncio.sleep(CHECK_S)
                was, self.is_synchronous = self.is_synchronous, await self._standbys() > 0
                if was != self.is_synchronous:
                    await self._log_survival()

    async def _standbys(self) -> int:
        """Return how many standbys a commit can wait for."""
        count: int = await self._control.fetchval(
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
            " AND current_setting('synchronous_standby_names') <> ''"
        )
        return count

    async def _log_survival(self) -> None:
        if self.is_synchronous:
            logger.info("an accepted message survives the loss of a machine: yes", store=self.place)
        else:
            why = await self._standby_hint()
            logger.warning("an accepted message survives the loss of a machine: no", why=why, store=self.place)

    async def _standby_hint(self) -> str:
        names = await self._control.fetchval("SHOW synchronous_standby_names")
        hidden = await self._control.fetchval("SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NULL")
        if not names:
            return "synchronous_standby_names is empty"
        if hidden:
            return "the standbys can not be seen: GRANT pg_monitor to the broker's role"
        return f"none of synchronous_standby_names = {names!r} is connected"

    def _fail(self, why: str) -> None:
        """Let no statement succeed any more; one that waits fails now."""
        self._illness = why
        self._statements.terminate()

    async def _shut(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.term and not self._illness:
            await self._statements.execute(
                "UPDATE shards SET lease_until = '-infinity' WHERE shard = $1 AND term = $2", self._shard, self.term
            )
        for connection in (getattr(self, "_statements", None), getattr(self, "_control", None)):
            if connection is not None:
                connection.terminate()


def _why(exc: BaseException) -> str:
    """Return an error's words on one line."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return " ".join(str(exc).split()) or type(exc).__name__
