"""broker/store/postgres_connections.py, with connections to a host that is lost."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from broker.store.postgres import PostgresStore
from broker.store.postgres_connections import Connection, Connections, place_of
from tests.support import postgres
from tsudoi.protocol.errors import SettingError


class LostHost:
    """A connection to a host that does not answer any more."""

    def __init__(self) -> None:
        self.is_terminated = False

    def add_log_listener(self, listener: Callable[..., None]) -> None:
        """Nothing comes from it."""

    def add_termination_listener(self, listener: Callable[..., None]) -> None:
        """Its end is not noticed."""

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - as in the driver
        await asyncio.Event().wait()

    def terminate(self) -> None:
        self.is_terminated = True


async def test_the_end_of_a_broker_does_not_wait_for_a_host_that_is_lost() -> None:
    drivers, failures = [LostHost() for _ in range(4)], list[str]()
    connections = Connections(drivers, failures.append)
    connections.fail("the lease was not renewed")
    async with asyncio.timeout(10.0):
        await connections.close()
    assert failures == ["the lease was not renewed"]
    assert all(driver.is_terminated for driver in drivers)


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_connection_that_ends_while_a_statement_is_prepared_has_ended(is_closed: bool) -> None:
    class Driver(LostHost):
        async def fetchval(self, query: str) -> None:
            raise AttributeError("'NoneType' object has no attribute '_init_types'")

        def is_closed(self) -> bool:
            return is_closed

    # Any other error of this kind is a fault of the program.
    with pytest.raises(asyncpg.InterfaceError if is_closed else AttributeError):
        asyncio.run(Connection(Driver()).fetch_value("SELECT 1"))


def test_connections_that_one_name_leads_to_several_servers_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay from another server than the one that commits could lack what was accepted."""
    with postgres.one() as server, postgres.one() as other:
        connect, made = asyncpg.connect, list[str]()

        def connect_to_any(url: str, **options: Any) -> Any:
            made.append(url)
            return connect(other.url() if len(made) == 3 else url, **options)

        monkeypatch.setattr(asyncpg, "connect", connect_to_any)
        with pytest.raises(SettingError, match=f"127.0.0.1:{server.port}/postgres leads to several servers: name each"):
            PostgresStore(server.url())
        assert len(made) == 4
        PostgresStore(server.url()).close()


def test_each_connection_takes_writes_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    with postgres.one() as server:
        PostgresStore(server.url()).close()


def test_the_place_in_messages_has_all_hosts_and_no_user() -> None:
    """Newer Pythons' `urlsplit` refuses the second host here."""
    assert place_of("postgresql://alice@[::1]:5432,[::2]:5433/chat?sslmode=require") == "[::1]:5432,[::2]:5433/chat"
    assert place_of("postgresql:///chat") == "this machine/chat"
