"""Starts services with members, and makes runs; a run that other programs disturbed is made again."""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.joining import Seat, join_all, write_members
from benchmarks.load import Load, Run
from benchmarks.processes import (
    LOAD_CORE,
    SERVICE_CORE,
    BenchmarkError,
    Measured,
    Process,
    Relay,
    Tsudoi,
    busy_s,
    wait_until_quiet,
)
from benchmarks.targets import TARGETS, Target

DISTURBED = 0.15
"""A run is made again if other programs used more of a core than this."""
MOST_RATE = 200_000.0
"""Messages a second; none asks for more."""
HELD_LOSS = 0.001
HELD_S = 0.25
"""A rate is held if less than that share is lost and 99 of 100 deliveries come within this time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result."""

    what: str
    ours: str
    beside: str = ""
    """The figure of the service that it is compared with, on the same work."""
    ratio: float | None = None
    """Ours divided by theirs."""
    note: str = ""
    aim: str = ""
    """Its target, a key of `TARGETS`, if it has one."""
    figure: float | None = None
    """The figure to compare with the target, if it is not the ratio."""

    @property
    def target(self) -> Target | None:
        """The target, if it has one."""
        return TARGETS[self.aim] if self.aim else None

    @property
    def held(self) -> bool | None:
        """Whether the target is reached; None if there is none."""
        figure = self.ratio if self.figure is None else self.figure
        return None if self.target is None or figure is None else self.target.is_held(figure)


@dataclass(frozen=True, slots=True)
class Bar:
    """Two figures of a plot, ours and theirs."""

    label: str
    ours: float
    beside: float


@dataclass
class Runner:
    """Makes the runs of a measurement."""

    quick: bool
    log: Callable[[str], None] = lambda line: None
    foreign: list[float] = field(default_factory=list)
    """Per run, the share of a core that other programs used."""
    bars: list[Bar] = field(default_factory=list)
    """Of the plot beside the table, which README.md shows."""

    def pick(self, usual: float, quick: float) -> float:
        """Return one of two values, by how long it may take."""
        return quick if self.quick else usual

    def marked(self, row: Row, first: int) -> Row:
        """Say of a row that its runs, those since the number `first`, were disturbed, if they were."""
        usual = statistics.median(self.foreign[first:] or [0.0])
        if usual <= DISTURBED:
            return row
        return replace(row, note=f"{row.note}; disturbed: others used {usual:.1f} cores".removeprefix("; "))

    @property
    def rounds(self) -> int:
        """Turns that rivals take."""
        return int(self.pick(5, 2))

    @property
    def tries(self) -> int:
        """How often a run is made if it is disturbed."""
        return int(self.pick(2, 1))

    @property
    def seconds(self) -> float:
        """How long one turn lasts, without its warm-up."""
        return self.pick(2.0, 0.6)

    @contextmanager
    def watch(self, *processes: Measured) -> Iterator[None]:
        """Note how much of the machine other programs use meanwhile."""
        family = [os.getpid(), *(pid for process in processes for pid in process.family())]
        at, own, busy = time.monotonic(), _used_s(family), sum(busy_s().values())
        yield
        used = _used_s(family) - own
        self.foreign.append(max(0.0, (sum(busy_s().values()) - busy - used) / (time.monotonic() - at)))

    def run(
        self,
        load: Load,
        service: Measured,
        rate: float,
        seconds: float | None = None,
        *,
        drain: float = 3.0,
        warm: float | None = None,
        tries: int | None = None,
        may_lose: bool = False,
    ) -> Run:
        """Make a run and return it; again if it was disturbed, of `tries` the least disturbed.

        Raises:
            BenchmarkError: each one has lost messages, and may not: what has not come has cost nothing to deliver.
        """
        seconds = self.seconds if seconds is None else seconds
        warm = self.pick(0.5, 0.2) if warm is None else warm
        best, least = None, (True, float("inf"))
        for left in reversed(range(tries or self.tries)):
            with self.watch(service, load):
                made = load.run(rate, seconds, service.family(), warm=warm, drain=drain)
            this = not may_lose and made.lost_share >= HELD_LOSS, self.foreign.pop()
            if best is None or this < least:
                best, least = made, this
            if least <= (False, DISTURBED) or self.quick:
                break
            if left:
                wait_until_quiet(patience_s=5.0)
        assert best is not None
        has_lost, foreign = least
        self.foreign.append(foreign)
        self.log(
            f"{rate:g}/s: {best.us_per_delivery:.2f} us a delivery, {best.cores:.2f} cores,"
            f" {best.verdict}, p50 {best.p50 / 1e3:.2f} ms, p99 {best.p99 / 1e3:.2f} ms;"
            f" others used {foreign:.2f} cores"
        )
        if has_lost:
            raise BenchmarkError(f"{type(service).__name__} at {rate:g} messages/s: {best.verdict}")
        return best

    def highest_rates(self, rivals: Sequence[tuple[Load, Measured]], start: float) -> list[tuple[float, Run]]:
        """Search for the highest rates of messages a second that rivals hold, a step of each in turn.

        Return each one's rate with its run.

        Raises:
            BenchmarkError: one holds no rate.
        """
        searches = [_Search(self.pick(1.05, 1.15), start) for _ in rivals]
        for _ in range(int(self.pick(12, 3))):
            for search, (load, service) in zip(searches, rivals, strict=True):
                if search.is_done:
                    continue
                made = self.run(load, service, search.rate, drain=self.pick(2.0, 0.5), tries=1, may_lose=True)
                if not is_held(made) and not self.quick:
                    # Once more: a rate is not held when it fails twice.
                    made = self.run(load, service, search.rate, drain=2.0, may_lose=True)
                search.note(made)
        for search, (_, service) in zip(searches, rivals, strict=True):
            if search.best is None:
                raise BenchmarkError(f"{type(service).__name__} holds no rate, nor {search.rate:,.0f} messages/s")
        return [(search.low, search.best) for search in searches if search.best is not None]

    def turns(
        self, rivals: Sequence[tuple[Load, Measured]], rate: float, seconds: float | None = None
    ) -> list[list[Run]]:
        """Let rivals take turns at the same work; return the runs of each."""
        runs: list[list[Run]] = [[] for _ in rivals]
        for _ in range(self.rounds):
            for at, (load, service) in enumerate(rivals):
                runs[at].append(self.run(load, service, rate, seconds))
        return runs


