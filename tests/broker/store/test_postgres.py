"""broker/store/postgres.py and postgres_link.py, on real servers: who owns the rooms, and what survives a machine."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from broker.store import postgres_link
from broker.store.interface import Batch, Chunk, Store, StoreInUse
from broker.store.postgres import PostgresStore
from tests.support import postgres
from tsudoi.protocol.errors import SettingError, StoreError

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Instance]:
    with postgres.one() as instance:
        yield instance


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[postgres.Instance, postgres.Instance]]:
    with postgres.pair() as pair:
        yield pair


def turn(number: int) -> Batch:
    return Batch(chunks=[Chunk(1, number, number, 0, b"text %d" % number)], accepted={"a/1": number})


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.02)


def waits_for_standby(primary: postgres.Instance) -> bool:
    return primary.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"


@contextlib.contextmanager
def committing(store: Store, batch: Batch) -> Iterator[list[BaseException | None]]:
    """Commit in a thread; the list has the result once it is there."""
    results: list[BaseException | None] = []

    def commit() -> None:
        try:
            store.commit(batch)
        except StoreError as exc:
            results.append(exc)
        else:
            results.append(None)

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        yield results
    finally:
        thread.join(PATIENCE_S)


def opened_in_time(url: str, *, requires_synchronous: bool = False) -> PostgresStore:
    """Open a store whose last broker's lease is not over yet, or whose standby is about to connect."""
    opened: list[PostgresStore] = []

    def is_open() -> bool:
        with contextlib.suppress(SettingError):
            opened.append(PostgresStore(url, requires_synchronous=requires_synchronous))
        return bool(opened)

    wait_for(is_open, "no broker can open it")
    return opened[0]


# --- who owns the rooms -------------------------------------------------------------------------------------------


def test_a_second_broker_is_refused_until_the_first_has_closed(server: postgres.Instance) -> None:
    url = server.empty()
    first = PostgresStore(url)
    with pytest.raises(StoreInUse, match=r"another broker has the store at 127\.0\.0\.1/postgres"):
        PostgresStore(url)
    first.close()
    PostgresStore(url).close()


def test_a_broker_that_lost_its_lease_can_not_commit(server: postgres.Instance) -> None:
    url = server.empty()
    with contextlib.closing(PostgresStore(url)) as frozen:
        frozen.commit(turn(1))
        server.sql("UPDATE tsudoi.shards SET lease_until = '-infinity'")
        with contextlib.closing(PostgresStore(url)) as owner:
            owner.commit(turn(2))
            for act in (lambda: frozen.commit(turn(2)), lambda: frozen.trim(1, 0)):
                with pytest.raises(StoreError, match="another broker owns the rooms"):
                    act()
            assert [chunk.first for chunk in owner.read(1, 0, 10)] == [1, 2]


def test_a_lease_that_can_not_be_renewed_ends_the_store(
    server: postgres.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_link, "RENEW_S", 0.05)
    with contextlib.closing(PostgresStore(server.empty())) as store:
        store.commit(turn(1))
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tsudoi broker'")
        wait_for(lambda: bool(store.illness()), "it is not noticed")
        with pytest.raises(StoreError, match=r"the lease at 127\.0\.0\.1/postgres can not be renewed"):
            store.commit(turn(2))


