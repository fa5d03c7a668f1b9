"""PostgreSQL on the machines of a run: a primary, its standbys, and what an operator does when one is lost.

A commit waits until any one standby has it. So before one is promoted, all others are asked how far they have come, and
the one with the most is taken; a machine that lost its data is filled again from the new primary.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos.cluster.network import NETWORK, Network, address_of
from tests.support.postgres import USER, Instance

PATIENCE_S = 30.0
_NAME = "chaos"
_WAITS = f"wait_event = 'SyncRep' AND application_name <> '{_NAME}'"
ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, subprocess.SubprocessError)
_SETTINGS = """
listen_addresses = '*'
unix_socket_directories = ''
shared_buffers = '16MB'
max_connections = 40
max_wal_senders = 8
wal_keep_size = '256MB'
min_wal_size = '32MB'
hot_standby = on
wal_receiver_status_interval = 1
wal_receiver_timeout = '2s'
wal_sender_timeout = '2s'
wal_retrieve_retry_interval = '200ms'
tcp_keepalives_idle = 2
tcp_keepalives_interval = 1
tcp_keepalives_count = 2
autovacuum = off
log_min_messages = warning
synchronous_standby_names = 'ANY 1 (%s)'
"""


class Node(Instance):
    """The server of one machine."""

    def __init__(self, network: Network, machine: int, folder: Path) -> None:
        super().__init__(folder)
        self.name, self.host, self.port = f"m{machine}", address_of(machine), 5432
        self._user = None
        self._network, self._machine = network, machine
        self.has_data = False

    def url(self) -> str:
        return f"postgresql://{USER}@{self.host}:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of PostgreSQL on the machine, and not as root: in a user namespace, as another number."""
        unprivileged = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
        done = subprocess.run(
            [*self._network.inside(self._machine), *unprivileged, str(self.bin / program), *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, program, done.stdout)
            error.add_note(done.stdout)
            raise error
        return done.stdout

    def fill(self, template: Path, settings: str) -> None:
        """Become a primary with an empty database; `template` is made if it is not there."""
        if not template.exists():
            options = ("--auth=trust", "--no-sync", "--wal-segsize=1", "-U", USER, "-E", "UTF8", "--locale=C")
            self.run("initdb", *options, "-D", str(template))
            with (template / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {NETWORK} trust\nhost replication all {NETWORK} trust\n")
        shutil.copytree(template, self.folder)
        self.folder.chmod(0o700)
        self.configure(settings)
        self.has_data = True

    def follow(self, primary: "Node") -> None:
        """Become a standby of a primary, with a copy of all its data."""
        self.wipe()
        # Under another name than the standby's: the copy itself must not count as the one that keeps commits.
        source = f"host={primary.host} port={primary.port} user={USER} connect_timeout=3 application_name=copy"
        self.run("pg_basebackup", "--no-sync", "-c", "fast", "-X", "stream", "-R", "-d", source, "-D", str(self.folder))
        with (self.folder / "postgresql.auto.conf").open("a") as file:
            file.write(f"primary_conninfo = '{self.conninfo(primary)}'\n")
        self.has_data = True

    def conninfo(self, primary: "Node") -> str:
        return f"host={primary.host} port={primary.port} user={USER} connect_timeout=2 application_name={self.name}"

    def wipe(self) -> None:
        self.has_data = False
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        (self.folder / "postmaster.pid").unlink(missing_ok=True)  # all processes of the last one are dead
        super().start()

    def processes(self) -> list[int]:
        found = []
        for pid in self._network.processes(self._machine):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/exe").readlink().name == "postgres":
                    found.append(pid)
        return found

    def kill(self) -> None:
        """`kill -9` to all processes of the server."""
        while pids := self.processes():
            signal_all(pids, signal.SIGKILL)


class Database:
    """The servers of all machines that have one."""

    def __init__(self, network: Network, machines: int, directory: Path, template: Path, *, fsync: bool) -> None:
        self.nodes = [Node(network, machine, directory / f"database{machine}") for machine in range(machines)]
        self.primary = 0
        self.failovers = 0
        self._template = template
        names = ", ".join(node.name for node in self.nodes)
        self._settings = _SETTINGS % names + ("" if fsync else "fsync = off\n")
        self.alone = asyncio.Lock()
        """Held while a server is lost, until all are whole again: two losses at once may lose accepted messages."""

    @property
    def url(self) -> str:
        """For brokers."""
        return f"postgresql://{USER}@{','.join(node.host for node in self.nodes)}/postgres"

    async def start(self) -> None:
        """Make a primary, and standbys that hold each of its commits."""
        first = self.nodes[0]
        await asyncio.to_thread(first.fill, self._template, self._settings)
        await asyncio.to_thread(first.start)
        await asyncio.gather(*(self.rebuild(machine) for machine in range(1, len(self.nodes))))

    async def rebuild(self, machine: int) -> None:
        """Make a server a standby of the primary, from nothing, and wait until commits can wait for it."""
        node = self.nodes[machine]
        await asyncio.to_thread(node.kill)
        await until(lambda: asyncio.to_thread(node.follow, self.nodes[self.primary]), "copy the primary")
        await asyncio.to_thread(node.start)
        await self.wait_for(machine)

    async def wait_for(self, machine: int) -> None:
        """Wait until a server follows the primary."""
        query = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{self.nodes[machine].name}'"
        query += " AND state = 'streaming'"

        async def look() -> None:
            if not await self.value(self.primary, query):
                raise OSError(f"machine {machine} does not follow the primary")

        await until(look, f"let machine {machine} follow the primary")

    async def fail_over(self) -> None:
        """Promote the standby that has the most, and let the others follow it. The primary is lost or cut off."""
        others = [machine for machine in range(len(self.nodes)) if machine != self.primary]
        positions: dict[int, int] = {}

        async def ask() -> None:
            for machine in others:
                before, after = await self._position(machine), await self._position(machine)
                if before != after:
                    raise OSError(f"machine {machine} is still reading")
                positions[machine] = after

        await until(ask, "ask the standbys how far they have come")
        best = max(others, key=positions.__getitem__)
        await asyncio.to_thread(self.nodes[best].promote)
        self.primary = best
        self.failovers += 1
        for machine in others:
            if machine != best:
                await until(partial(self._point, machine), "let a standby follow the new primary")

    @contextlib.asynccontextmanager
    async def receiving_nothing(self) -> AsyncIterator[None]:
        """Let no standby receive anything: each commit waits."""
        pids = [
            pid for node in self.nodes for pid in node.processes() if _title(pid).startswith("postgres: walreceiver")
        ]
        signal_all(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(pids, signal.SIGCONT)

    async def disturb(self, verb: str, lasts: float, counts: Counter[str]) -> None:
        """For a time, cancel the commits that wait for a standby, or terminate their connections."""
        query = f"SELECT pg_{verb}_backend(pid) FROM pg_stat_activity WHERE {_WAITS}"
        end = asyncio.get_running_loop().time() + lasts
        async with connected(self.nodes[self.primary].url()) as connection:
            while asyncio.get_running_loop().time() < end:
                counts[f"{verb} commit"] += len(await connection.fetch(query))
                await asyncio.sleep(0.02)

    async def value(self, machine: int, query: str) -> Any:
        """Return the first value of a statement at one server."""
        async with connected(self.nodes[machine].url()) as connection:
            return await connection.fetchval(query)

    async def _position(self, machine: int) -> int:
        query = "SELECT greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn"
        position = await self.value(machine, query)
        await asyncio.sleep(0.05)
        return int(position)

    async def _point(self, machine: int) -> None:
        async with connected(self.nodes[machine].url()) as connection:
            conninfo = self.nodes[machine].conninfo(self.nodes[self.primary])
            await connection.execute(f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'")
            await connection.execute("SELECT pg_reload_conf()")


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection of a few seconds to one server."""
    async with asyncio.timeout(3.0):
        connection = await asyncpg.connect(url, server_settings={"application_name": _NAME})
        try:
            yield connection
        finally:
            connection.terminate()


async def until(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Repeat some work until it succeeds; other faults may be in its way. Raise OSError after `PATIENCE_S`."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            return await work()
        except ERRORS as exc:
            if asyncio.get_running_loop().time() > deadline:
                raise OSError(f"can not {what}: {exc} {getattr(exc, 'output', '')}") from exc
            await asyncio.sleep(0.1)


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
