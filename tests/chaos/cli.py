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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scenarios.process import ProcessError
from tests.chaos.checker import check
from tests.chaos.evidence import Verdict
from tests.chaos.plan import draw
from tests.chaos.runner import Runner

SHOWN = 5
"""Violations of one run that are printed in full."""
COUNTED = ("members", "accepted", "received", "repeats")


@dataclass(slots=True)
class Result:
    """The outcome of one seed."""

    seed: int
    profile: str
    schedule: str
    took_s: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    faults: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    """Why there is no verdict."""

    @property
    def failed(self) -> bool:
        return bool(self.failure or self.verdict.violations)


def run_seed(seed: int, lasts: float, keep: Path | None = None) -> Result:
    """Run one seed in a directory of its own and check it; write the history into `keep` if it fails."""
    plan = draw(seed, lasts)
    began = time.monotonic()
    result = Result(seed, plan.profile, str(plan))
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-") as directory:
        run = Runner(plan, Path(directory))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
                history = loop.run(run.run())
        except (AssertionError, OSError, ProcessError) as exc:
            result.failure = f"the run itself failed: {exc!r}"
        else:
            result.verdict = check(history)
            if keep is not None and result.failed:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"seed-{seed}.json").write_bytes(msgspec.json.encode(history))
        result.faults = dict(run.counts)
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
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for number in progress.track(range(seed, seed + runs), description="chaos"):
            result = run_seed(number, seconds, keep)
            done.append(result)
            if result.failed:
                _print_failure(console, result)
    console.print(_table(done))
    sys.exit(1 if any(result.failed for result in done) else 0)


def _print_failure(console: Console, result: Result) -> None:
    violations = [str(violation) for violation in result.verdict.violations] or [result.failure]
    console.rule(f"seed {result.seed}: {len(violations)} violations")
    for text in violations[:SHOWN]:
        console.print(text, markup=False, highlight=False)
    console.print(f"\nThe schedule of {result.schedule}", markup=False, highlight=False)
    console.print(f"Again: make chaos SEED={result.seed} RUNS=1", markup=False)


def _table(done: list[Result]) -> Table:
    table = Table(title="chaos")
    for heading in ("about", "runs", "failed", *COUNTED, "s a run"):
        table.add_column(heading, justify="left" if heading == "about" else "right")
    for profile in sorted({result.profile for result in done}):
        _add_row(table, profile, [result for result in done if result.profile == profile])
    table.add_section()
    _add_row(table, "all", done)
    faults: Counter[str] = Counter()
    for result in done:
        faults.update(result.faults)
    table.caption = ", ".join(f"{count} × {kind}" for kind, count in faults.most_common())
    return table


def _add_row(table: Table, name: str, results: list[Result]) -> None:
    verdicts = [result.verdict for result in results]
    counts = [len(results), sum(result.failed for result in results)]
    counts += [sum(getattr(verdict, field) for verdict in verdicts) for field in COUNTED]
    table.add_row(name, *(f"{count:,}" for count in counts), f"{sum(one.took_s for one in results) / len(results):.1f}")