def test_two_brokers_that_start_at_once_make_the_tables_once(server: postgres.Instance) -> None:
    url = server.empty()
    outcomes: list[object] = []

    def open_it() -> None:
        try:
            outcomes.append(PostgresStore(url))
        except StoreInUse as exc:
            outcomes.append(exc)

    threads = [threading.Thread(target=open_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    (store,) = (each for each in outcomes if isinstance(each, PostgresStore))
    store.close()
    assert len(outcomes) == 3


# --- what is no store ---------------------------------------------------------------------------------------------


def test_what_can_not_be_opened_is_told_in_one_line(server: postgres.Instance) -> None:
    url = server.empty()
    for bad, why in (
        (url.replace("/postgres", "/nothing"), 'database "nothing" does not exist'),
        (url.replace("tsudoi@", "stranger@"), 'role "stranger" does not exist'),
        ("postgresql://me@127.0.0.1:1/db", "Connect call failed|refused"),
        (f"{url}?sslmode=require", "SSL"),
    ):
        with pytest.raises(SettingError, match=why) as refused:
            PostgresStore(bad)
        assert "\n" not in str(refused.value)


def test_a_user_without_a_name_on_this_machine_is_told_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")  # in a container with `--user 1234`

    monkeypatch.setattr("getpass.getuser", nameless)
    with pytest.raises(SettingError, match="has no name here: write postgresql://USER@HOST/DATABASE"):
        PostgresStore("postgresql://127.0.0.1:1/db")


def test_a_store_of_a_newer_version_is_refused(server: postgres.Instance) -> None:
    url = server.empty()
    PostgresStore(url).close()
    server.sql("INSERT INTO tsudoi.migrations VALUES (99)")
    with pytest.raises(SettingError, match="version 99, this program reads up to"):
        PostgresStore(url)


def test_a_table_that_is_gone_is_a_store_error(server: postgres.Instance) -> None:
    with contextlib.closing(PostgresStore(server.empty())) as store:
        server.sql("DROP TABLE tsudoi.turns")
        with pytest.raises(StoreError, match='relation "turns" does not exist'):
            store.commit(turn(1))


# --- what survives a machine --------------------------------------------------------------------------------------


def test_without_a_standby_it_says_so_or_refuses(server: postgres.Instance) -> None:
    url = server.empty()
    with contextlib.closing(PostgresStore(url)) as store:
        assert not store.survives_a_machine
    with pytest.raises(SettingError, match="no synchronous standby: synchronous_standby_names is empty"):
        PostgresStore(url, requires_synchronous=True)


def test_a_commit_waits_until_the_standby_has_it(machines: tuple[postgres.Instance, postgres.Instance]) -> None:
    primary, standby = machines
    with contextlib.closing(PostgresStore(primary.empty(), requires_synchronous=True)) as store:
        store.commit(turn(1))
        assert store.survives_a_machine
        assert store.illness() == ""
        standby.sql("SELECT pg_wal_replay_resume()")
        for number in range(2, 30):
            store.commit(turn(number))
        # Received and flushed there; replayed a little later.
        wait_for(lambda: standby.sql("SELECT count(*) FROM tsudoi.turns") == "29", "the standby lacks turns")


def test_a_wait_for_the_standby_that_is_cancelled_is_no_commit(
    machines: tuple[postgres.Instance, postgres.Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_link, "RENEW_S", 60.0)
    monkeypatch.setattr(postgres_link, "STOP_S", 60.0)
    primary, standby = machines
    with contextlib.closing(PostgresStore(primary.empty(), requires_synchronous=True)) as store:
        store.commit(turn(1))
        standby.stop()
        try:
            with committing(store, turn(2)) as results:
                wait_for(lambda: waits_for_standby(primary), "the commit does not wait")
                assert results == []
                primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            assert "its wait for it was cancelled" in str(results[0])
            with pytest.raises(StoreError, match="its wait for it was cancelled"):
                store.commit(turn(3))
        finally:
            standby.start()


@pytest.mark.slow
def test_without_its_standby_nothing_is_accepted_and_the_broker_ends(
    machines: tuple[postgres.Instance, postgres.Instance],
) -> None:
    primary, standby = machines
    with contextlib.closing(PostgresStore(primary.empty(), requires_synchronous=True)) as store:
        store.commit(turn(1))
        standby.stop()
        try:
            with committing(store, turn(2)) as results:
                wait_for(lambda: waits_for_standby(primary), "the commit does not wait")
            assert "can not be renewed: no answer in time" in str(results[0])
        finally:
            standby.start()
    # The outcome was not known: what the next broker reads is on both machines, whichever it is.
    with contextlib.closing(opened_in_time(primary.url(), requires_synchronous=True)) as store:
        assert store.load().ends[1][1] in (1, 2)


@pytest.mark.slow
def test_what_was_accepted_survives_the_primary() -> None:
    with postgres.pair() as (primary, standby):
        both = f"postgresql://{postgres.USER}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        store = PostgresStore(both, requires_synchronous=True)
        accepted = 0
        killer = threading.Timer(1.0, primary.stop)
        killer.start()
        with contextlib.suppress(StoreError):
            for number in range(1, 1_000_000):
                store.commit(turn(number))
                accepted = number
        killer.join()
        store.close()
        standby.promote()
        with contextlib.closing(opened_in_time(both)) as again:
            last = again.load().ends[1][1]
            # The one with the unknown outcome may be there.
            assert accepted > 10
            assert last in (accepted, accepted + 1)
            assert [chunk.first for chunk in again.read(1, 0, last)] == [*range(1, last + 1)]


def test_the_driver_passes_warnings_on_before_it_returns(server: postgres.Instance) -> None:
    """`Link` relies on it: a commit that was not replicated is known by a warning."""

    async def order() -> list[str]:
        happened: list[str] = []
        connection = await asyncpg.connect(server.url())
        connection.add_log_listener(lambda _, message: happened.append(str(message)))
        await connection.execute("DO $$ BEGIN RAISE WARNING 'first'; END $$")
        happened.append("returned")
        await connection.close()
        return happened

    assert asyncio.run(order()) == ["PostgresWarning: first", "returned"]
