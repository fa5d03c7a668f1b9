"""Compare this tree with another, or one backbone with another, on the same work, taking turns.

`python -m benchmarks.compare --against /path/to/other` measures the default service of both trees;
`python -m benchmarks.compare` measures inproc, ipc and tcp of this tree. Rivals take turns within each row, so that
what else the machine does meets all of them alike. On a busy machine only the processor time is worth comparing: one
process gets a smaller share of a core than two.
"""

import contextlib
import socket
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
from benchmarks.processes import LOAD_CORE, ROOT, SERVICE_CORE, Process, Service
from benchmarks.report import machine
from benchmarks.runner import Row, Runner
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
class Rival:
    """A tree, and how its gateway reaches its broker."""

    name: str
    tree: Path
    backbone: str
    """default, ipc or tcp."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the result: a figure of each rival."""

    title: str
    medians: list[str]
    ratios: list[float]
    """To the first rival's, the median over rounds."""


@contextmanager
def serve(rival: Rival) -> Iterator[list[Process]]:
    """Yield a rival's processes, its gateway first, pinned to the service's core."""
    python = ("env", "-C", str(rival.tree), sys.executable, "-m")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tsudoi-bench-")))
        way = ["--data", str(folder / "data")]
        processes: list[Process] = []
        if rival.backbone != "default":
            endpoint = f"ipc://{folder}/broker" if rival.backbone == "ipc" else f"tcp://127.0.0.1:{_two_free_ports()}"
            store = ("--store", f"sqlite:{folder}/data/tsudoi.sqlite", "--log-level", "warning")
            broker = stack.enter_context(Process((*python, "broker", "--bind", endpoint, *store), (SERVICE_CORE,)))
            broker.hear(30)
            broker.pin((SERVICE_CORE,))
            processes.append(broker)
            way = ["--broker", endpoint]
        door = ("--tcp", "127.0.0.1:0=classic", "--udp", "127.0.0.1:0")
        command = (*python, "gateway", *door, *way, *WITHOUT_LIMITS)
        yield [stack.enter_context(Service(command, (SERVICE_CORE,))), *processes]


def family(processes: Sequence[Process]) -> list[int]:
    """Return all processes with their children."""
    return [pid for process in processes for pid in process.family()]


@contextmanager
def company(rival: Rival, rooms: int, size: int, senders: int | None) -> Iterator[tuple[Load, list[Process]]]:
    """Yield a rival with members, and the load that comes from these."""
    with ExitStack() as stack:
        processes = stack.enter_context(serve(rival))
        assert isinstance(processes[0], Service)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tsudoi-bench-")))
        wanted = seats(rooms, size, senders)
        tokens, _ = join_all(processes[0].tcp, wanted)
        write_members(folder / "members", wanted, tokens)
        load = Load(folder / "members", processes[0].udp, spin=True, core=LOAD_CORE)
        yield stack.enter_context(load).register(), processes


def steady(
    rivals: Sequence[Rival], rounds: int, seconds: float, rates: Sequence[int], only: str = ""
) -> Iterator[Figures]:
    """Yield the processor time of a delivery and the latencies, by size of room and rate."""
    for title, rooms, size, senders in STEADY:
        if only not in f"{title},":
            continue
        with ExitStack() as stack:
            there = [stack.enter_context(company(rival, rooms, size, senders)) for rival in rivals]
            for rate in rates:
                runs: list[list[Run]] = [[] for _ in rivals]
                for _ in range(rounds):
                    for made, (load, processes) in zip(runs, there, strict=True):
                        made.append(load.run(rate / size, seconds, family(processes), warm=0.3, drain=1.0))
                yield from _of_runs(f"{title}, {rate:,} deliveries/s", runs)


def quiet(rivals: Sequence[Rival], rounds: int, seconds: float) -> Iterator[Figures]:
    """Yield what a lone message costs: two members at 40/s, five at 100/s."""
    for title, size, rate in (("two members, 40 messages/s", 2, 40), ("a room of 5, 100 messages/s", 5, 100)):
        with ExitStack() as stack:
            there = [stack.enter_context(company(rival, 1, size, None)) for rival in rivals]
            runs: list[list[Run]] = [[] for _ in rivals]
            for _ in range(rounds):
                for made, (load, processes) in zip(runs, there, strict=True):
                    made.append(load.run(rate, max(seconds, 2.0), family(processes), warm=0.3, drain=0.5))
            yield from _of_runs(title, runs, size)


def joins(rivals: Sequence[Rival], rounds: int) -> Iterator[Figures]:
    """Yield joins a second and the processor time of each, one after another and 200 at once."""
    with ExitStack() as stack:
        there = [stack.enter_context(serve(rival)) for rival in rivals]
        first = 0
        for title, at_once, members in (("one after another", 1, 100), ("200 at once", 200, 400)):
            rates: list[list[float]] = [[] for _ in rivals]
            costs: list[list[float]] = [[] for _ in rivals]
            for _ in range(rounds):
                # Few rooms: the list of rooms, made anew every few milliseconds, would be most of the cost.
                wanted = seats(5, members, first=first)
                first += 5
                for processes, rate, cost in zip(there, rates, costs, strict=True):
                    assert isinstance(processes[0], Service)
                    used = sum(process.cpu_s() for process in processes)
                    rate.append(join_all(processes[0].tcp, wanted, at_once, (LOAD_CORE,))[1])
                    used = sum(process.cpu_s() for process in processes) - used
                    cost.append(1e6 * used / len(wanted))
            yield _figures(f"joins, {title}, joins/s (more is better)", rates, "{:,.0f}")
            yield _figures(f"joins, {title}, µs CPU each", costs, "{:,.0f}")


