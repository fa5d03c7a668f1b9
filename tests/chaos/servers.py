"""The processes of a run: a broker, gateways, and relays between them; or one process that is both."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from scenarios.cluster import Broker, Gateway
from scenarios.ports import steady_port
from scenarios.process import Process, ProcessError
from tests.chaos.history import RoomLog, read_log
from tests.chaos.plan import Action, Plan
from tests.chaos.relay import BackboneRelay
from tests.support.legacy.wire import Listener

# Without notices: the checker reads in the log who came and went, and expects only messages as datagrams.
GATEWAY_OPTIONS = ("--notices", "off")
COMMANDING = "tsudoi,notices=on"
"""The listener of rooms of commands, whose members are told who comes and goes, too."""
BROKER_OPTIONS = ("--log-entries", "1000000", "--log-level", "warning")


class Stage(Protocol):
    """What a run needs of the servers, wherever they run."""

    client_host: str
    """The address of the clients."""
    complaints: list[str]

    @property
    def gateways(self) -> Sequence[Gateway]: ...

    @property
    def down(self) -> list[int]:
        """Gateways that do not run."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def is_up(self, gateway: int) -> bool: ...

    def listener(self, gateway: int, dialect: str) -> Listener: ...

    def read_log(self) -> dict[int, RoomLog]:
        """Return the rooms' logs by room id, after `close`."""


class Injector(Protocol):
    counts: Counter[str]

    async def inject(self, action: Action) -> None:
        """Inject a fault, wait as long as it lasts, and undo it."""


class Servers:
    """Starts, restarts and ends the processes of a plan."""

    client_host = "127.0.0.1"

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.store = directory / "tsudoi.sqlite"
        # Version 2 has no listener of its own.
        self.dialects = sorted({client.dialect.removesuffix("-2") for client in plan.clients} | {COMMANDING})
        self.broker: Broker | None = None
        self.links: list[BackboneRelay] = []
        self.complaints: list[str] = []
        """Processes that did not stop well or logged a bug."""
        self._starting: set[asyncio.Future[None]] = set()
        if plan.in_one_process:
            self.gateways = [Gateway(*GATEWAY_OPTIONS, data=directory, dialects=self.dialects, steady=True)]
            return
        self.broker = Broker(self.store, *BROKER_OPTIONS, bind=f"tcp://127.0.0.1:{steady_port(2)}")
        self.links = [BackboneRelay() for _ in plan.names]
        self.gateways = [
            Gateway(
                *(*GATEWAY_OPTIONS, *(("--name", name) if name else ())),
                *("--session-secret", str(directory / "session-secret")),
                broker=link.endpoint,
                dialects=self.dialects,
                steady=True,
                name=f"gateway {number}",
            )
            for number, (name, link) in enumerate(zip(plan.names, self.links, strict=True))
        ]

    @property
    def processes(self) -> list[Process]:
        return [*self.gateways, *([self.broker] if self.broker else [])]

    async def start(self) -> None:
        if self.broker is not None:
            await self.start_one(self.broker)
            for link in self.links:
                await link.start(self.broker.endpoint)
        await asyncio.gather(*map(self.start_one, self.gateways))

    async def start_one(self, process: Process) -> None:
        """Start a process. It goes on starting if the run is ended meanwhile; `close` waits for that and ends it."""
        starting = asyncio.ensure_future(asyncio.to_thread(process.start))
        self._starting.add(starting)
        await asyncio.shield(starting)

    async def stop_one(self, process: Process) -> None:
        with self._complaining():
            await asyncio.to_thread(process.stop)

    def is_up(self, gateway: int) -> bool:
        return bool(self.gateways[gateway].ready)

    @property
    def down(self) -> list[int]:
        return [number for number in range(len(self.gateways)) if not self.is_up(number)]

    def listener(self, gateway: int, dialect: str) -> Listener:
        """Return where clients of a dialect go."""
        return Listener(self.gateways[gateway].tcp[dialect.removesuffix("-2")], self.gateways[gateway].udp)

    def read_log(self) -> dict[int, RoomLog]:
        return read_log(self.store)

    async def close(self) -> None:
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*map(self.stop_one, self.gateways))
        if self.broker is not None:
            await self.stop_one(self.broker)
        for process in self.processes:
            process.close()
            with self._complaining():
                process.check_log()
        for link in self.links:
            await link.close()

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except ProcessError as exc:
            self.complaints.append("\n".join((str(exc), *getattr(exc, "__notes__", ()))))
