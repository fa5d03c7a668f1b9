"""broker/store/postgres*.py, on real servers: what survives a machine, and how a broker comes back."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest

from broker.store import postgres as postgres_store
from broker.store import postgres_lease, postgres_link, postgres_rows
from broker.store.interface import Batch, Chunk, MemberRow, PostRow, Snapshot
from broker.store.postgres import PostgresStore
from broker.store.postgres_lease import Registration
from broker.store.postgres_link import Link
from broker.store.postgres_schema import MIGRATIONS
from broker.store.sharing import View
from tests.support import postgres
from tests.support.sharing_broker import SharingBroker
from tests.support.waiting import wait_until
from tsudoi.protocol.errors import SettingError, StoreError

PATIENCE_S = 60.0


def turn(number: int, shard: int = 0) -> Batch:
    return Batch(chunks=[Chunk(1, number, number, 0, b"text %d" % number)], accepted={"a/1": number}, shard=shard)


@contextlib.contextmanager
def sharing(url: str, requires_synchronous: bool | None = None) -> Iterator[SharingBroker]:
    """A registered broker."""
    with contextlib.closing(PostgresStore(url, requires_synchronous=requires_synchronous)) as store:
        yield SharingBroker(store)


def waits_for_standby(primary: postgres.Instance) -> bool:
    return primary.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"


# --- a registration ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection", ["commits", "loads", "reads", "lease"])
def test_a_broker_that_lost_a_connection_comes_back_as_another(postgresql: postgres.Instance, connection: str) -> None:
    with sharing(postgresql.empty()) as broker:
        broker.serve(0)
        broker.store.commit(turn(1))
        me = broker.view().me
        lost = getattr(broker.store._link.current().connections, connection).driver.get_server_pid()  # type: ignore[attr-defined]
        postgresql.sql(f"SELECT pg_terminate_backend({lost})")
        broker.wait_for_loss()
        assert broker.wait_for(lambda view: True, "it does not come back").me != me
        (snapshot,) = broker.serve_when_free(0)
        assert snapshot.ends == {1: (1, 1)}
        broker.store.commit(turn(2))


def test_a_broker_survives_a_restart_of_the_server() -> None:
    with postgres.one() as server, sharing(server.url()) as broker:
        broker.serve(0, 63)
        broker.store.commit(turn(1), turn(1, 63))
        server.stop("fast")
        broker.wait_for_loss()
        assert broker.store.unhealthy_reason() != ""
        assert not broker.store.may_serve()
        with pytest.raises(StoreError):
            broker.store.commit(turn(2))
        server.start()
        broker.wait_for(lambda view: True, "it does not come back")
        assert broker.store.unhealthy_reason() == ""
        assert [snapshot.ends for snapshot in broker.serve_when_free(0, 63)] == [{1: (1, 1)}] * 2
        broker.store.commit(turn(2))


def test_several_brokers_need_a_standby_unless_told_otherwise(
    postgresql: postgres.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lease, "LEASE_S", 0.0)  # how long the second waits for the first to be over
    url = postgresql.empty()
    with sharing(url) as first:
        first.serve(0)
        with pytest.raises(SettingError, match=r"another broker shares it.*synchronous_standby_names is empty"):
            PostgresStore(url).register(first.view().brokers[0], lambda view: None, lambda why: None)
        assert first.losses == []
        with sharing(url, requires_synchronous=False) as second:
            second.wait_for(lambda view: len(view.brokers) == 2, "the second does not see the first")


def test_two_brokers_that_start_at_once_make_the_tables_once(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    stores: list[PostgresStore] = []
    threads = [threading.Thread(target=lambda: stores.append(PostgresStore(url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for store in stores:
        store.close()
    assert len(stores) == 3


# --- nothing waits for what it need not ---------------------------------------------------------------------------


@contextlib.contextmanager
def locked(url: str, *statements: str) -> Iterator[Callable[[], None]]:
    """Run statements in a transaction, which ends when the function is called."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url, server_settings={"search_path": "tsudoi"}))
        transaction = connection.transaction()
        runner.run(transaction.start())
        for statement in statements:
            runner.run(connection.execute(statement))
        yield lambda: runner.run(transaction.commit())
        runner.run(connection.close())


