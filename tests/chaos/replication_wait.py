"""Disturb commits that wait for their standby: cancel them, terminate or cut their connections.

No commit that was reported as kept may be missing on the standby, and nothing that a broker reads when it takes the
shards again. Both are looked up on the standby itself, which receives nothing more from before the look on.

    python -m tests.chaos.replication_wait --times 1000
"""

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import asyncpg
import click

from broker.store.interface import Batch, Chunk, Snapshot
from broker.store.postgres import PostgresStore
from tests.chaos.cluster.database import signal_all
from tests.support import postgres
from tests.support.sharing_broker import SharingBroker
from tsudoi.ops import logs
from tsudoi.protocol.errors import SettingError, StoreError

DISTURBANCES = ("cancel", "terminate", "cut", "cut standby")
PATIENCE_S = 20.0
REPLAY_S = 3.0
"""The standby has read what it has flushed in this time."""
_KEPT = "SELECT EXISTS (SELECT FROM tsudoi.turns WHERE position($1::bytea IN body) > 0)"
_KEPT += " OR EXISTS (SELECT FROM tsudoi.log WHERE room = $2)"
SHARDS = 3, 40
"""A turn has something of each."""
_BROKERS = "FROM pg_stat_activity WHERE application_name LIKE 'tsudoi%'"


class Violation(AssertionError):
    """A commit was acknowledged, or read, that the standby does not have."""


