"""Compare this tree's service with that of another tree: `python -m benchmarks.compare --against /path/to/other`.

They take turns within each row, so that what else the machine does meets both alike. On a busy machine only the
processor time is worth comparing.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.joining import join_all, seats, write_members
from benchmarks.load import Load, Run
from benchmarks.processes import LOAD_CORE, ROOT, SERVICE_CORE, Service
from tsudoi.ops.command_line import OneLineCommand

WITHOUT_LIMITS = (
    *("--rate", "1000000", "--burst", "1000000", "--room-rate", "1000000", "--idle-timeout", "7200"),
    *("--log-level", "warning"),
)
STEADY = (
    ("a room of 10", 1, 10, None),
    ("a room of 100", 1, 100, None),
    ("a room of 1000", 1, 1000, 50),
    ("200 rooms of 5", 200, 5, None),
)
"""Title, rooms, members of each, senders of each."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the result: a figure of each tree."""

    title: str
    medians: list[str]
    ratios: list[float]
    """To the first tree's, the median over rounds."""


@contextmanager
def serve(tree: Path) -> Iterator[Service]:
    """Yield the service of a tree, pinned to the service's core."""
    with TemporaryDirectory(prefix="tsudoi-bench-") as data:
        listeners = ("--tcp", "127.0.0.1:0=classic", "--udp", "127.0.0.1:0", "--data", f"{data}/data")
        command = ("env", "-C", str(tree), sys.executable, "-m", "gateway", *listeners, *WITHOUT_LIMITS)
        with Service(command, (SERVICE_CORE,)) as service:
            yield service


@contextmanager
def company(tree: Path, rooms: int, size: int, senders: int | None) -> Iterator[tuple[Load, Service]]:
    """Yield a service with members, and the load that comes from these."""
    with serve(tree) as service, TemporaryDirectory(prefix="tsudoi-bench-") as folder:
        wanted = seats(rooms, size, senders)
        tokens, _ = join_all(service.tcp, wanted)
        write_members(Path(folder, "members"), wanted, tokens)
        with Load(Path(folder, "members"), service.udp, spin=True, core=LOAD_CORE) as load:
            yield load.register(), service


def steady(trees: Sequence[Path], rounds: int, seconds: float, rates: Sequence[int], only: str) -> Iterator[Figures]:
    """Yield the processor time of a delivery and the latencies, by size of room and rate."""
    for title, rooms, size, senders in STEADY:
        if only not in f"{title},":
            continue
        with ExitStack() as stack:
            there = [stack.enter_context(company(tree, rooms, size, senders)) for tree in trees]
            for rate in rates:
                runs: list[list[Run]] = [[] for _ in trees]
                for _ in range(rounds):
                    for made, (load, service) in zip(runs, there, strict=True):
                        made.append(load.run(rate / size, seconds, service.family(), warm=0.3, drain=1.0))
                yield from _of_runs(f"{title}, {rate:,} deliveries/s", runs)


def quiet(trees: Sequence[Path], rounds: int, seconds: float) -> Iterator[Figures]:
    """Yield what a lone message costs: two members at 40/s, five at 100/s."""
    for title, size, rate in (("two members, 40 messages/s", 2, 40), ("a room of 5, 100 messages/s", 5, 100)):
        with ExitStack() as stack:
            there = [stack.enter_context(company(tree, 1, size, None)) for tree in trees]
            runs: list[list[Run]] = [[] for _ in trees]
            for _ in range(rounds):
                for made, (load, service) in zip(runs, there, strict=True):
                    made.append(load.run(rate, max(seconds, 2.0), service.family(), warm=0.3, drain=0.5))
            yield from _of_runs(title, runs, size)


def joins(trees: Sequence[Path], rounds: int) -> Iterator[Figures]:
    """Yield joins a second and the processor time of each, one after another and 200 at once."""
    with ExitStack() as stack:
        there = [stack.enter_context(serve(tree)) for tree in trees]
        first = 0
        for title, at_once, members in (("one after another", 1, 100), ("200 at once", 200, 400)):
            rates: list[list[float]] = [[] for _ in trees]
            costs: list[list[float]] = [[] for _ in trees]
            for _ in range(rounds):
                # Few rooms: the list of rooms, made anew every few milliseconds, would be most of the cost.
                wanted = seats(5, members, first=first)
                first += 5
                for service, rate, cost in zip(there, rates, costs, strict=True):
                    used = service.cpu_s()
                    rate.append(join_all(service.tcp, wanted, at_once, (LOAD_CORE,))[1])
                    used = service.cpu_s() - used
                    cost.append(1e6 * used / len(wanted))
            yield _figures(f"joins, {title}, joins/s (more is better)", rates, "{:,.0f}")
            yield _figures(f"joins, {title}, µs CPU each", costs, "{:,.0f}")


def memory(trees: Sequence[Path], count: int = 10_000) -> Iterator[Figures]:
    """Yield the memory of all processes, empty and with silent members."""
    with ExitStack() as stack:
        there = [stack.enter_context(serve(tree)) for tree in trees]
        empty = [[service.memory() / 2**20] for service in there]
        for service in there:
            join_all(service.tcp, seats(count // 10, 10))
        full = [[service.memory() / 2**20] for service in there]
    yield _figures("memory at the start, MiB", empty, "{:.1f}")
    yield _figures(f"memory with {count:,} members, MiB", full, "{:.1f}")


def _of_runs(title: str, runs: Sequence[Sequence[Run]], times: int = 1) -> Iterator[Figures]:
    lost = [sum(run.lost for run in made) for made in runs]
    note = f" (lost: {lost})" if any(lost) else ""
    yield _figures(f"{title}, µs CPU{note}", [[times * run.us_per_delivery for run in made] for made in runs], "{:.2f}")
    yield _figures(f"{title}, p50 µs", [[run.p50 for run in made] for made in runs], "{:,.0f}")
    yield _figures(f"{title}, p99 µs", [[run.p99 for run in made] for made in runs], "{:,.0f}")


def _figures(title: str, figures: Sequence[Sequence[float]], form: str) -> Figures:
    """Return the medians, and each one's ratio to the first tree's, taken within the rounds."""
    ratios = [statistics.median(a / max(b, 1e-9) for a, b in zip(mine, figures[0], strict=True)) for mine in figures]
    return Figures(title, [form.format(statistics.median(mine)) for mine in figures], ratios)


def _show(figures: Figures) -> None:
    (before, now), (_, ratio) = figures.medians, figures.ratios
    click.echo(f"{figures.title:<55} before {before}   now {now} (× {ratio:.2f})")


@click.command("compare", cls=OneLineCommand)
@click.option(
    "--against",
    "tree",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another tree.",
)
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--rate", "rates", multiple=True, type=int, default=(20_000, 60_000), show_default=True)
@click.option("--only", multiple=True, type=click.Choice(["steady", "quiet", "joins", "memory"]))
@click.option("--room", default="", help="Of the steady rows, those whose title has this in it.")
def main(tree: Path, rounds: int, seconds: float, rates: tuple[int, ...], only: tuple[str, ...], room: str) -> None:
    """Print medians, and the ratio of this tree's to the other's."""
    trees = (tree.resolve(), ROOT)
    parts = {
        "steady": lambda: steady(trees, rounds, seconds, rates, room),
        "quiet": lambda: quiet(trees, rounds, seconds),
        "joins": lambda: joins(trees, rounds),
        "memory": lambda: memory(trees),
    }
    for part in only or parts:
        for figures in parts[part]():
            _show(figures)


if __name__ == "__main__":
    main()
