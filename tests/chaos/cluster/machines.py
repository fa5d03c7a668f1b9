"""The machines of a run: on each a gateway, on some a broker and a database; and what starts them again.

A supervisor on each machine starts every program that has ended, as `restart: always` and systemd do.
"""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from scenarios.cluster import Broker, Gateway
from scenarios.process import Process, ProcessError
from tests.chaos.cluster.database import Database, signal_all, until
from tests.chaos.cluster.network import CLIENTS, NETWORK, Network, address_of
from tests.chaos.cluster.posters import write_secret
from tests.chaos.cluster.reading import TermWatch, read_log, read_owners
from tests.chaos.history import RoomLog
from tests.chaos.plan import Plan
from tests.chaos.servers import BROKER_OPTIONS, COMMANDING, GATEWAY_OPTIONS
from tests.support.legacy.wire import Address, Listener

RESTART_S = 0.2
"""A supervisor's pause before it starts a program again."""
BROKER_PORT, FIRST_TCP_PORT, UDP_PORT, WEBHOOK_PORT = 9003, 9100, 9200, 9300


class Supervised(Process):
    """A process that can be started again also after a start that failed, and goes on with the same log."""

    def close(self) -> None:
        """Kill it."""
        self.kill()

    def free(self) -> None:
        """Kill it and free its files; the log can still be read."""
        super().close()


class BrokerProcess(Supervised, Broker):
    def __init__(self, network: Network, machine: int, database: str) -> None:
        bind = f"tcp://{address_of(machine)}:{BROKER_PORT}"
        options = (*BROKER_OPTIONS, "--log-level", "info", "--require-synchronous", "--admin", "none")
        super().__init__(database, *options, bind=bind, name=f"broker {machine}")
        self._inside = network.inside(machine)

    def command(self) -> Sequence[str]:
        return (*self._inside, *super().command())


class GatewayProcess(Supervised, Gateway):
    def __init__(self, network: Network, machine: int, plan: Plan, brokers: Sequence[str], secret: Path) -> None:
        name = plan.names[machine]
        options = (*GATEWAY_OPTIONS, *(("--name", name) if name else ()), "--unlimited", NETWORK, "--insecure")
        options += ("--auth-secret", str(secret), "--webhook", f"{address_of(machine)}:{WEBHOOK_PORT}")
        options += ("--session-secret", str(secret.with_name("session-secret")))
        options += tuple(part for broker in brokers for part in ("--broker", broker))
        host = address_of(machine)
        # Steady: no other program has ports at this machine's address.
        super().__init__(*options, host=host, steady=True, name=f"gateway {machine}")
        # Version 2 has no listener of its own.
        dialects = sorted({client.dialect.removesuffix("-2") for client in plan.clients} | {COMMANDING})
        self.tcp = {dialect: (host, FIRST_TCP_PORT + number) for number, dialect in enumerate(dialects)}
        self.udp = (host, UDP_PORT)
        self._inside = network.inside(machine)

    def command(self) -> Sequence[str]:
        return (*self._inside, *super().command())