def test_a_load_holds_up_neither_commits_nor_the_lease(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    with sharing(url) as broker:
        broker.store.take([1, 2])
        broker.store.load(2)
        loaded: list[Snapshot] = []
        loads = threading.Thread(target=lambda: loaded.append(broker.store.load(1)))
        with locked(url, "LOCK TABLE members") as release:
            loads.start()
            wait_until(lambda: waiting(postgresql) == 1, "the load does not wait")
            for number in range(1, 20):
                broker.store.commit(turn(number, 2))
            looks = len(broker.views)
            broker.wait_for(lambda view: len(broker.views) > looks + 1, "it does not look")
            assert not loaded
            release()
        loads.join(PATIENCE_S)
        assert loaded == [Snapshot()]
        assert broker.losses == []


def test_a_replay_holds_up_no_commit(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    with sharing(url) as broker:
        broker.serve(1)
        broker.store.commit(turn(1, 1))
        broker.store.trim(1, 0)
        read: list[Chunk] = []
        reads = threading.Thread(target=lambda: read.extend(broker.store.read(1, 0, 9, 1)))
        with locked(url, "LOCK TABLE log") as release:
            reads.start()
            wait_until(lambda: waiting(postgresql) == 1, "the replay does not wait")
            broker.store.commit(turn(2, 1))
            assert not read
            release()
        reads.join(PATIENCE_S)
        assert [chunk.first for chunk in read] == [1]


def waiting(server: postgres.Instance) -> int:
    return int(server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.mark.parametrize("statement", ["DELETE FROM brokers", "UPDATE brokers SET lease_until = '-infinity'"])
def test_a_renewal_that_meets_an_eviction_is_refused(postgresql: postgres.Instance, statement: str) -> None:
    url = postgresql.empty()
    with sharing(url) as broker:
        me = broker.view().me
        broker.serve(1)
        with locked(url, statement) as commit:
            wait_until(lambda: waiting(postgresql) == 1, "it does not renew")
            assert broker.losses == []
            commit()
        assert "it was over" in broker.wait_for_loss()
        assert broker.view().me != me
        assert postgresql.sql("SELECT count(*) FROM tsudoi.brokers") == "1"


def test_an_eviction_that_meets_a_renewal_leaves_the_broker_alone(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    with sharing(url, requires_synchronous=False) as broker, sharing(url, requires_synchronous=False) as other:
        other.serve(1)
        me = other.view().me
        goes_on = other.freeze()
        # A renewal that began in time, of a lease that ends meanwhile.
        late = f"UPDATE brokers SET lease_until = now() + interval '60 s' WHERE id = '{me}'"
        postgresql.sql(f"UPDATE tsudoi.brokers SET lease_until = now() + interval '0.3 s' WHERE id = '{me}'")
        with locked(url, late) as commit:
            taken: list[dict[int, int]] = []
            takes = threading.Thread(target=lambda: taken.append(broker.store.take([1])))
            postgresql.sql("SELECT pg_sleep(0.4)")
            takes.start()
            wait_until(lambda: waiting(postgresql) >= 1 and not taken, "the eviction does not wait")
            commit()
            takes.join(PATIENCE_S)
        goes_on.set()
        assert taken == [{}]
        assert postgresql.sql("SELECT owner, term FROM tsudoi.shards WHERE shard = 1") == f"{me}|1"


def chunks(room: int, *numbers: int, at_ms: int = 0) -> list[Chunk]:
    return [Chunk(room, number, number, at_ms, b"x" * 100) for number in numbers]


def test_each_trim_takes_a_part_of_the_shards(postgresql: postgres.Instance) -> None:
    with sharing(postgresql.empty()) as broker:
        broker.serve(*range(12))
        broker.store.commit(*(Batch(chunks=chunks(shard + 1, 1, 2), shard=shard) for shard in range(12)))
        trims = [broker.store.trim(1, 0) for _ in range(7)]
        assert trims == [{shard + 1: 2, shard + 2: 2} for shard in range(0, 12, 2)] + [{}]


@pytest.mark.parametrize("ahead_s", [-200_000.0, 0.0, 200_000.0])
def test_a_clock_that_is_ahead_of_the_databases_deletes_nothing_new(
    postgresql: postgres.Instance,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    ahead_s: float,
) -> None:
    monkeypatch.setattr(postgres_lease, "wall_time", lambda: time.time() + ahead_s)
    now_ms = int(time.time() * 1_000)
    day_ms = 86_400_000
    with sharing(postgresql.empty()) as broker:
        logged = "".join(capfd.readouterr())
        assert ("this machine's clock and the database's differ" in logged) == (ahead_s != 0.0)
        broker.serve(0)
        broker.store.commit(Batch(chunks=[*chunks(1, 1, at_ms=now_ms - 2 * day_ms), *chunks(1, 2, 3, at_ms=now_ms)]))
        trimmed = broker.store.trim(1_000, now_ms + int(ahead_s * 1_000) - day_ms)
        assert trimmed == ({} if ahead_s < 0 else {1: 2})  # what is two days old by the right clock


def test_a_trim_leaves_rooms_for_the_next_when_it_has_dropped_many_rows(
    postgresql: postgres.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_store, "TRIM_ROWS", 3)
    monkeypatch.setattr(postgres_rows, "ROW_SIZE", 1)
    with sharing(postgresql.empty()) as broker:
        broker.serve(1)
        broker.store.commit(Batch(chunks=[each for room in (7, 8, 9) for each in chunks(room, 1, 2, 3)], shard=1))
        assert [broker.store.trim(1, 0) for _ in range(3)] == [{7: 3, 8: 3}, {9: 3}, {}]


@pytest.mark.parametrize("times", [(10, 20, 30), (10, 10, 10)], ids=["different", "the same"])
def test_a_trim_looks_at_few_rooms_that_grew_or_are_old(
    postgresql: postgres.Instance, monkeypatch: pytest.MonkeyPatch, times: tuple[int, ...]
) -> None:
    monkeypatch.setattr(postgres_store, "TRIM_ROOMS", 1)
    with sharing(postgresql.empty()) as broker:
        broker.serve(1)
        old = [each for room, at_ms in zip((7, 8, 9), times, strict=True) for each in chunks(room, 1, at_ms=at_ms)]
        broker.store.commit(Batch(chunks=old, shard=1))
        assert [broker.store.trim(9, 0) for _ in range(3)] == [{}, {}, {}]
        broker.store.commit(Batch(chunks=[*chunks(7, 2), *chunks(8, 2, at_ms=90), *chunks(9, 2, at_ms=90)], shard=1))
        found: dict[int, int] = {}
        for _ in range(6):
            found |= broker.store.trim(9, 50)
        assert found == {7: 2, 8: 2, 9: 2}


def test_a_trim_does_not_wait_for_a_commit_and_holds_none_up(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    with sharing(url) as broker:
        broker.serve(1)
        broker.store.commit(Batch(chunks=chunks(7, 1, 2), shard=1))
        assert broker.store.trim(2, 0) == {}
        with locked(url, "SELECT * FROM log FOR UPDATE"):
            assert broker.store.trim(1, 0) == {}
        with locked(url, "SELECT * FROM shards FOR UPDATE"):
            assert broker.store.trim(1, 0) == {7: 2}
        assert broker.losses == []


def test_a_trim_passes_over_a_shard_that_was_given_away_meanwhile(
    postgresql: postgres.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.empty()
    trim = Link.trim

    def trim_late(link: Link, registration: Registration, *values: Any) -> list[Any] | None:
        if link is not other_link:
            broker.store.give([1])
            other.serve_when_free(1)
        return trim(link, registration, *values)

    monkeypatch.setattr(Link, "trim", trim_late)
    with sharing(url, False) as broker, contextlib.closing(PostgresStore(url, requires_synchronous=False)) as store:
        other, other_link = SharingBroker(store), store._link
        broker.serve(1)
        broker.store.commit(Batch(chunks=chunks(7, 1, 2), shard=1))
        assert broker.store.trim(1, 0) == {}
        assert broker.losses == []
        assert other.store.trim(1, 0) == {7: 2}


def test_changes_of_a_new_database_find_their_rows_by_key(postgresql: postgres.Instance) -> None:
    count = 200
    with sharing(postgresql.empty()) as broker:
        broker.serve(1)
        for number in range(count):
            member = MemberRow(number, 1, f"{number}", b"%16d" % number, "tsudoi", "", b"", "a/1", 0, False, 0)
            post = PostRow(b"%d" % number, 1, 1, 1, b"", 0)
            broker.store.commit(Batch(members={number: member}, posts={post.key: post}, shard=1))
    tables = "'members', 'posts'"
    wait_until(
        lambda: (
            postgresql.sql(f"SELECT min(n_tup_ins) FROM pg_stat_user_tables WHERE relname IN ({tables})") == str(count)
        ),
        "the statistics are not written",
    )
    read = postgresql.sql(f"SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ({tables})")
    assert int(read) < count


def test_chunks_share_rows_of_the_log(postgresql: postgres.Instance) -> None:
    with sharing(postgresql.empty()) as broker:
        broker.serve(1)
        kept = chunks(7, *range(1, 401))
        for first in range(0, 400, 10):
            broker.store.commit(Batch(chunks=kept[first : first + 10], shard=1))
        broker.store.trim(1_000, 0)
        assert postgresql.sql("SELECT count(*) FROM tsudoi.log") == "3"
        for after, limit in ((0, 400), (0, 1), (162, 5), (163, 1), (399, 9)):
            assert broker.store.read(7, after, limit, 1) == kept[after : after + limit]


def test_turns_are_not_compressed_and_the_log_is_as_fast_as_the_server_can(postgresql: postgres.Instance) -> None:
    with sharing(postgresql.empty()) as broker:
        broker.serve(1)
        broker.store.commit(Batch(chunks=chunks(7, *range(1, 200)), shard=1))
        assert postgresql.sql("SELECT count(*), count(pg_column_compression(body)) FROM tsudoi.turns") == "1|0"
        broker.store.trim(1_000, 0)  # which folds
        methods = postgresql.sql("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'")
        used = postgresql.sql("SELECT DISTINCT pg_column_compression(news) FROM tsudoi.log")
        assert used == ("lz4" if "lz4" in methods else "pglz")


def test_an_older_store_is_brought_up_to_date_with_its_turns(
    postgresql: postgres.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.empty()
    with monkeypatch.context() as older:
        older.setattr("broker.store.postgres_connections.MIGRATIONS", MIGRATIONS[:1])
        with sharing(url) as broker:
            broker.serve(1)
            broker.store.commit(Batch(chunks=chunks(7, *range(1, 200)), shard=1))
            broker.store.commit(Batch(chunks=chunks(7, 200), shard=1))
    assert postgresql.sql("SELECT count(*), count(pg_column_compression(body)) FROM tsudoi.turns") == "2|1"
    with sharing(url) as broker:
        broker.serve(1)
        assert broker.store.read(7, 0, 1_000, 1) == chunks(7, *range(1, 201))


# --- what is no store ---------------------------------------------------------------------------------------------


def test_what_can_not_be_opened_is_told_in_one_line(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    for bad, why in (
        (url.replace("/postgres", "/nothing"), 'database "nothing" does not exist'),
        (url.replace("tsudoi@", "stranger@"), 'role "stranger" does not exist'),
        ("postgresql://me@127.0.0.1:1/db", "127.0.0.1:1/db: connection refused: is the database running"),
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


def test_a_store_of_a_newer_version_is_refused(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    PostgresStore(url).close()
    postgresql.sql("INSERT INTO tsudoi.migrations VALUES (99)")
    with pytest.raises(SettingError, match="version 99, this program reads up to"):
        PostgresStore(url)


def test_a_table_that_is_gone_is_a_store_error(postgresql: postgres.Instance) -> None:
    with sharing(postgresql.empty()) as broker:
        broker.serve(0)
        postgresql.sql("DROP TABLE tsudoi.turns")
        with pytest.raises(StoreError, match='relation "turns" does not exist'):
            broker.store.commit(turn(1))


# --- what survives a machine --------------------------------------------------------------------------------------


def test_without_a_standby_it_says_so_or_refuses(postgresql: postgres.Instance) -> None:
    url = postgresql.empty()
    with contextlib.closing(PostgresStore(url)) as store:
        assert not store.survives_a_machine
    with pytest.raises(SettingError, match="no synchronous standby: synchronous_standby_names is empty"):
        PostgresStore(url, requires_synchronous=True)


def test_a_commit_waits_until_the_standby_has_it(postgresql_pair: postgres.Pair) -> None:
    primary, standby = postgresql_pair
    with sharing(primary.empty(), requires_synchronous=True) as broker:
        broker.serve(0)
        store = broker.store
        store.commit(turn(1))
        assert store.survives_a_machine
        assert store.unhealthy_reason() == ""
        standby.sql("SELECT pg_wal_replay_resume()")
        for number in range(2, 30):
            store.commit(turn(number))
        # Received and flushed there; replayed a little later.
        wait_until(lambda: standby.sql("SELECT count(*) FROM tsudoi.turns") == "29", "the standby lacks turns")


def test_a_wait_for_the_standby_that_is_cancelled_is_no_commit(
    postgresql_pair: postgres.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lease, "RENEW_S", 60.0)
    monkeypatch.setattr(postgres_lease, "STOP_S", 60.0)
    primary, standby = postgresql_pair
    with sharing(primary.empty(), requires_synchronous=True) as broker:
        broker.serve(0)
        broker.store.commit(turn(1))
        standby.stop()
        try:
            with broker.committing(turn(2)) as results:
                wait_until(lambda: waits_for_standby(primary), "the commit does not wait")
                assert results == []
                primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            assert "may have committed without its standby: canceling wait" in str(results[0])
            assert "may have committed without its standby: canceling wait" in broker.wait_for_loss()
            with pytest.raises(StoreError):
                broker.store.commit(turn(3))
            assert not broker.store.may_serve()
        finally:
            standby.start()
        (snapshot,) = broker.serve_when_free(0)
        assert snapshot.ends == {1: (1, 2)}  # and now it is on both machines


def test_settings_of_the_role_hide_no_warning_and_end_no_connection(postgresql: postgres.Instance) -> None:
    hostile = {
        "client_min_messages": "error",
        "synchronous_commit": "off",
        "default_transaction_isolation": "serializable",
        "statement_timeout": "'1s'",
        "lock_timeout": "'1s'",
        "idle_in_transaction_session_timeout": "'1s'",
        "idle_session_timeout": "'1s'",
    }
    for name, value in hostile.items():
        postgresql.sql(f"ALTER ROLE {postgres.USER} SET {name} = {value}")
    try:
        with sharing(postgresql.empty()) as broker:
            link = broker.store._link  # type: ignore[attr-defined]
            query = "SELECT name, setting, source FROM pg_settings WHERE name = ANY ($1)"
            rows = link.read(link.current(), query, [*hostile])
            assert {name: source for name, _, source in rows} == dict.fromkeys(hostile, "client")
            assert {name: setting for name, setting, _ in rows if name.endswith("timeout")} == {
                name: "0" for name in hostile if name.endswith("timeout")
            }
            broker.serve(0)
            postgresql.sql(
                "CREATE FUNCTION tsudoi.warn() RETURNS trigger LANGUAGE plpgsql AS"
                " $$BEGIN RAISE WARNING 'not replicated'; RETURN NULL; END$$"
            )
            postgresql.sql("CREATE TRIGGER warn AFTER INSERT ON tsudoi.turns EXECUTE FUNCTION tsudoi.warn()")
            with pytest.raises(StoreError, match="may have committed without its standby: not replicated"):
                broker.store.commit(turn(1))
    finally:
        postgresql.sql(f"ALTER ROLE {postgres.USER} RESET ALL")


def test_a_wait_that_ends_because_no_standby_is_wanted_any_more_is_no_commit(
    postgresql_pair: postgres.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lease, "RENEW_S", 60.0)
    monkeypatch.setattr(postgres_lease, "STOP_S", 60.0)
    primary, standby = postgresql_pair
    with sharing(primary.empty(), requires_synchronous=True) as broker:
        broker.serve(0)
        broker.store.commit(turn(1))
        names = primary.sql("SHOW synchronous_standby_names")
        standby.stop()
        try:
            with broker.committing(turn(2)) as results:
                wait_until(lambda: waits_for_standby(primary), "the commit does not wait")
                primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
                primary.sql("SELECT pg_reload_conf()")
            assert "synchronous_standby_names was emptied while a commit waited" in str(results[0])
            assert not broker.store.may_serve()
        finally:
            primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            primary.sql("SELECT pg_reload_conf()")
            standby.start()
            wait_until(lambda: primary.sql("SHOW synchronous_standby_names") == names, "the setting is not back")
        (snapshot,) = broker.serve_when_free(0)
        assert snapshot.ends == {1: (1, 2)}


def test_a_warning_is_no_commit_in_any_language(postgresql: postgres.Instance) -> None:
    """Servers say in their own language (`lc_messages`) that a wait for the standby was cancelled."""
    with sharing(postgresql.empty(), requires_synchronous=False) as broker:
        broker.serve(0)
        warning = "RAISE WARNING '同期レプリケーションの待ち状態をキャンセルしています'; RETURN NULL;"
        postgresql.sql(f"CREATE FUNCTION tsudoi.warn() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {warning} END$$")
        postgresql.sql("CREATE TRIGGER warn AFTER INSERT ON tsudoi.turns EXECUTE FUNCTION tsudoi.warn()")
        with pytest.raises(StoreError, match="may have committed without its standby: 同期レプリケーション"):
            broker.store.commit(turn(1))


def test_without_its_standby_nothing_is_accepted_until_it_is_back(
    postgresql_pair: postgres.Pair,
) -> None:
    primary, standby = postgresql_pair
    with sharing(primary.empty(), requires_synchronous=True) as broker:
        broker.serve(0)
        broker.store.commit(turn(1))
        standby.stop()
        try:
            with broker.committing(turn(2)) as results:
                wait_until(lambda: waits_for_standby(primary), "the commit does not wait")
            assert isinstance(results[0], StoreError)
            assert "can not be renewed: no answer in time" in broker.wait_for_loss()
            wait_until(lambda: "no synchronous standby" in broker.store.unhealthy_reason(), "it does not say why")
            assert not broker.is_registered()
        finally:
            standby.start()
        (snapshot,) = broker.serve_when_free(0)
        # The outcome was not known; whichever it is, it is on both machines.
        assert snapshot.ends[1][1] in (1, 2)
        assert int(primary.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tsudoi broker'")) <= 8


@pytest.mark.slow
def test_what_was_accepted_survives_the_primary() -> None:
    with postgres.pair() as (primary, standby):
        both = f"postgresql://{postgres.USER}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        with sharing(both) as broker:
            broker.serve(0, 1)
            accepted = 0
            killer = threading.Timer(1.0, primary.stop)
            killer.start()
            with contextlib.suppress(StoreError):
                for number in range(1, 1_000_000):
                    broker.store.commit(turn(number), turn(number, 1))
                    accepted = number
            killer.join()
            broker.wait_for_loss()
            standby.promote()
            first, second = broker.serve_when_free(0, 1)
            last = first.ends[1][1]
            # The one with the unknown outcome may be there.
            assert accepted > 10
            assert last in (accepted, accepted + 1)
            assert second.ends == first.ends
            for shard in (0, 1):
                assert [chunk.first for chunk in broker.store.read(1, 0, last, shard)] == [*range(1, last + 1)]


@pytest.mark.slow
def test_a_broker_leaves_a_primary_whose_standby_was_promoted() -> None:
    """The machine of the primary is cut off, and comes back; the broker was cut off with it."""
    with postgres.pair() as (primary, standby):
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        with sharing(f"postgresql://{postgres.USER}@{hosts}/postgres") as broker:
            broker.serve(0)
            broker.store.commit(turn(1))
            standby.promote()
            standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
            standby.sql("SELECT pg_reload_conf()")
            broker.wait_for_loss()
            (snapshot,) = broker.serve_when_free(0)
            assert snapshot.ends == {1: (1, 1)}
            broker.store.commit(turn(2))
            assert standby.sql("SELECT count(*) FROM tsudoi.turns") == "2"


def test_names_of_standbys_that_are_not_there_are_told_at_once(postgresql: postgres.Instance) -> None:
    """Any commit would wait for ever."""
    url = postgresql.empty()
    postgresql.sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (away)'")
    postgresql.sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(SettingError, match=r"none of synchronous_standby_names = 'ANY 1 \(away\)' is connected"):
            PostgresStore(url)
    finally:
        postgresql.sql("ALTER SYSTEM RESET synchronous_standby_names")
        postgresql.sql("SELECT pg_reload_conf()")


def test_a_fault_of_the_broker_ends_its_lease_and_not_the_stores_thread(postgresql: postgres.Instance) -> None:
    with sharing(postgresql.empty()) as broker:
        me = broker.view().me

        def fail(view: View) -> None:
            broker.on_view = lambda view: None
            raise ZeroDivisionError

        broker.on_view = fail
        assert broker.wait_for_loss() == "a fault of the broker"
        assert broker.wait_for(lambda view: True, "it does not come back").me != me


def test_a_fault_of_the_broker_while_it_comes_back_does_not_keep_it_away(
    postgresql: postgres.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sharing(postgresql.empty()) as broker:
        opened, attempts = postgres_lease.Lease.open, list[int]()

        async def fail_twice(lease: postgres_lease.Lease) -> None:
            attempts.append(len(attempts))
            if len(attempts) <= 2:
                raise AttributeError("the driver's own fault")
            await opened(lease)

        monkeypatch.setattr(postgres_lease.Lease, "open", fail_twice)
        postgresql.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tsudoi broker'"
        )
        broker.wait_for_loss()
        broker.serve_when_free(0)
        assert len(attempts) == 3
        broker.store.commit(turn(1))


def test_a_connection_that_ends_while_an_attempt_is_given_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(postgres_link._handle_unretrieved)
    for error in (ConnectionError("unexpected connection_lost() call"), ZeroDivisionError("a fault")):
        future = loop.create_future()
        future.set_exception(error)
        del future  # the driver's, which nothing awaits any more
    loop.close()
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["a fault"]


def test_the_driver_passes_warnings_on_before_it_returns(postgresql: postgres.Instance) -> None:
    """`Link` relies on it: a commit that was not replicated is known by a warning."""

    async def order() -> list[str]:
        happened: list[str] = []
        connection = await asyncpg.connect(postgresql.url())
        connection.add_log_listener(lambda _, message: happened.append(str(message)))
        await connection.execute("DO $$ BEGIN RAISE WARNING 'first'; END $$")
        happened.append("returned")
        await connection.close()
        return happened

    assert asyncio.run(order()) == ["PostgresWarning: first", "returned"]
