"""The PostgreSQL engine's connections to the host that takes writes; how they are opened, and how they fail.

Source: postgresql.org/docs/current/warm-standby.html, "Synchronous Replication".
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg

from tsudoi.protocol.errors import SettingError, StoreError

from .place import split_url
from .postgres_hosts import TAKES_WRITES, connect, why
from .postgres_schema import MIGRATIONS, SCHEMA

_T = TypeVar("_T")

CONNECT_S = 3.0
END_S = 0.5
"""How long a broker that stops waits for connections that have failed: a supervisor does not wait long for it."""
OLDEST = 14
"""Major version of PostgreSQL."""
ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
_SETTINGS: Final = {
    "application_name": "tsudoi broker",
    "search_path": SCHEMA,
    "synchronous_commit": "on",
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "jit": "off",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""They count more than the server's file and those of the role and the database (ALTER ROLE … SET). With
`client_min_messages = error` there, a commit that was not replicated would look like one that was."""
_WARNING = "WARNING"
"""PostgreSQL commits with a notice of this severity when an operator cancels a commit that waits for its standby. The
notice's text, "canceling wait for synchronous replication", is in the server's language (`lc_messages`)."""
_CRASH = "57P02"
"""The SQLSTATE of a warning that another of the server's processes died, also of a full disk."""
_WAITS_FOR_EVER = (
    "SELECT current_setting('synchronous_standby_names') <> ''"
    " AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IS NULL)"
)
"""Whether no commit would return, if no synchronous standby is seen. A role without the right sees null."""
_SERVER = "SELECT pg_postmaster_start_time()"
"""Differs between servers. One name may have the addresses of several, of which each connection takes any."""
_FAST_COMPRESSION = """
SELECT set_config('default_toast_compression', 'lz4', false) FROM pg_settings
    WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
"""
"""For the log. Servers are built with or without it, and the older method takes as long as the rest of a fold."""
_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""For statements that change a few rows of large tables: the planner knows neither how few nor, at first, how large."""


def place_of(url: str) -> str:
    """Return a database's hosts and name, for messages."""
    parts = split_url(url)
    return f"{parts.netloc.rpartition('@')[2] or 'this machine'}{parts.path}"


class Connection:
    """One connection, for one statement after the other."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.lock = asyncio.Lock()

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        async with self.lock:
            rows: list[Any] = await self._result(self.driver.fetch(query, *values))
            return rows

    async def fetch_value(self, query: str, *values: Any) -> Any:
        async with self.lock:
            return await self._result(self.driver.fetchval(query, *values))

    async def execute(self, statements: str) -> None:
        """Run statements without values."""
        async with self.lock:
            await self._result(self.driver.execute(statements))

    async def _result(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except AttributeError as exc:
            # asyncpg 0.32 forgets the statement that it prepares when the connection ends meanwhile.
            if self.driver.is_closed():
                raise asyncpg.InterfaceError("the connection has ended") from exc
            raise


class Connections:
    """Four connections to one host. They fail together, and for ever."""

    def __init__(self, drivers: list[Any], on_failure: Callable[[str], None]) -> None:
        self.commits, self.loads, self.reads, self.lease = (Connection(driver) for driver in drivers)
        """For turns; for shards that come and go; for replays; for the lease. None waits for another's statement."""
        self.failure = ""
        """Why they have failed."""
        self._on_failure = on_failure
        self._ending: asyncio.Task[None] | None = None
        for driver in drivers:
            driver.add_log_listener(self._on_notice)
            driver.add_termination_listener(lambda _: self.fail("a connection to the database was lost"))

    @classmethod
    async def open(cls, url: str, on_failure: Callable[[str], None], *, needs_standby: bool) -> "Connections":
        """Connect to the host that takes writes, and bring the tables up to date.

        Args:
            url: with one host or several.
            on_failure: called once, with the reason, when they have failed.
            needs_standby: a host without a synchronous standby will not do.

        Raises:
            StoreError, SettingError, or one of `ERRORS`.
        """

        async def check(driver: Any) -> None:
            await _check_server(driver, needs_standby=needs_standby)

        host, first = await connect(url, CONNECT_S, check, server_settings=_SETTINGS)
        drivers = [first]
        try:
            await _migrate(first)
            await first.execute("".join(f"SET {name} = {value};" for name, value in _BY_INDEX.items()))
            options = {"timeout": CONNECT_S, "server_settings": _SETTINGS, **TAKES_WRITES}
            while len(drivers) < 4:
                drivers.append(await asyncpg.connect(host, **options))
            for driver in drivers:
                await driver.execute(_FAST_COMPRESSION)
            if len({await Connection(driver).fetch_value(_SERVER) for driver in drivers}) > 1:
                raise StoreError(f"{place_of(host)} leads to several servers: name each as a host of its own")
            return cls(drivers, on_failure)
        except BaseException:
            for driver in drivers:
                driver.terminate()
            raise

    def fail(self, reason: str) -> None:
        """Let no statement succeed any more; those that wait fail now."""
        if self.failure:
            return
        self.failure = reason
        for connection in (self.commits, self.loads, self.reads):
            connection.driver.terminate()
        # A renewal may be waiting for a standby: it is cancelled, so that such servers do not become many.
        self._ending = asyncio.create_task(_end(self.lease.driver))
        self._on_failure(reason)

    async def close(self) -> None:
        """End them, unless they have failed."""
        if not self.failure:
            self.failure = "the store is closed"
            for connection in (self.commits, self.loads, self.reads, self.lease):
                connection.driver.terminate()
        elif self._ending is not None:
            await asyncio.wait([self._ending], timeout=END_S)
            self._ending.cancel()  # a host that is lost does not answer
            await asyncio.gather(self._ending, return_exceptions=True)

    async def guard(self, work: Awaitable[_T]) -> _T:
        """Return the result of statements; if one fails, raise StoreError, and all fail: its outcome is not known."""
        try:
            result = await work
        except (*ERRORS, StoreError) as exc:
            self.fail(why(exc))
            raise StoreError(self.failure) from exc
        if self.failure:
            raise StoreError(self.failure)
        return result

    def _on_notice(self, _: Any, message: Any) -> None:
        if message.severity_en != _WARNING:
            return
        if message.sqlstate == _CRASH:
            self.fail(f"the database's server crashed, and its log says why: {message.message}")
        else:
            self.fail(f"the database may have committed without its standby: {message.message}")


