"""Processes under measurement: pinned to cores, their processor time and memory measured, children included."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from scenarios import process
from scenarios.cluster import Gateway

ROOT = Path(__file__).resolve().parents[1]
NATIVE = Path(__file__).resolve().parent / "native"
BUILT = ROOT / "build" / "benchmarks"

READY_S = 30.0
CORES = sorted(os.sched_getaffinity(0))
SERVICE_CORE = CORES[0]
"""The core of a service that gets one core; load comes from `LOAD_CORE`."""
LOAD_CORE = CORES[-1]


_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class BenchmarkError(Exception):
    """A measurement that can not be made here; the text says why."""


class Measured(Protocol):
    """Processes that belong to what is measured."""

    def family(self) -> list[int]:
        """Return them and all their descendants, as they are now."""


def build(name: str) -> Path:
    """Compile `native/NAME.c` with the system's compiler if it is newer than its program, and return that."""
    source, program = NATIVE / f"{name}.c", BUILT / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(parents=True, exist_ok=True)
        command = ("cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), "-lm")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise BenchmarkError("there is no C compiler `cc` here") from None
        if done.returncode:
            raise BenchmarkError(f"{' '.join(command)}:\n{done.stderr}")
    return program


class Process(process.Process):
    """A program that talks by lines, pinned to some cores; killed with its children when the context is left."""

    def __init__(
        self, command: Sequence[str], cores: Iterable[int] = CORES, pass_fds: Sequence[int] = (), listen: bool = True
    ) -> None:
        """Start it; unless we `listen`, its standard output is lost."""
        super().__init__(command[0])
        self.launch(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if listen else subprocess.DEVNULL,
            pass_fds=pass_fds,
            preexec_fn=_end_with_parent,
        )
        self.pin(cores)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        # Killed at once: its data is thrown away.
        if self.running:  # else another program may have its number
            for pid in self.family():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self.close()

    def family(self) -> list[int]:
        """Return the process and all its descendants, as they are now."""
        return list(family(self.pid))

    def pin(self, cores: Iterable[int]) -> None:
        """Let the process, its children and all their threads run on these cores alone."""
        for pid in self.family():
            for task in _tasks(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(task, cores)

    def cpu_s(self) -> float:
        """Return the processor time that the process and its children have used, the children that ended included."""
        return sum(map(cpu_s, self.family()))

    def memory(self) -> int:
        """Return the bytes that the process and its children hold; what several share is divided among them."""
        return sum(map(proportional_size, self.family()))

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")

    def hear(self, patience_s: float) -> str:
        """Return the next line of its standard output; raise BenchmarkError if none comes in time."""
        assert self.popen.stdout is not None
        readable, _, _ = select.select([self.popen.stdout], [], [], patience_s)
        line: bytes = self.popen.stdout.readline() if readable else b""
        if not line:
            raise BenchmarkError(f"{self.name} printed no line:\n{self.stderr.text}")
        return line.decode().rstrip("\n")

    def ask(self, line: str, patience_s: float) -> dict[str, Any]:
        """Write a line and return the answer, a line of JSON."""
        self.say(line)
        answer: dict[str, Any] = json.loads(self.hear(patience_s))
        return answer


class Service(Process):
    """A process that prints `ready … udp HOST:PORT` when it can be used."""

    def __init__(self, command: Sequence[str], cores: Iterable[int] = CORES) -> None:
        super().__init__(command, cores)
        try:
            words = self.hear(READY_S).split()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.listeners = dict(zip(words[1::2], words[2::2], strict=True))
        # Children that came since are not pinned yet.
        self.pin(cores)

    @property
    def udp(self) -> str:
        """Where datagrams go, HOST:PORT."""
        return self.listeners["udp"]

    @property
    def tcp(self) -> tuple[str, int]:
        """Where clients join."""
        host, _, port = self.listeners["tcp"].rpartition(":")
        return host, int(port)


class Tsudoi(Service):
    """`python -m gateway` with a broker of its own, which keeps everything in a file; nothing is limited by rate."""

    def __init__(
        self,
        data: Path,
        *arguments: str,
        cores: Iterable[int] = CORES,
        dialect: str = "classic",
        module: str = "gateway",
    ) -> None:
        gateway = Gateway(
            *("--idle-timeout", "7200", "--rate", "1000000", "--burst", "1000000", "--room-rate", "1000000"),
            *("--log-level", "warning", *arguments),
            data=data,
            dialects=(dialect,),
        )
        super().__init__([module if word == "gateway" else word for word in gateway.command()], cores)

    def gateways(self) -> list[int]:
        """Return its processes without a broker that runs as a child."""
        return [pid for pid in self.family() if b"\0broker\0" not in _command(pid)]


class Relay(Service):
    """The relay in C: `native/relay.c`."""

    def __init__(self, members: Path, cores: Iterable[int] = CORES) -> None:
        super().__init__((str(build("relay")), str(members)), cores)


class Sendmmsg(Service):
    """The bare loop in C: `native/sendmmsg.c`."""

    def __init__(self, count: int, size: int, cores: Iterable[int] = CORES) -> None:
        super().__init__((str(build("sendmmsg")), str(count), str(size)), cores)


class Nothing(Service):
    """The server in C that does nothing but answer who joins: `native/nothing.c`."""

    def __init__(self, cores: Iterable[int] = CORES) -> None:
        super().__init__((str(build("nothing")),), cores)


def busy_s() -> dict[int, float]:
    """Return how long each core has been busy since the machine started, with whatever it was."""
    busy = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
            busy[int(name[3:])] = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy


def wait_until_quiet(limit: float = 0.15, patience_s: float = 20.0) -> float:
    """Wait until the machine is idle but for us, or the patience is over; return the share of a core that is busy."""
    share, deadline = 1.0, time.monotonic() + patience_s
    while share > limit and time.monotonic() < deadline:
        before, at = sum(busy_s().values()), time.monotonic()
        time.sleep(0.5)
        share = (sum(busy_s().values()) - before) / (time.monotonic() - at)
    return share


def _end_with_parent() -> None:
    # However the benchmark ends, nothing that it started goes on using the machine.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def family(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants, as they are now."""
    yield pid
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from family(int(child))


def _tasks(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and its children that have ended; 0 if it has ended, too."""
    with contextlib.suppress(OSError):
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
        # utime and stime at the kernel's own resolution: the clock that clock_getcpuclockid(3) names.
        return time.clock_gettime((~pid << 3) | 2) + sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def proportional_size(pid: int | str = "self") -> int:
    """Return the bytes that a process holds; what several share is divided among them."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
