"""`python -m benchmarks`: the command line."""

import resource
import signal
import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import (
    cases,
    catching_up,
    fan_out,
    own_network,
    peers,
    report,
    rest,
    sealed,
    segmentation,
    websocket,
)
from benchmarks.processes import ROOT, BenchmarkError, wait_until_quiet
from benchmarks.runner import Row, Runner
from tsudoi.ops.command_line import OneLineCommand

ALL = {
    **cases.CASES,
    "lone": rest.lone_message,
    "nobody": rest.nobody,
    "segments": segmentation.segmentation,
    "catching-up": catching_up.catching_up,
    "sealed": sealed.sealed,
    "websocket": websocket.websocket,
    "peers": peers.peers,
    "fan-out": fan_out.fan_out,
}


@click.command("benchmarks", cls=OneLineCommand)
@click.option("--quick", is_flag=True, help="Under two minutes: shorter windows, fewer rounds.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([*ALL]),
    help="Nothing but this, and keep the other rows of RESULTS.md; may be repeated.",
)
@click.option("--host-network", is_flag=True, help="Stay in this network namespace, with its firewall's rules.")
@click.option("--keep", is_flag=True, help="Do not write RESULTS.md.")
@click.option("--verbose", is_flag=True, help="Print each run.")
def main(quick: bool, only: tuple[str, ...], host_network: bool, keep: bool, verbose: bool) -> None:
    """Measure tsudoi on this machine and write benchmarks/RESULTS.md."""
    signal.signal(signal.SIGTERM, _stop)
    is_apart = not host_network and own_network.enter("benchmarks")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = Console()
    usual = [name for name in ALL if not (quick and name in ("peers", "segments"))]
    names = [name for name in ALL if name in (only or usual)]
    rows: list[Row] = []
    columns = (TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:

        def log(line: str) -> None:
            if verbose:
                progress.console.print(line, markup=False, soft_wrap=True)

        runner = Runner(quick, log)
        task = progress.add_task("measure", total=len(names))
        failed = []
        for name in names:
            progress.update(task, description=name)
            if not quick:
                wait_until_quiet()
            first = len(runner.foreign)
            at = time.monotonic()
            try:
                rows += [runner.marked(row, first) for row in ALL[name](runner)]
            except BenchmarkError as exc:
                failed.append(f"{name}: {exc}")
                log(f"{name} failed: {exc}")
            log(f"{name} took {time.monotonic() - at:.0f} s")
            progress.advance(task)
    report.show(console, rows)
    if not keep and rows:
        report.write(rows, runner, is_apart, is_all=not only and not failed)
        console.print(f"written to {report.RESULTS.relative_to(ROOT)}")
    for why in failed:
        console.print(f"benchmarks: not measured: {why}", markup=False)
    sys.exit(bool(failed))


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
