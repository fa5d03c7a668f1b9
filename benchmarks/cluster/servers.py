"""Start what is measured: PostgreSQL with its standby, brokers that tell their figures, gateways with members."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from urllib.request import urlopen

import pytest

from benchmarks import processes
from benchmarks.joining import Seat, join_all, write_members
from benchmarks.load import Load
from benchmarks.processes import BenchmarkError, Measured, Service
from scenarios import cluster
from scenarios.ports import steady_port
from tests.support import postgres
from tests.support.postgres import Instance

SETTINGS = """
shared_buffers = '128MB'
max_wal_size = '2GB'
max_connections = 100
"""
"""Of both servers. The rest is as PostgreSQL comes: fsync and full_page_writes are on."""
WITHOUT_LIMITS = (
    *("--rate", "1000000", "--burst", "1000000", "--room-rate", "1000000", "--idle-timeout", "7200"),
    *("--log-level", "warning"),
)


class Database:
    """A primary and the synchronous standby for which each of its commits waits."""

    def __init__(self, primary: Instance, standby: Instance) -> None:
        self.primary, self.standby = primary, standby

    @property
    def url(self) -> str:
        """What `--store` takes."""
        return self.primary.url()

    def family(self) -> list[int]:
        """Return the processes of both servers, as they are now."""
        files = [instance.folder / "postmaster.pid" for instance in (self.primary, self.standby)]
        return [pid for file in files for pid in processes.family(int(file.read_text().split()[0]))]

    def wal_bytes(self) -> int:
        """Return how much the primary has written ahead so far."""
        return int(self.primary.sql("SELECT pg_current_wal_lsn() - '0/0'"))


@contextmanager
def database() -> Iterator[Database]:
    """Yield an empty database; raise BenchmarkError if there is no PostgreSQL here."""
    try:
        postgres.programs()
    except pytest.skip.Exception as exc:
        raise BenchmarkError(str(exc)) from None
    with postgres.pair() as pair:
        for instance in pair:
            instance.configure(SETTINGS)
            instance.stop("fast")
        for instance in pair:
            instance.start()
        yield Database(*pair)


class Broker(cluster.Broker):
    """A broker with /metrics."""

    def __init__(self, store: Path | str, *options: str) -> None:
        http = f"127.0.0.1:{steady_port()}"
        self.metrics = f"http://{http}/metrics"
        bind = f"tcp://127.0.0.1:{steady_port(2)}"
        super().__init__(store, "--http", http, "--rooms", "1000000", "--admin", "none", *options, bind=bind)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        # Killed: what it has is thrown away.
        self.kill()
        self.close()

    def family(self) -> list[int]:
        """Return its process."""
        return [self.pid]

    def gauge(self, name: str) -> float:
        """Return a figure of /metrics that has no labels."""
        with urlopen(self.metrics, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


class Gateway(Service):
    """A gateway without limits on rates, which speaks `classic`."""

    def __init__(self, brokers: Sequence[Broker]) -> None:
        listeners = ("--tcp", "127.0.0.1:0=classic", "--udp", "127.0.0.1:0")
        endpoints = [part for broker in brokers for part in ("--broker", broker.endpoint)]
        super().__init__((sys.executable, "-m", "gateway", *listeners, *endpoints, *WITHOUT_LIMITS))


@dataclass(frozen=True, slots=True)
class Together:
    """Several that are measured as one."""

    parts: Sequence[Measured]

    def family(self) -> list[int]:
        """Return the processes of all."""
        return [pid for part in self.parts for pid in part.family()]


@contextmanager
def members(gateway: Gateway, wanted: Sequence[Seat]) -> Iterator[Load]:
    """Yield members of a gateway whose addresses are known."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tsudoi-bench-")))
        tokens, _ = join_all(gateway.tcp, wanted)
        write_members(folder / "members", wanted, tokens)
        yield stack.enter_context(Load(folder / "members", gateway.udp, core=None)).register()