class Cuttable:
    """A TCP relay whose connections can be cut."""

    def __init__(self, port: int) -> None:
        self._onward = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """End all connections, without a word."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        while self._tasks:
            self.cut()
            await asyncio.wait(self._tasks, timeout=0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", self._onward)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(onward, writer))
        self._writers -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class Disturber:
    """Commits again and again, disturbs each wait, and compares with the standby."""

    def __init__(self, primary: postgres.Instance, standby: postgres.Instance, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        """Disturbance and outcome → how often; and how often a broker took the shards again."""
        self.disturbed = 0
        """Commits that waited for their standby when they were disturbed."""
        self._primary, self._standby = primary, standby
        self._dice = random.Random(f"replication wait {seed}")
        self._way, self._standbys_way = Cuttable(primary.port), Cuttable(primary.port)
        self._url = ""
        self._broker: SharingBroker | None = None
        self._is_serving = False
        self._last = 0

    async def run(self, times: int) -> None:
        """Disturb so many commits while they wait, and others a moment after they began; raise Violation."""
        self._url = f"postgresql://{postgres.USER}@127.0.0.1:{await self._way.start()}/postgres"
        await self._follow(await self._standbys_way.start())
        self._at_primary = await asyncpg.connect(self._primary.url())
        self._at_standby = await asyncpg.connect(self._standby.url())
        try:
            number = 0
            while self.disturbed < times:
                number += 1
                await self._disturb_one(number)
        finally:
            signal_all(self._receivers(), signal.SIGCONT)
            if self._broker is not None:
                await asyncio.to_thread(self._broker.store.close)
            self._at_primary.terminate()
            self._at_standby.terminate()
            await self._follow(self._primary.port)
            await self._way.close()
            await self._standbys_way.close()

    async def _follow(self, port: int) -> None:
        """Let the standby reach its primary at a port."""
        conninfo = f"host=127.0.0.1 port={port} user={postgres.USER} application_name=standby"
        await asyncio.to_thread(self._standby.sql, f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'")
        await asyncio.to_thread(self._standby.sql, "SELECT pg_reload_conf()")

    async def _disturb_one(self, number: int) -> None:
        if not self._is_serving:
            await self._serve()
        assert self._broker is not None
        store = self._broker.store
        disturbance = self._dice.choice(DISTURBANCES)
        waits = self._dice.random() < 0.7
        batches = [
            Batch(chunks=[Chunk(number, 1, 1, 0, _mark(number))], accepted={"a/1": number}, shard=shard)
            for shard in SHARDS
        ]
        self._last = number
        if waits:
            signal_all(self._receivers(), signal.SIGSTOP)
        commit = asyncio.create_task(asyncio.to_thread(store.commit, *batches))
        if waits:
            waits = await self._waits(commit)
        else:
            await asyncio.sleep(self._dice.uniform(0.0, 0.004))
        await self._disturb(disturbance)
        if disturbance == "cut standby":  # it connects again, and the commit ends well
            signal_all(self._receivers(), signal.SIGCONT)
        self.disturbed += waits
        try:
            await asyncio.wait_for(commit, PATIENCE_S)
        except StoreError:
            outcome = "refused"
        else:
            outcome = "acknowledged"
            await self._compare(number, f"after a {disturbance} a commit was acknowledged")
        self.counts[f"{disturbance}{' while it waited' if waits else ''}, {outcome}"] += 1
        signal_all(self._receivers(), signal.SIGCONT)
        self._is_serving = outcome == "acknowledged"

    async def _disturb(self, disturbance: str) -> None:
        if disturbance == "cut":
            self._way.cut()
        elif disturbance == "cut standby":
            self._standbys_way.cut()
        else:
            await self._at_primary.fetch(f"SELECT pg_{disturbance}_backend(pid) {_BROKERS} AND query LIKE '%commit%'")

    async def _compare(self, number: int, what: str) -> None:
        """Raise Violation if the standby has not received a commit."""
        signal_all(self._receivers(), signal.SIGSTOP)
        deadline = time.monotonic() + REPLAY_S
        while not await self._at_standby.fetchval(_KEPT, _mark(number), number):
            if time.monotonic() > deadline:
                raise Violation(f"commit {number}: {what}, and the standby does not have it")
            await asyncio.sleep(0.002)
        signal_all(self._receivers(), signal.SIGCONT)

    async def _serve(self) -> None:
        """Take the shards, as this broker come back or as another, and check that the standby has what it reads."""
        if self._broker is None or self._dice.random() < 0.7:
            if self._broker is not None:
                await asyncio.to_thread(self._broker.store.close)
                # The lease of the former is not waited for: that takes long, and it is dead.
                await self._at_primary.execute("DELETE FROM tsudoi.brokers")
            self._broker = await asyncio.to_thread(self._new_broker)
        snapshots = await self._take()
        self._is_serving = True
        self.counts["shards taken"] += 1
        has_last = {self._last in snapshot.ends for snapshot in snapshots}
        if has_last == {True}:
            self.counts["shards taken, and read what had been refused"] += 1
            await self._compare(self._last, "a broker has read it")
        elif len(has_last) == 2:
            raise Violation(f"commit {self._last}: one shard has it, the other has not")

    async def _take(self) -> list[Snapshot]:
        """Take the shards and load them, again if the lease ends meanwhile, as on a busy machine it does."""
        assert self._broker is not None
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(self._broker.serve_when_free, *SHARDS)
            except StoreError:
                if time.monotonic() > deadline:
                    raise

    def _new_broker(self) -> SharingBroker:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return SharingBroker(PostgresStore(self._url, requires_synchronous=True))
            except SettingError:  # the standby has not connected yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _receivers(self) -> list[int]:
        """Return the processes of the standby that receive from the primary."""
        postmaster = int((self._standby.folder / "postmaster.pid").read_text().split()[0])
        found = []
        for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/cmdline").read_text().startswith("postgres: walreceiver"):
                    found.append(int(child))
        return found

    async def _waits(self, commit: "asyncio.Task[None]") -> bool:
        """Wait until a commit waits for its standby; return False if it ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while not await self._at_primary.fetchval(f"SELECT count(*) {_BROKERS} AND wait_event = 'SyncRep'"):
            if commit.done():
                return False  # its connection had been cut before
            assert time.monotonic() < deadline, "the commit does not wait"
            await asyncio.sleep(0.002)
        return True


def _mark(number: int) -> bytes:
    return b"<mark %d>" % number


@click.command()
@click.option("--times", default=1000, type=click.IntRange(1), show_default=True, help="Waiting commits to disturb.")
@click.option("--seed", default=1, show_default=True)
def main(times: int, seed: int) -> None:
    """Disturb commits that wait for their standby, and look for those that were acknowledged without it."""
    logs.set_up("error", "human")
    with postgres.pair() as (primary, standby):
        disturber = Disturber(primary, standby, seed)
        try:
            asyncio.run(disturber.run(times))
        except Violation as exc:
            sys.exit(f"violation: {exc}")
        finally:
            for what, count in sorted(disturber.counts.items()):
                click.echo(f"{count:6} {what}")


if __name__ == "__main__":
    main()
