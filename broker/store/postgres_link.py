"""Run the PostgreSQL engine's statements from other threads.

asyncpg wants an event loop. It has one of its own here, in a thread: a round trip takes a hundred times as long as the
hand-over, and the broker's loop waits for none of them (`net/committer.py`).
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from asyncpg import LockNotAvailableError

from tsudoi.protocol.errors import SettingError, StoreError

from . import postgres_rows as sql
from .postgres_connections import ERRORS, Connection
from .postgres_hosts import why
from .postgres_lease import Lease, Registration
from .sharing import STOP_S

_T = TypeVar("_T")

CLOSE_S = 5.0
_STALE = "another broker owns a part of the rooms now"
_LOADED = (
    *(sql.TURNS, sql.ROOMS, sql.MEMBERS, sql.ENDS, sql.ACCEPTED, sql.DELIVERED, sql.RESTRICTIONS, sql.POSTS),
    sql.NEWEST,
)


WAITED_S = 0.02
"""A commit that took longer may have waited for a standby that is gone. PostgreSQL ends such waits without a warning
when `synchronous_standby_names` is emptied."""


class Link:
    """A thread with the connections and the lease of one broker."""

    def __init__(self, url: str, requires_synchronous: bool | None) -> None:
        """Connect, or raise SettingError."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_handle_unretrieved)
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._thread.start()
        self.lease = Lease(url, requires_synchronous, boot_clock)
        self.start(self.lease.open())

    def run(self, work: Coroutine[Any, Any, _T], timeout_s: float | None = None) -> _T:
        """Wait in another thread for work in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work without which the store can not be used; raise SettingError if it fails."""
        try:
            self.run(work)
        except (*ERRORS, StoreError, SettingError, ValueError) as exc:
            self.close()
            raise SettingError(f"can not open the store at {self.lease.place}: {why(exc)}") from exc

    def current(self) -> Registration:
        """Return the present registration; raise StoreError."""
        registration = self.lease.current
        if registration is None:
            raise StoreError(self.lease.unhealthy_reason or "this broker is not registered in the store")
        return registration

    def unhealthy_reason(self) -> str:
        """Return why accepted messages may be lost or refused, empty if all is well."""
        lease = self.lease
        if not lease.unhealthy_reason and lease.needs_standby and not lease.is_synchronous:
            return "no second machine keeps the store: no synchronous standby is connected"
        return lease.unhealthy_reason

    def commit(self, registration: Registration, values: tuple[Any, ...]) -> None:
        """Commit turns; raise StoreError."""

        async def work() -> None:
            commits, began = registration.connections.commits, self._loop.time()
            if not await commits.fetch_value(sql.COMMIT, *values):
                raise StoreError(_STALE)
            if not self.lease.needs_standby or self._loop.time() - began < WAITED_S:
                return
            if not await commits.fetch_value("SHOW synchronous_standby_names"):
                raise StoreError("synchronous_standby_names was emptied while a commit waited for its standby")

        self._statements(registration, work())

    def failed(self, registration: Registration, reason: str) -> StoreError:
        """End a registration, and return the error to raise."""

        async def work() -> None:
            registration.connections.fail(reason)

        self.run(work())
        return StoreError(f"can not write to the store: {reason}")

    def fold(self, registration: Registration, values: tuple[Any, ...]) -> None:
        """Fold turns; raise StoreError."""

        async def work() -> None:
            if not await registration.connections.commits.fetch_value(sql.FOLD, *values):
                raise StoreError(_STALE)

        self._statements(registration, work())

    def trim(self, registration: Registration, *values: Any) -> list[Any] | None:
        """Return the rows of a trim, which runs beside commits; None: it is in the way of one. Raise StoreError."""

        async def work() -> list[Any] | None:
            try:
                return await registration.connections.loads.fetch(sql.TRIM, *values)
            except LockNotAvailableError:
                return None

        return self._statements(registration, work())

    def read(self, registration: Registration, query: str, *values: Any) -> list[Any]:
        """Return the rows of a statement that runs beside commits; raise StoreError."""
        return self._statements(registration, registration.connections.reads.fetch(query, *values))

    def change(self, registration: Registration, query: str, *values: Any) -> list[Any]:
        """Return the rows of a statement that takes or gives shards; raise StoreError if it fails."""
        return self._statements(registration, registration.connections.loads.fetch(query, *values))

    def load(self, registration: Registration, shard: int) -> dict[str, list[Any]]:
        """Return the rows of each of the queries with which a shard is loaded; raise StoreError."""
        return self._statements(registration, _load(registration.connections.loads, shard))

    def close(self) -> None:
        """Free all shards, for 5 s at most, and end the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(Exception):
            self.run(self._end(), CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        await self.lease.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _statements(self, registration: Registration, work: Coroutine[Any, Any, _T]) -> _T:
        result = self.run(registration.connections.guard(work))
        if self.lease.is_over(registration):
            raise StoreError(registration.connections.failure or f"the lease was not renewed for {STOP_S:.0f} s")
        return result


def _handle_unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Pass over the end of a connection that the driver was still opening when the attempt was given up."""
    if not ("future" in context and isinstance(context.get("exception"), ConnectionError)):
        loop.default_exception_handler(context)


async def _load(connection: Connection, shard: int) -> dict[str, list[Any]]:
    # The driver decodes rows as they arrive: commits and renewals run in between.
    async with connection.lock, connection.driver.transaction(isolation="repeatable_read", readonly=True):
        return {query: await connection.driver.fetch(query, shard) for query in _LOADED}


def boot_clock() -> float:
    """Return the seconds since the machine started, also those that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
