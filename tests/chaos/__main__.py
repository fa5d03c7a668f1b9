"""`make chaos`: seeded runs, a table of them, and for a run that failed its violations and its schedule."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.chaos.evidence import Verdict
from tests.chaos.plan import Plan, draw
from tests.chaos.together import Together, grouped

SHOWN = 5
"""Violations of one run that are printed in full."""
COUNTED = ("members", "accepted", "received", "repeats")


@dataclass(slots=True)
class Result:
    plan: Plan
    faults: Counter[str]
    took_s: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    failures: list[str] = field(default_factory=list)
    """Violations, or why there is no verdict."""


def run_group(plans: list[Plan], keep: Path | None) -> list[Result]:
    """Play plans on processes and in a directory of their own, and check them.

    Of one that fails `keep` gets the history, and what the processes have logged.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-") as directory:
        # Members of version 2 keep there what certificate a server showed first.
        os.environ["XDG_STATE_HOME"] = directory
        run = Together(plans, Path(directory))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            complaints = loop.run(run.run())
        results = [Result(plan, run.counts[number]) for number, plan in enumerate(plans)]
        for number, result in enumerate(results):
            result.took_s = (time.monotonic() - began) / len(plans)
            result.verdict = run.verdict(number)
            result.failures += [*run.failures[number], *map(str, result.verdict.violations)]
        results[-1].failures += complaints
        for number, result in enumerate(results):
            if keep is not None and result.failures:
                _keep(run, number, keep / f"seed-{result.plan.seed}")
    return results


def _keep(run: Together, number: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_bytes(msgspec.json.encode(run.histories[number]))
    for process in run.servers.processes:
        (folder / f"{process.name}.log").write_text(process.stderr.text)


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--runs", default=10, type=click.IntRange(1), show_default=True, help="Seeds from that one on.")
@click.option("--seconds", default=4.0, type=click.FloatRange(1), show_default=True, help="How long faults go on.")
@click.option(
    "--together",
    default=1,
    type=click.IntRange(1),
    show_default=True,
    help="So many seeds with the same gateways are played on the same processes, one after the other.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="A directory for the histories of runs that fail.")
def main(seed: int, runs: int, seconds: float, together: int, keep: Path | None) -> None:
    """Run real processes under faults that the seed decides, and check that nothing accepted is lost or doubled.

    Several of these commands can run at the same time.
    """
    # An interrupted run ends its processes. A shell's background job inherits that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console()
    done: list[Result] = []
    plans = [draw(number, seconds) for number in range(seed, seed + runs)]
    for group in track(grouped(plans, together), "chaos", console=console):
        for result in run_group(group, keep):
            done.append(result)
            if result.failures:
                _tell(console, result, group)
    console.print(_table(done))
    sys.exit(1 if any(result.failures for result in done) else 0)


def _tell(console: Console, result: Result, group: list[Plan]) -> None:
    seed = result.plan.seed
    console.rule(f"seed {seed}: {len(result.failures)} violations")
    told = [*result.failures[:SHOWN], f"\nThe schedule of {result.plan}", f"Again: make chaos SEED={seed} RUNS=1"]
    if before := [plan.seed for plan in group if plan.seed != seed]:
        told.append(f"It was played together with {before}.")
    console.print("\n".join(told), markup=False, highlight=False)


def _table(done: list[Result]) -> Table:
    table = Table("about", "runs", "failed", *COUNTED, "s a run", title="chaos")
    for profile in sorted({result.plan.profile for result in done}):
        _add_row(table, profile, [result for result in done if result.plan.profile == profile])
    table.add_section()
    _add_row(table, "all", done)
    faults: Counter[str] = Counter()
    for result in done:
        faults.update(result.faults)
    table.caption = ", ".join(f"{count} × {kind}" for kind, count in faults.most_common())
    return table


def _add_row(table: Table, name: str, results: list[Result]) -> None:
    counts = [len(results), sum(bool(result.failures) for result in results)]
    counts += [sum(getattr(result.verdict, field) for result in results) for field in COUNTED]
    table.add_row(name, *(f"{count:,}" for count in counts), f"{sum(one.took_s for one in results) / len(results):.1f}")


main()
