"""`make chaos`: seeded runs, a table of them, and for a run that failed its violations and its schedule."""

import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.chaos.groups import Result, run_groups
from tests.chaos.plan import draw
from tests.chaos.together import grouped

SHOWN = 5
"""Violations of one run that are printed in full."""
COUNTED = ("members", "accepted", "received", "repeats", "commands")


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
@click.option(
    "--at-once",
    default=1,
    type=click.IntRange(1),
    show_default=True,
    help="So many seeds, or groups of seeds played together, run at the same time.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="A directory for the histories of runs that fail.")
def main(seed: int, runs: int, seconds: float, together: int, at_once: int, keep: Path | None) -> None:
    """Run real processes under faults that the seed decides, and check that nothing accepted is lost or doubled.

    Several of these commands can run at the same time.
    """
    console = Console()
    done: list[Result] = []
    plans = [draw(number, seconds) for number in range(seed, seed + runs)]
    groups = grouped(plans, together)
    for results in track(run_groups(groups, keep, at_once), "chaos", len(groups), console=console):
        for result in results:
            done.append(result)
            if result.failures:
                _tell(console, result)
    console.print(_table(done))
    sys.exit(1 if any(result.failures for result in done) else 0)


def _tell(console: Console, result: Result) -> None:
    seed = result.plan.seed
    console.rule(f"seed {seed}: {len(result.failures)} violations")
    told = [*result.failures[:SHOWN], f"\nThe schedule of {result.plan}", f"Again: make chaos SEED={seed} RUNS=1"]
    if before := [other for other in result.with_seeds if other != seed]:
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
        faults["played again"] += result.plays - 1
    table.caption = ", ".join(f"{count} × {kind}" for kind, count in faults.most_common() if count)
    return table


def _add_row(table: Table, name: str, results: list[Result]) -> None:
    counts = [len(results), sum(bool(result.failures) for result in results)]
    counts += [sum(getattr(result.verdict, field) for result in results) for field in COUNTED]
    table.add_row(name, *(f"{count:,}" for count in counts), f"{sum(one.took_s for one in results) / len(results):.1f}")


if __name__ == "__main__":
    main()