def memory(rivals: Sequence[Rival], count: int = 10_000) -> Iterator[Figures]:
    """Yield the memory of all processes, empty and with silent members."""
    with ExitStack() as stack:
        there = [stack.enter_context(serve(rival)) for rival in rivals]
        empty = [[sum(process.memory() for process in processes) / 2**20] for processes in there]
        for processes in there:
            assert isinstance(processes[0], Service)
            join_all(processes[0].tcp, seats(count // 10, 10))
        full = [[sum(process.memory() for process in processes) / 2**20] for processes in there]
    yield _figures("memory at the start, MiB", empty, "{:.1f}")
    yield _figures(f"memory with {count:,} members, MiB", full, "{:.1f}")


def backbones(runner: Runner) -> list[Row]:
    """Return rows of the same work over inproc, ipc and tcp."""
    rivals = [Rival(name, ROOT, name) for name in ("default", "ipc", "tcp")]
    rounds, seconds = runner.rounds, runner.seconds
    figures = [
        *quiet(rivals, rounds, seconds),
        *steady(rivals, rounds, seconds, [20_000], "a room of 10,"),
        *steady(rivals, rounds, seconds, [20_000], "200 rooms"),
        *joins(rivals, rounds),
        *memory(rivals),
    ]
    return [
        Row(
            f"one process, {each.title}",
            each.medians[0],
            f"ipc {each.medians[1]}, tcp {each.medians[2]}",
            1 / max(each.ratios[1], 1e-9),
            "gateway and broker in one process ÷ in two over ipc",
        )
        for each in figures
    ]


def _of_runs(title: str, runs: Sequence[Sequence[Run]], times: int = 1) -> Iterator[Figures]:
    lost = [sum(run.lost for run in made) for made in runs]
    note = f" (lost: {lost})" if any(lost) else ""
    yield _figures(f"{title}, µs CPU{note}", [[times * run.us_per_delivery for run in made] for made in runs], "{:.2f}")
    yield _figures(f"{title}, p50 µs", [[run.p50 for run in made] for made in runs], "{:,.0f}")
    yield _figures(f"{title}, p99 µs", [[run.p99 for run in made] for made in runs], "{:,.0f}")


def _figures(title: str, figures: Sequence[Sequence[float]], form: str) -> Figures:
    """Return the medians, and each one's ratio to the first rival, taken within the rounds."""
    ratios = [statistics.median(a / max(b, 1e-9) for a, b in zip(mine, figures[0], strict=True)) for mine in figures]
    return Figures(title, [form.format(statistics.median(mine)) for mine in figures], ratios)


def _show(rivals: Sequence[Rival], figures: Figures) -> None:
    cells = zip(rivals, figures.medians, figures.ratios, strict=True)
    parts = (f"{rival.name} {median} (× {ratio:.2f})" for rival, median, ratio in cells)
    click.echo(f"{figures.title:<55} " + "   ".join(parts))


def _page(rivals: Sequence[Rival], measured: Sequence[Figures]) -> str:
    """Return the result as a Markdown page."""
    heads = [rivals[0].name, *(f"{rival.name} | ratio" for rival in rivals[1:])]
    lines = ["# Compared", "", "`python -m benchmarks.compare` wrote this page; its source has the method.", ""]
    lines += [*machine(own_network=False), ""]
    lines += [f"| what | {' | '.join(heads)} |", "|---|" + "--:|" * (2 * len(rivals) - 1)]
    for each in measured:
        cells = [each.medians[0], *(f"{a} | {b:.2f}" for a, b in zip(each.medians[1:], each.ratios[1:], strict=True))]
        lines.append(f"| {each.title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _two_free_ports() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError, OverflowError):
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            second.bind(("127.0.0.1", port + 1))
            return port


@click.command("compare", cls=OneLineCommand)
@click.option("--against", "tree", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another tree.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--rate", "rates", multiple=True, type=int, default=(20_000, 60_000), show_default=True)
@click.option("--only", multiple=True, type=click.Choice(["steady", "quiet", "joins", "memory"]))
@click.option("--room", default="", help="Of the steady rows, those whose title has this in it.")
@click.option("--backbone", "backbones", multiple=True, type=click.Choice(["default", "ipc", "tcp"]))
@click.option("--write", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a Markdown table too.")
def main(
    tree: Path | None,
    rounds: int,
    seconds: float,
    rates: tuple[int, ...],
    only: tuple[str, ...],
    room: str,
    backbones: tuple[str, ...],
    page: Path | None,
) -> None:
    """Print medians, and ratios to the first column."""
    rivals = [Rival("before", tree.resolve(), "default")] if tree else []
    chosen = backbones or (("default",) if tree else ("default", "ipc", "tcp"))
    rivals += [Rival(backbone, ROOT, backbone) for backbone in chosen]
    wanted = only or ("steady", "quiet", "joins", "memory")
    parts = {
        "steady": lambda: steady(rivals, rounds, seconds, rates, room),
        "quiet": lambda: quiet(rivals, rounds, seconds),
        "joins": lambda: joins(rivals, rounds),
        "memory": lambda: memory(rivals),
    }
    measured = []
    for part in wanted:
        for figures in parts[part]():
            _show(rivals, figures)
            measured.append(figures)
    if page is not None:
        page.write_text(_page(rivals, measured))


if __name__ == "__main__":
    main()
