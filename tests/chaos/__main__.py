"""`make chaos`: seeded runs, a table of them, and for a run that failed its violations and its schedule."""

import asyncio
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

from scenarios.process import ProcessError
from tests.chaos.checker import check
from tests.chaos.evidence import Verdict
from tests.chaos.plan import Plan, draw
from tests.chaos.runner import Runner

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


def run_seed(seed: int, lasts: float, keep: Path | None) -> Result:
    """Run one seed in a directory of its own and check it; write the history into `keep` if it fails."""
    plan, began = draw(seed, lasts), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-") as directory:
        run = Runner.of_processes(plan, Path(directory))
        result = Result(plan, run.counts)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
                history = loop.run(run.run())
        except (AssertionError, OSError, ProcessError) as exc:
            result.failures.append(f"the run itself failed: {exc!r}")
        else:
            result.verdict = check(history)
            result.failures += map(str, result.verdict.violations)
            if keep is not None and result.failures:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"seed-{seed}.json").write_bytes(msgspec.json.encode(history))
    result.took_s = time.monotonic() - began
    return result


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--runs", default=10, type=click.IntRange(1), show_default=True, help="Seeds from that one on.")
@click.option("--seconds", default=4.0, type=click.FloatRange(1), show_default=True, help="How long faults go on.")
@click.option("--keep", type=click.Path(path_type=Path), help="A directory for the histories of runs that fail.")
def main(seed: int, runs: int, seconds: float, keep: Path | None) -> None:
    """Run real processes under faults that the seed decides, and check that nothing accepted is lost or doubled.

    Several of these commands can run at the same time.
    """
    # An interrupted run ends its processes. A shell's background job inherits that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console()
    done: list[Result] = []
    for number in track(range(seed, seed + runs), "chaos", console=console):
        done.append(run_seed(number, seconds, keep))
        if failures := done[-1].failures:
            console.rule(f"seed {number}: {len(failures)} violations")
            told = (*failures[:SHOWN], f"\nThe schedule of {done[-1].plan}", f"Again: make chaos SEED={number} RUNS=1")
            console.print("\n".join(told), markup=False, highlight=False)
    console.print(_table(done))
    sys.exit(1 if any(result.failures for result in done) else 0)


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