class Machines:
    """What `tests.chaos.servers.Servers` is to a run on one machine."""

    client_host = CLIENTS

    def __init__(self, plan: Plan, network: Network, database: Database, brokers: int, directory: Path) -> None:
        self.secret = write_secret(directory)
        self.network, self.database = network, database
        self.brokers = [BrokerProcess(network, machine, database.url) for machine in range(brokers)]
        endpoints = [broker.endpoint for broker in self.brokers]
        self.gateways = [
            GatewayProcess(network, machine, plan, endpoints, self.secret) for machine in range(len(plan.names))
        ]
        self.dialects = sorted(self.gateways[0].tcp)
        self.out: set[int] = set()
        """Machines on which nothing runs."""
        self.held: set[Process] = set()
        """Processes that a fault keeps from running."""
        self.counts: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.terms = TermWatch(database)
        self.log: dict[int, RoomLog] = {}
        self._supervisors: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def processes(self) -> list[Supervised]:
        return [*self.brokers, *self.gateways]

    def machine_of(self, process: Process) -> int:
        return int(process.name.rpartition(" ")[2])

    def on(self, machine: int) -> list[Process]:
        return [process for process in self.processes if self.machine_of(process) == machine]

    async def start(self) -> None:
        await self.database.start()
        await asyncio.to_thread(self.brokers[0].start)
        self._supervisors = [asyncio.create_task(self._supervise(broker)) for broker in self.brokers]
        await asyncio.gather(*(asyncio.to_thread(gateway.start) for gateway in self.gateways))
        self._supervisors += [asyncio.create_task(self._supervise(gateway)) for gateway in self.gateways]
        await self.settled()
        self.terms.start()

    async def settled(self) -> None:
        """Wait until all gateways run and each broker has its shards."""
        await self.served(self.gateways)
        await until(self._look_at_spread, "spread the shards over the brokers")

    async def _look_at_spread(self) -> None:
        """Raise OSError as long as a broker has no shard, or shards move."""
        before = await read_owners(self.database)
        await asyncio.sleep(0.4)
        after = await read_owners(self.database)
        if before != after or len(set(after)) != len(self.brokers):
            raise OSError("shards move")

    async def stop_one(self, process: Process) -> None:
        """Stop a process in good order; its machine may be switched off meanwhile."""
        try:
            await asyncio.to_thread(process.stop)
        except ProcessError as exc:
            if self.machine_of(process) not in self.out:
                self._complain(exc)

    def is_up(self, gateway: int) -> bool:
        return bool(self.gateways[gateway].ready)

    @property
    def down(self) -> list[int]:
        return [number for number in range(len(self.gateways)) if not self.is_up(number)]

    @property
    def webhooks(self) -> list[Address]:
        """Where posters go, by gateway."""
        return [(gateway.udp[0], WEBHOOK_PORT) for gateway in self.gateways]

    def listener(self, gateway: int, dialect: str) -> Listener:
        """Return where clients of a dialect go."""
        return Listener(self.gateways[gateway].tcp[dialect.removesuffix("-2")], self.gateways[gateway].udp)

    # --- whole machines ---

    async def end(self, machine: int, *, silently: bool) -> None:
        """Kill all processes of a machine; none is started before the machine is taken out of `out`.

        Args:
            silently: as without power: no packet tells others, and the machine has no network until it is plugged in.
        """
        self.out.add(machine)
        await asyncio.to_thread(self._end, machine, silently)

    def _end(self, machine: int, silently: bool) -> None:
        if silently:
            self.network.pull_plug(machine)
        for process in self.on(machine):
            process.kill()
        while pids := self.network.processes(machine):
            signal_all(pids, signal.SIGKILL)
        if silently:
            self.network.remove(machine)

    async def served(self, processes: Sequence[Process]) -> None:
        """Wait until those of the processes that are gateways run again; a broker may have to wait for its database."""

        async def look() -> None:
            for process in processes:
                if process in self.gateways and not process.ready:
                    raise OSError(process.name)

        await until(look, "start a gateway again")

    # --- the end ---

    async def close(self) -> None:
        self._closing = True
        await self.terms.stop()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        await asyncio.gather(*map(self.stop_one, self.gateways))
        await asyncio.gather(*map(self.stop_one, self.brokers))
        for process in self.processes:
            process.free()
            with self._complaining():
                process.check_log()
        self.complaints += self.terms.complaints
        if self.database.nodes[self.database.primary].has_data:
            self.log = await read_log(self.database.nodes[self.database.primary].url())

    def read_log(self) -> dict[int, RoomLog]:
        return self.log

    def write_logs(self, folder: Path) -> None:
        """Write what each program logged to files in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for process in self.processes:
            name = process.name.replace(" ", "-")
            (folder / f"{name}.log").write_text(process.stderr.text)
        for node in self.database.nodes:
            with contextlib.suppress(OSError):
                (folder / f"postgres-{node.name}.log").write_bytes((node.folder / "server.log").read_bytes())

    # --- internals ---

    async def _supervise(self, process: Process) -> None:
        machine = self.machine_of(process)
        while not self._closing:
            await asyncio.sleep(RESTART_S)
            if process.running or process in self.held or machine in self.out:
                continue
            kind = process.name.partition(" ")[0]
            if process.ready:
                process.ready = ""
                self.counts[f"{kind} ended by itself"] += 1
                if process in self.gateways:
                    self.complaints.append(f"{process.name} ended by itself: {process.stderr.text[-1000:]}")
            with contextlib.suppress(ProcessError):  # its log says why; again
                await asyncio.to_thread(process.start)
            if machine in self.out or process in self.held:
                process.kill()  # it was not to run any more when it had just begun

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except ProcessError as exc:
            self._complain(exc)

    def _complain(self, exc: ProcessError) -> None:
        self.complaints.append("\n".join((str(exc), *getattr(exc, "__notes__", ()))))
