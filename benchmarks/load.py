"""The load generator `native/load.c`, driven: what was sent, what was heard, what it cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.processes import LOAD_CORE, BenchmarkError, Process, build

MOST_MESSAGES = 5_000_000
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave. Times are seconds but for latencies, which are microseconds."""

    send_failed: int
    wanted: int
    """Deliveries that should have come, warm-up included."""
    lost: int
    doubled: int
    disordered: int
    """Messages that members of one room heard in orders that contradict each other."""
    fifo_broken: int
    """Messages heard before an earlier one of the same sender."""
    dropped_here: int
    """Datagrams that the kernel dropped at the members' sockets: the generator was too slow."""
    heard_in_window: int
    wall: float
    p50: float
    p99: float
    slowest: float
    cpu: tuple[float, ...]
    """The processor time of each process in the window."""

    @property
    def cpu_s(self) -> float:
        """The service's processor time in the window."""
        return sum(self.cpu)

    @property
    def cores(self) -> float:
        """Cores that the service kept busy."""
        return self.cpu_s / self.wall

    @property
    def us_per_delivery(self) -> float:
        """The service's processor time for one delivery, in microseconds."""
        return 1e6 * self.cpu_s / max(self.heard_in_window, 1)

    @property
    def lost_share(self) -> float:
        """Of all deliveries that should have come."""
        return self.lost / max(self.wanted, 1)

    @property
    def verdict(self) -> str:
        """What became of the messages, in a few words."""
        wrong = {
            "doubled": self.doubled,
            "out of order": self.disordered + self.fifo_broken,
            "not sent": self.send_failed,
            "of these dropped by the kernel at the load's sockets": self.dropped_here,
        }
        words = [f"{self.lost:,} of {self.wanted:,} lost"] + [
            f"{count} {what}" for what, count in wrong.items() if count
        ]
        return ", ".join(words)


class Load(Process):
    """All members of a file, each with a socket of its own, in one process on a core of its own."""

    def __init__(
        self,
        members: Path,
        server: str = "",
        *,
        size: int = 100,
        spread: float = 0.0,
        echo: bool = True,
        spin: bool = False,
        core: int | None = LOAD_CORE,
        streams: Sequence[int] = (),
    ) -> None:
        """Open the sockets.

        Args:
            members: the file, see `native/load.c`.
            server: HOST:PORT of the service's UDP listener; empty if all members have streams.
            size: bytes of a text.
            spread: of their logarithms, if lengths are log-normal with the median `size`; 0: all are equal.
            echo: whether members hear what they say themselves.
            spin: never sleep, so that latencies hold no wake-up of the generator's own.
            core: where to run; None: anywhere.
            streams: descriptors that the file names.
        """
        command = [
            str(build("load")),
            str(members),
            "--size",
            str(size),
            "--spread",
            str(spread),
            "--echo",
            str(int(echo)),
        ]
        command += ["--spin", str(int(spin))]
        if server:
            command += ["--server", server]
        if core is not None:
            command += ["--cpu", str(core)]
        super().__init__(command, pass_fds=streams)
        self.hear(START_S)

    def register(self) -> Self:
        """Make all addresses known and wait until that has settled."""
        self.ask("register", START_S)
        return self

    def run(
        self, rate: float, seconds: float, pids: Iterable[int] = (), *, warm: float = 1.0, drain: float = 3.0
    ) -> Run:
        """Send `rate` messages a second in all, evenly, for `warm` and then for `seconds`; then wait for the rest."""
        if rate * (warm + seconds) > MOST_MESSAGES:
            raise BenchmarkError(f"{rate:g} messages a second for {seconds:g} s are more than {MOST_MESSAGES}")
        words = ["run", *map(str, (rate, warm, seconds, drain, MOST_MESSAGES)), *map(str, pids)]
        answer = self.ask(" ".join(words), warm + seconds + drain + START_S)
        answer["cpu"] = tuple(answer["cpu"])
        return Run(**answer)
