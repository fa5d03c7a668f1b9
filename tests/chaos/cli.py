"""`make chaos`: seeded runs, a table of them, and for a run that failed its violations and its schedule."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scenarios.process import ProcessError
from tests.chaos.checker import check
from tests.chaos.plan import draw
from tests.chaos.runner import Runner

ENDED = 128 + signal.SIGTERM
"""Exit status after SIGTERM."""
SHOWN = 5
"""Violations of one run that are printed in full."""


@dataclass(slots=True)
class Result:
    """The outcome of one seed."""

    seed: int
    profile: str
    took_s: float
    accepted: int = 0
    received: int = 0
    repeats: int = 0
    sure: int = 0
    members: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    schedule: str = ""


def run_seed(seed: int, lasts: float, keep: Path | None = None) -> Result:
    """Run one seed in a directory of its own and check it; write the history into `keep` if it fails."""
    plan = draw(seed, lasts)
    began = time.monotonic()
    result = Result(seed, plan.profile, 0.0, schedule=str(plan))
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-") as directory:
        run = Runner(plan, Path(directory))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                history = runner.run(run.run())
        except (AssertionError, OSError, ProcessError) as exc:
            result.violations = [f"the run itself failed: {exc!r}"]
        else:
            verdict = check(history)
            result.accepted, result.received, result.repeats = verdict.accepted, verdict.received, verdict.repeats
            result.sure, result.members = verdict.surely_accepted, verdict.members
            result.violations = [str(violation) for violation in verdict.violations]
            if keep is not None and result.violations:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"seed-{seed}.json").write_bytes(msgspec.json.encode(history))
        result.faults = dict(run.counts)
    result.took_s = time.monotonic() - began
    return result


def _run_in_worker(seed: int, lasts: float, keep: Path | None) -> Result:
    """Run one seed; on SIGTERM end what it has started."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run_seed(seed, lasts, keep)
    except KeyboardInterrupt:
        os._exit(ENDED)
    finally:
        _exit_on_sigterm()


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the pool sends it again, which would interrupt the end
    signal.raise_signal(signal.SIGINT)


def _exit_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ENDED))


def _end(pool: ProcessPoolExecutor) -> None:
    """End the workers and what they have started; leaving the pool waits for that."""
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in active_children():
        worker.terminate()
    sys.exit(ENDED)


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--runs", default=10, type=click.IntRange(1), show_default=True, help="Seeds from that one on.")
@click.option("--jobs", default=1, type=click.IntRange(1, 16), show_default=True, help="Runs at the same time.")
@click.option("--seconds", default=4.0, type=click.FloatRange(1), show_default=True, help="How long faults go on.")
@click.option("--keep", type=click.Path(path_type=Path), help="A directory for the histories of runs that fail.")
@click.option("--results", type=click.Path(path_type=Path), help="Append a line of JSON for each run to this file.")
def main(seed: int, runs: int, jobs: int, seconds: float, keep: Path | None, results: Path | None) -> None:
    """Run real processes under faults that the seed decides, and check that nothing accepted is lost or doubled."""
    console = Console()
    done: list[Result] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_exit_on_sigterm) as pool,
    ):
        signal.signal(signal.SIGTERM, lambda *_: _end(pool))
        bar = progress.add_task("chaos", total=runs)
        futures = [pool.submit(_run_in_worker, number, seconds, keep) for number in range(seed, seed + runs)]
        for future in as_completed(futures):
            result = future.result()
            done.append(result)
            progress.advance(bar)
            if results is not None:
                with results.open("a") as out:
                    out.write(json.dumps({name: getattr(result, name) for name in Result.__slots__}) + "\n")
            if result.violations:
                _print_failure(console, result)
    console.print(_table(done))
    sys.exit(1 if any(result.violations for result in done) else 0)


def _print_failure(console: Console, result: Result) -> None:
    console.rule(f"seed {result.seed}: {len(result.violations)} violations")
    for text in result.violations[:SHOWN]:
        console.print(text, markup=False, highlight=False)
    console.print(f"\nThe schedule of {result.schedule}", markup=False, highlight=False)
    console.print(f"Again: make chaos SEED={result.seed} RUNS=1", markup=False)


def _table(done: list[Result]) -> Table:
    table = Table(title="chaos")
    for heading in ("about", "runs", "failed", "members", "accepted", "received", "allowed repeats", "s a run"):
        table.add_column(heading, justify="left" if heading == "about" else "right")
    for profile in dict.fromkeys(result.profile for result in sorted(done, key=lambda result: result.profile)):
        _add_row(table, profile, [result for result in done if result.profile == profile])
    table.add_section()
    _add_row(table, "all", done)
    faults: Counter[str] = Counter()
    for result in done:
        faults.update(result.faults)
    table.caption = ", ".join(f"{count} × {kind}" for kind, count in faults.most_common())
    return table


def _add_row(table: Table, name: str, results: list[Result]) -> None:
    table.add_row(
        name,
        f"{len(results)}",
        f"{sum(bool(result.violations) for result in results)}",
        f"{sum(result.members for result in results)}",
        f"{sum(result.accepted for result in results):,}",
        f"{sum(result.received for result in results):,}",
        f"{sum(result.repeats for result in results)}",
        f"{sum(result.took_s for result in results) / max(len(results), 1):.1f}",
    )
