"""Brokers and gateways as processes of this machine, for scenarios, tests, chaos and benchmarks.

Each says in its `ready` line which ports it got; started again, it takes the same ones.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from tsudoi import Server
from tsudoi.ops.program import program_command

from .ports import steady_port
from .process import Process, ProcessError
from .steps import BROKER, Fault
from .story import BrokerSettings, GatewaySettings

HOST = "127.0.0.1"

Address: TypeAlias = tuple[str, int]


class Broker(Process):
    """`python -m broker`."""

    def __init__(
        self, store: Path | str | None = None, *options: str, bind: str = f"tcp://{HOST}:0", name: str = "broker"
    ) -> None:
        """Args:
        store: the SQLite file, or the URL of a database; None: keep everything in memory.
        bind: where gateways come; port 0 for a free one.
        """
        super().__init__(name)
        self.endpoint = bind
        self._steady = not bind.endswith(":0")
        engine = store if isinstance(store, str) else "memory" if store is None else f"sqlite:{store}"
        # Without keys, unless the caller passes some: keys in data/ are not for this run.
        keys = () if "--keys" in options else ("--insecure",)
        self._options = ("--store", engine, *keys, *options)

    def command(self) -> Sequence[str]:
        return (*program_command("broker"), "--bind", self.endpoint, *self._options)

    def start(self) -> None:
        if not self._steady and not self.endpoint.endswith(":0"):
            raise ProcessError(
                f"{self.name} is started again, and another program may have its ports: bind a steady one"
            )
        super().start()
        self.endpoint = self.ready.split()[1]


class Gateway(Process):
    """`python -m gateway` with a TCP listener for each dialect named, and one UDP socket for all of them."""

    def __init__(
        self,
        *options: str,
        broker: str | None = None,
        data: Path | None = None,
        dialects: Sequence[str] = ("auto",),
        host: str = HOST,
        steady: bool = False,
        name: str = "gateway",
    ) -> None:
        """Args:
        broker: the broker's endpoint; None: the gateway has a broker of its own.
        data: what `--data` says.
        steady: choose ports that no other program gets while the gateway is down.
        """
        super().__init__(name)
        self._steady = steady
        self.tcp = {dialect: (host, steady_port() if steady else 0) for dialect in dialects}
        self.udp: Address = (host, steady_port() if steady else 0)
        self._options = [*options]
        if broker is not None:
            self._options += ["--broker", broker]
        if data is not None:
            self._options += ["--data", str(data)]
        if broker is None and "--web" not in options:
            # Its port is the same for all services of one command.
            self._options += ["--web", "off"]

    def command(self) -> Sequence[str]:
        listeners = [("--tcp", f"{_written(address)}={dialect}") for dialect, address in self.tcp.items()]
        parts = (part for listener in [*listeners, ("--udp", _written(self.udp))] for part in listener)
        return (*program_command("gateway"), *parts, *self._options)

    def start(self) -> None:
        if self.udp[1] and not self._steady:
            raise ProcessError(f"{self.name} is started again, and another program may have its ports: say steady=True")
        super().start()
        tcp, udp = [*self.addresses("tcp")], [*self.addresses("udp")]
        if len(tcp) < len(self.tcp) or not udp:
            raise ProcessError(f"{self.name} lacks a listener: {self.ready}")
        self.tcp = dict(zip(self.tcp, tcp, strict=False))
        self.udp = udp[0]

    def addresses(self, kind: str) -> Iterator[Address]:
        """Yield where the listeners of a kind are: `tcp`, `tls`, `udp`, `webhook` or `web`."""
        words = self.ready.split()[1:]
        for name, written in zip(words[::2], words[1::2], strict=True):
            if name == kind:
                host, _, port = written.rpartition(":")
                yield host, int(port)


def _written(address: Address) -> str:
    host, port = address
    return f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway as its clients see it."""

    server: Server
    dialect_ports: Mapping[str, int] = field(default_factory=dict)
    """TCP ports at which only one dialect is spoken."""

    def for_dialect(self, dialect: str) -> Server:
        """Return where a client of `dialect` connects."""
        return replace(self.server, tcp=self.dialect_ports.get(dialect, self.server.tcp))


class Cluster:
    """The broker and the gateways of one story, with a directory for their data."""

    def __init__(self, broker: BrokerSettings, gateways: dict[str, GatewaySettings], dialects: Sequence[str]) -> None:
        """Args:
        dialects: those that get a TCP listener of their own at each gateway, beside one for all others.
        """
        self._directory = tempfile.TemporaryDirectory(prefix="tsudoi-scenario-")
        store = None if broker.store == "memory" else Path(self._directory.name) / "rooms.sqlite"
        self._broker = Broker(store, *broker.options, bind=f"tcp://{HOST}:{steady_port(2)}", name="the broker")
        self._gateways = {
            name: Gateway(
                # By its name the broker knows a gateway that is started again, and gives it its members back.
                *("--name", name, *settings.options),
                broker=self._broker.endpoint,
                dialects=("auto", *dialects),
                steady=True,
                name=f"gateway {name}",
            )
            for name, settings in gateways.items()
        }
        self.problems: list[str] = []
        """Processes that did not stop well or logged a bug."""
        self._busy = threading.Lock()
        """Held while processes are started or stopped: `close` waits for a start that a cancelled task has left."""

    def start(self) -> None:
        """Start all; raise ProcessError."""
        with self._busy, ThreadPoolExecutor() as pool:
            self._broker.start()
            list(pool.map(Gateway.start, self._gateways.values()))

    @property
    def processes(self) -> list[Process]:
        return [self._broker, *self._gateways.values()]

    @property
    def sites(self) -> dict[str, Site]:
        """By the gateways' names, where clients go."""
        return {name: _site(gateway) for name, gateway in self._gateways.items()}

    @property
    def serving(self) -> list[str]:
        """The gateways that run and are not frozen."""
        return [name for name, gateway in self._gateways.items() if gateway.running and not gateway.frozen]

    def inject(self, what: str, fault: Fault) -> None:
        """Inject a fault into a process; raise ProcessError."""
        process = self._broker if what == BROKER else self._gateways[what]
        with self._busy:
            match fault:
                case Fault.FROZEN:
                    process.freeze()
                case Fault.CONTINUED:
                    process.resume()
                case Fault.KILLED:
                    process.resume()
                    process.kill()
                case Fault.STOPPED:
                    process.resume()
                    self._note(process.stop)
                case Fault.STARTED:
                    process.start()

    def close(self) -> None:
        """End all processes, gateways first, and remove their data."""
        with self._busy, ThreadPoolExecutor() as pool:
            list(pool.map(self._note, [gateway.stop for gateway in self._gateways.values()]))
            self._note(self._broker.stop)
            for process in self.processes:
                process.close()
                self._note(process.check_log)
        self._directory.cleanup()

    def _note(self, check: Callable[[], None]) -> None:
        try:
            check()
        except ProcessError as exc:
            self.problems.append(str(exc))


def _site(gateway: Gateway) -> Site:
    ports = {dialect: port for dialect, (_, port) in gateway.tcp.items()}
    return Site(Server(HOST, ports["auto"], gateway.udp[1]), ports)
