"""Databases that can not be used, and a full disk, on real servers: one clear sentence, and nothing lost."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.store import postgres_connections
from broker.store.interface import Batch, Chunk
from broker.store.postgres import PostgresStore
from tests.support import postgres
from tests.support.sharing_broker import SharingBroker
from tests.support.waiting import wait_until
from tsudoi.protocol.errors import SettingError, StoreError

DISK = 140 * 2**20
"""Bytes: the files of an empty cluster of databases, and some."""
SPARE = 2 * 2**20
NEWS = 100_000
NEEDED = "the broker's role must own the database, or the schema tsudoi in it"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Instance]:
    with postgres.one() as instance:
        rules = instance.folder / "pg_hba.conf"
        rules.write_text("host all locked all scram-sha-256\n" + rules.read_text())
        for statement in (
            "SELECT pg_reload_conf()",
            "CREATE ROLE locked LOGIN PASSWORD 'right'",
            "CREATE ROLE guest LOGIN",
            "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'",
            "CREATE DATABASE owned",
            "CREATE DATABASE locked OWNER locked",
            "CREATE ROLE moderate LOGIN",
        ):
            instance.sql(statement)
        with contextlib.closing(PostgresStore(instance.url().replace("/postgres", "/owned"))):
            yield instance


def refusal(url: str, *, requires_synchronous: bool | None = None) -> str:
    """Return why a store is not opened; the text is one line that begins with its place."""
    with pytest.raises(SettingError) as refused:
        PostgresStore(url, requires_synchronous=requires_synchronous)
    place = url.rpartition("@")[2].partition("?")[0]
    beginning = f"can not open the store at {place}: "
    assert str(refused.value).startswith(beginning)
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(beginning)


@pytest.mark.parametrize(
    ("role", "database", "why"),
    [
        ("tsudoi", "none", 'database "none" does not exist'),
        ("nobody", "postgres", 'role "nobody" does not exist'),
        ("locked", "locked", 'password authentication failed for user "locked"'),
        ("tsudoi", "latin", "the database has the encoding LATIN1, and must have UTF8"),
        ("guest", "postgres", f"permission denied for database postgres: {NEEDED}"),
        ("guest", "owned", f"no schema has been selected to create in: {NEEDED}"),
    ],
)
def test_why_a_database_can_not_be_used(
    server: postgres.Instance, monkeypatch: pytest.MonkeyPatch, role: str, database: str, why: str
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    url = server.url().replace("tsudoi@", f"{role}@").replace("/postgres", f"/{database}")
    assert refusal(url) == why


def test_a_database_of_which_a_part_was_dropped_is_refused(server: postgres.Instance) -> None:
    server.sql("CREATE DATABASE parts")
    url = server.url().replace("/postgres", "/parts")
    PostgresStore(url).close()
    server.run("psql", url, "-c", "DROP TABLE tsudoi.members CASCADE")
    why = refusal(url)
    assert "does not exist: the schema tsudoi is not whole" in why
    assert "HINT" not in why


def test_the_password_is_taken_from_the_environment(server: postgres.Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "right")
    url = server.url().replace("tsudoi@", "locked@").replace("/postgres", "/locked")
    PostgresStore(url).close()


def test_a_role_that_owns_the_schema_alone_is_enough(server: postgres.Instance) -> None:
    server.sql("CREATE SCHEMA tsudoi AUTHORIZATION moderate")
    PostgresStore(server.url().replace("tsudoi@", "moderate@")).close()
    server.empty()


def test_an_old_postgresql_is_refused(server: postgres.Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connections, "OLDEST", 99)
    major = int(server.sql("SHOW server_version_num")) // 10_000
    assert refusal(server.url()) == f"PostgreSQL is {major}, and must be 99 or newer"


def test_an_asynchronous_standby_is_none() -> None:
    with postgres.pair() as (primary, _):
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        primary.sql("SELECT pg_reload_conf()")
        why = "it has no synchronous standby: synchronous_standby_names is empty"
        assert refusal(primary.url(), requires_synchronous=True) == why
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'another'")
        primary.sql("SELECT pg_reload_conf()")
        why = "it has no synchronous standby: none of synchronous_standby_names = 'another' is connected"
        assert refusal(primary.url(), requires_synchronous=True) == why


def test_a_server_that_crashes_is_named(server: postgres.Instance) -> None:
    with contextlib.closing(PostgresStore(server.empty())) as store:
        broker = SharingBroker(store)
        with subprocess.Popen(
            [server.bin / "psql", "-d", server.url(), "-c", "SELECT pg_sleep(60)"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            wait_until(lambda: server.sql(query) != "")
            os.kill(int(server.sql(query)), signal.SIGKILL)
            assert broker.wait_for_loss().startswith("the database's server crashed, and its log says why: ")


# --- a full disk --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on a small file system of its own."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a file system")
    with postgres.place() as folder:
        disk = folder / "disk"
        disk.mkdir(mode=0o755)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "none", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave `SPARE` bytes; return the file that takes the rest."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - SPARE)
    return filler


def turn(number: int) -> Batch:
    """A turn of a size that counts, which does not shrink."""
    return Batch(chunks=[Chunk(1, number, number, 0, os.urandom(NEWS))], shard=5)


def test_a_full_disk_of_the_primary_loses_nothing_that_was_accepted(small_disk: Path) -> None:
    server = postgres.Instance(small_disk / "server")
    server.create()
    server.configure("max_wal_size = '32MB'\nmin_wal_size = '32MB'\nwal_keep_size = 0\n")
    server.start()
    try:
        with contextlib.closing(PostgresStore(server.url())) as store:
            broker = SharingBroker(store)
            broker.serve(5)
            filler = fill(small_disk)
            accepted = 0
            error = ""
            while not error:
                assert accepted * NEWS < DISK
                try:
                    store.commit(turn(accepted + 1))
                    accepted += 1
                except StoreError as exc:
                    error = str(exc)
            assert accepted
            assert "\n" not in error
            # PostgreSQL may have died of it, or said what it is.
            assert any(words in error for words in ("No space left on device", "its log says why", "connection"))
            filler.unlink()
            if not running(server):
                server.start()
            broker.wait_for(lambda view: True, "it does not come back")
            (snapshot,) = broker.serve_when_free(5)
            # The outcome of the turn that failed was not known.
            assert snapshot.ends in ({1: (1, accepted)}, {1: (1, accepted + 1)})
            store.commit(turn(snapshot.ends[1][1] + 1))
    finally:
        server.stop()


def running(server: postgres.Instance) -> bool:
    try:
        server.sql("SELECT 1")
    except subprocess.CalledProcessError:
        return False
    return True