@dataclass
class _Search:
    """Looks for the highest rate that a service holds."""

    exactness: float
    """How far the lowest rate that is not held may be above the highest that is."""
    rate: float
    """The next one to try."""
    low: float = 0.0
    high: float = MOST_RATE
    best: Run | None = None
    """The run at the rate `low`."""

    @property
    def is_done(self) -> bool:
        return bool(self.low) and self.high < self.exactness * self.low

    def note(self, made: Run) -> None:
        """Note a run at `rate`."""
        if is_held(made):
            self.low, self.best = self.rate, made
        else:
            self.high = self.rate
        if self.low and self.high < MOST_RATE:
            self.rate = (self.low + self.high) / 2
        else:
            self.rate = min(self.rate * (1.6 if self.low else 0.6), MOST_RATE)


@dataclass
class Company:
    """A service with members, and the sockets of those."""

    service: Process
    load: Load
    joins_per_s: float = 0.0

    @property
    def rival(self) -> tuple[Load, Process]:
        """What `Runner` lets take turns."""
        return self.load, self.service


@contextmanager
def tsudoi(
    wanted: Sequence[Seat],
    *arguments: str,
    cores: Iterable[int] = (SERVICE_CORE,),
    spin: bool = True,
    module: str = "gateway",
    lengths: tuple[int, float] = (100, 0.0),
) -> Iterator[Company]:
    """Yield the service, `python -m MODULE`, with these members; it runs on `cores`, and so do its children.

    `lengths` are the size and spread of texts, see `Load`.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tsudoi-bench-")))
        service = stack.enter_context(Tsudoi(folder / "data", *arguments, module=module))
        tokens, joins_per_s = join_all(service.tcp, wanted)
        write_members(folder / "members", wanted, tokens)
        service.pin(cores)
        core = LOAD_CORE if spin else None
        size, spread = lengths
        load = Load(folder / "members", service.udp, size=size, spread=spread, spin=spin, core=core)
        yield Company(service, stack.enter_context(load).register(), joins_per_s)


@contextmanager
def relay(wanted: Sequence[Seat]) -> Iterator[Company]:
    """Yield the relay in C with the same members."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tsudoi-bench-")))
        write_members(folder / "members", wanted, [f"{at:032x}"[::-1] for at in range(len(wanted))])
        service = stack.enter_context(Relay(folder / "members", (SERVICE_CORE,)))
        load = stack.enter_context(Load(folder / "members", service.udp, spin=True)).register()
        yield Company(service, load)


def is_held(run: Run) -> bool:
    """Say whether a service keeps up with what was asked of it in this run."""
    return run.lost_share < HELD_LOSS and run.p99 < 1e6 * HELD_S and not run.send_failed


def median_of(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    """Return the median of a figure over runs."""
    return statistics.median(map(figure, runs))


def ratio_of(ours: Sequence[Run], theirs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    """Return the median over rounds of ours ÷ theirs, each taken within its round."""
    return statistics.median(figure(a) / max(figure(b), 1e-9) for a, b in zip(ours, theirs, strict=True))


def _used_s(pids: Iterable[int]) -> float:
    used = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            used += time.clock_gettime((~pid << 3) | 2)
    return used
