"""A broker and its gateways as processes of this machine, for scenarios: started, killed, frozen, and cleared away."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from client.scenario.steps import BROKER, Fate
from client.scenario.story import BrokerSettings, GatewaySettings
from tsudoi.server_address import Server

ROOT = Path(__file__).resolve().parents[2]
START_S = 20.0
STOP_S = 5.0
LOG_LINES = 200
HOST = "127.0.0.1"


class ProcessTrouble(Exception):
    """A process did not start, or can not be treated so just now; one line."""


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway's doors, as its clients see them."""

    host: str
    tcp: int
    udp: int
    doors: dict[str, int] = field(default_factory=dict)
    """TCP ports at which only one dialect is spoken."""

    def server(self, dialect: str) -> Server:
        """Return where a client of `dialect` goes."""
        return Server(self.host, self.doors.get(dialect, self.tcp), self.udp)


class Process:
    """One program, which prints a line that begins with `ready` when it is."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.ready = ""
        self.status: int | None = None
        """How it ended when it was asked to."""
        self._module = module
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, arguments: Sequence[str]) -> None:
        """Start it and wait until it is ready; raise ProcessTrouble."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", self._module, *arguments),
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("TSUDOI_")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # What it starts itself can then be cleared away with it.
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, ready)),
            asyncio.create_task(self._read(process.stderr, None)),
        ]
        try:
            async with asyncio.timeout(START_S):
                self.ready = await ready
        except (TimeoutError, EOFError) as exc:
            await self.kill()
            last = self.log[-1] if self.log else "it said nothing"
            raise ProcessTrouble(f"{self.name} did not start: {last}") from exc

    async def _read(self, stream: asyncio.StreamReader, ready: asyncio.Future[str] | None) -> None:
        while True:
            try:
                raw = await stream.readline()
            except ValueError:
                # A line beyond asyncio's limit; its rest comes as lines of their own.
                continue
            if not raw:
                break
            line = raw.decode(errors="replace").rstrip()
            if ready is not None and not ready.done() and line.startswith("ready "):
                ready.set_result(line)
            else:
                self.log.append(line)
        if ready is not None and not ready.done():
            ready.set_exception(EOFError())

    def signal(self, number: int) -> None:
        """Send a signal; raise ProcessTrouble if it does not run."""
        if self._process is None or not self.runs:
            raise ProcessTrouble(f"{self.name} does not run")
        self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, with all that it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def stop(self) -> None:
        """SIGTERM; if that is not enough in time, SIGKILL, and the log says so."""
        if self._process is None or not self.runs:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                self.status = await self._process.wait()
        except TimeoutError:
            self.status = -signal.SIGKILL
        await self.kill()

    @property
    def problem(self) -> str | None:
        """What a good program never does, in one line; None if it did nothing of the kind."""
        if self.status not in (None, 0):
            return f"{self.name} did not stop within {STOP_S:g} s" if self.status < 0 else f"{self.name} ended badly"
        if any("Traceback" in line for line in self.log):
            return f"{self.name} printed a traceback"
        return None


class Town:
    """A broker and gateways, on free ports, with a directory for their data."""

    def __init__(self, broker: BrokerSettings, gateways: dict[str, GatewaySettings], dialects: Sequence[str]) -> None:
        """Args:
        dialects: those that get a TCP door of their own at each gateway, beside one for all others.
        """
        self._settings = broker
        self._gateway_settings = gateways
        self._dialects = list(dialects)
        self._directory = tempfile.TemporaryDirectory(prefix="tsudoi-scenario-")
        self._broker = Process(BROKER, "broker")
        self._gateways = {name: Process(f"gateway {name}", "gateway") for name in gateways}
        self._bind = f"tcp://{HOST}:0"
        self.sites: dict[str, Site] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start_broker()
            async with asyncio.TaskGroup() as group:
                for name in self._gateways:
                    group.create_task(self._start_gateway(name))
        except BaseException as exc:
            await self.close()
            if isinstance(exc, BaseExceptionGroup) and isinstance(exc.exceptions[0], ProcessTrouble):
                raise exc.exceptions[0] from None
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all processes, gateways first, and remove their data."""
        await asyncio.gather(*(gateway.stop() for gateway in self._gateways.values()))
        await self._broker.stop()
        self._directory.cleanup()

    @property
    def processes(self) -> list[Process]:
        return [self._broker, *self._gateways.values()]

    async def befall(self, what: str, fate: Fate) -> None:
        """Let something happen to a process; raise ProcessTrouble."""
        process = self._broker if what == BROKER else self._gateways[what]
        match fate:
            case Fate.FROZEN:
                process.signal(signal.SIGSTOP)
            case Fate.CONTINUED:
                process.signal(signal.SIGCONT)
            case Fate.KILLED:
                process.signal(signal.SIGCONT)
                await process.kill()
            case Fate.STOPPED:
                process.signal(signal.SIGCONT)
                await process.stop()
            case Fate.STARTED:
                if process.runs:
                    raise ProcessTrouble(f"{process.name} runs already")
                await (self._start_broker() if what == BROKER else self._start_gateway(what))

    async def _start_broker(self) -> None:
        settings = self._settings
        store = "memory" if settings.store == "memory" else f"sqlite:{Path(self._directory.name) / 'rooms.sqlite'}"
        durability = ["--durability", settings.durability] if settings.durability else []
        # Its port is this machine's alone; keys that somebody has made in data/ are not for it.
        await self._broker.start(["--insecure", "--bind", self._bind, "--store", store, *durability, *settings.options])
        self._bind = self._broker.ready.split()[1]

    async def _start_gateway(self, name: str) -> None:
        settings = self._gateway_settings[name]
        before = self.sites.get(name)
        doors = ["auto", *self._dialects]
        ports = {"auto": before.tcp, **before.doors} if before else dict.fromkeys(doors, 0)
        arguments = [part for door in doors for part in ("--tcp", f"{HOST}:{ports[door]}={door}")]
        # By its name the broker knows that a gateway is one started again, and gives it its members back.
        arguments += ["--udp", f"{HOST}:{before.udp if before else 0}", "--broker", self._bind, "--name", name]
        if settings.idle_timeout is not None:
            arguments += ["--idle-timeout", f"{settings.idle_timeout:g}"]
        if settings.check_ip is not None:
            arguments += ["--check-ip", settings.check_ip]
        if settings.move_after is not None:
            arguments += ["--move-after", f"{settings.move_after:g}"]
        process = self._gateways[name]
        await process.start([*arguments, *settings.options])
        words = process.ready.split()[1:]
        found = [(kind, int(address.rpartition(":")[2])) for kind, address in zip(words[::2], words[1::2], strict=True)]
        tcp = [port for kind, port in found if kind == "tcp"]
        udp = [port for kind, port in found if kind == "udp"]
        if len(tcp) != len(doors) or not udp:
            raise ProcessTrouble(f"{process.name} says {process.ready!r}, which lacks a door")
        self.sites[name] = Site(HOST, tcp[0], udp[0], dict(zip(self._dialects, tcp[1:], strict=True)))
