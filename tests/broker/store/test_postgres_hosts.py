"""broker/store/postgres_hosts.py, on a real server beside hosts that are lost."""

import asyncio
import socket
from collections.abc import Iterator

import asyncpg
import pytest

from broker.store import postgres_hosts
from scenarios.ports import steady_port
from tests.support import postgres
from tsudoi.protocol.errors import StoreError

QUICK_S = 5.0


async def any_host(_: object) -> None: ...


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that answers nothing, as one whose machine is lost."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_url_is_taken_apart_host_by_host() -> None:
    assert postgres_hosts.host_urls("postgresql://a@b,[::1]:5433/c?sslmode=require") == {
        "b": "postgresql://a@b/c?sslmode=require",
        "[::1]:5433": "postgresql://a@[::1]:5433/c?sslmode=require",
    }
    assert postgres_hosts.host_urls("postgresql:///c") == {"": "postgresql:///c"}


async def test_a_host_that_does_not_answer_delays_no_other(postgresql: postgres.Instance, silent: str) -> None:
    url = postgresql.url().replace("@", f"@{silent},127.0.0.1:{steady_port()},")
    async with asyncio.timeout(QUICK_S):
        chosen, connection = await postgres_hosts.connect(url, 60.0, any_host)
    assert chosen == postgresql.url()
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


def test_if_no_host_takes_writes_the_error_says_why_each(postgresql: postgres.Instance, silent: str) -> None:
    postgresql.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    postgresql.sql("SELECT pg_reload_conf()")
    try:
        own = f"127.0.0.1:{postgresql.port}"
        with pytest.raises(postgres_hosts.NoHost) as raised:
            asyncio.run(postgres_hosts.connect(postgresql.url().replace("@", f"@{silent},"), 1.0, any_host))
        assert str(raised.value) == f"{silent}: no answer in time; {own}: it takes no writes: it is a standby"
    finally:
        postgresql.sql("ALTER SYSTEM RESET default_transaction_read_only")
        postgresql.sql("SELECT pg_reload_conf()")


def test_one_host_fails_as_it_fails(postgresql: postgres.Instance) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError, match="none"):
        asyncio.run(postgres_hosts.connect(postgresql.url().replace("/postgres", "/none"), 5.0, any_host))


def test_a_host_that_does_not_suit_is_passed_over(postgresql: postgres.Instance) -> None:
    async def refuse(connection: asyncpg.Connection) -> None:
        if await connection.fetchval("SHOW application_name") == "":
            raise StoreError("it has no standby")

    own = f"127.0.0.1:{postgresql.port}"
    with pytest.raises(postgres_hosts.NoHost, match=f"{own}: it has no standby"):
        asyncio.run(postgres_hosts.connect(postgresql.url().replace("@", f"@127.0.0.1:{steady_port()},"), 5.0, refuse))