async def _end(driver: Any) -> None:
    try:
        with contextlib.suppress(*ERRORS):
            await driver.close(timeout=CONNECT_S)
    finally:
        driver.terminate()


async def _check_server(driver: Any, *, needs_standby: bool) -> None:
    version = driver.get_server_version()
    if version.major < OLDEST:
        raise SettingError(f"PostgreSQL is {version.major}, and must be {OLDEST} or newer")
    if (encoding := driver.get_settings().server_encoding) != "UTF8":
        raise SettingError(f"the database has the encoding {encoding}, and must have UTF8")
    connection = Connection(driver)
    if not await standbys(connection) and (needs_standby or await connection.fetch_value(_WAITS_FOR_EVER)):
        raise StoreError(f"it has no synchronous standby: {await standby_hint(connection)}")


async def _migrate(driver: Any) -> None:
    try:
        await _make_tables(driver)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as exc:  # a schema not to be seen
        raise SettingError(
            f"{why(exc)}: the broker's role must own the database, or the schema {SCHEMA} in it"
        ) from exc


async def _make_tables(driver: Any) -> None:
    async with driver.transaction():
        # Two brokers that start at once do this one after the other.
        await driver.execute("SELECT pg_advisory_xact_lock(hashtext('tsudoi migrations'))")
        # IF NOT EXISTS would ask for the permission to create it even if it is there.
        if not await driver.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
            await driver.execute(f"CREATE SCHEMA {SCHEMA}")
        await driver.execute("CREATE TABLE IF NOT EXISTS migrations (number int PRIMARY KEY)")
        done = await driver.fetchval("SELECT coalesce(max(number), 0) FROM migrations")
        if done > len(MIGRATIONS):
            raise SettingError(f"the store has version {done}, this program reads up to {len(MIGRATIONS)}")
        for number, script in enumerate(MIGRATIONS[done:], done + 1):
            await driver.execute(script)
            await driver.execute("INSERT INTO migrations VALUES ($1)", number)


async def standbys(connection: Connection) -> int:
    """Return how many standbys a commit can wait for."""
    count: int = await connection.fetch_value(
        "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
        " AND current_setting('synchronous_standby_names') <> ''"
    )
    return count


async def standby_hint(connection: Connection) -> str:
    """Return why there is none."""
    names = await connection.fetch_value("SHOW synchronous_standby_names")
    hidden = await connection.fetch_value("SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NULL")
    if not names:
        return "synchronous_standby_names is empty"
    if hidden:
        return "the standbys can not be seen: GRANT pg_monitor to the broker's role"
    return f"none of synchronous_standby_names = {names!r} is connected"
