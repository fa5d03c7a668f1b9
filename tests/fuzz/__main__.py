"""`make fuzz`: every target for its part of the time, one after the other or some at once; ends with a table.

An input that makes a target fail is left in `build/fuzz/findings`, with what was raised before the table.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.fuzz import kept
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS
from tests.support.services import ROOT

WORK = ROOT / "build" / "fuzz"
FINDINGS = WORK / "findings"
MAX_LEN = 4_096
SLOW_S = 5
"""An input that takes longer is a finding."""
MEMORY_MB = 1_024
NOT_HERE = "make fuzz needs atheris, which there is for Linux on x86-64 with Python 3.11 to 3.14; not here"


@dataclass
class Outcome:
    """What came of a target."""

    target: str
    runs: int
    seconds: float
    edges: int
    inputs: int
    report: str
    """What was raised; empty if nothing was."""


def libfuzzer(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.one", target, *arguments]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def fuzz(target: str, seconds: float) -> Outcome:
    """Fuzz a target, from what is kept, its seeds and what was found here before."""
    corpus = WORK / target
    corpus.mkdir(parents=True, exist_ok=True)
    for data in [*kept.inputs(target), *seeds(target)]:
        (corpus / kept.name_of(data)).write_bytes(data)
    done = libfuzzer(
        target,
        str(corpus),
        f"-max_total_time={max(round(seconds), 1)}",
        f"-max_len={MAX_LEN}",
        f"-timeout={SLOW_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={FINDINGS}/{target}-",
        "-print_final_stats=1",
        "-use_value_profile=1",
    )
    numbers = {name: float(number) for name, number in re.findall(r"stat::(\w+):\s+(\d+)", done.stdout)}
    took = re.search(r"Done \d+ runs in (\d+) second", done.stdout)
    edges = re.findall(r"cov: (\d+)", done.stdout)
    return Outcome(
        target,
        int(numbers.get("number_of_executed_units", 0)),
        float(took[1]) if took else seconds,
        int(edges[-1]) if edges else 0,
        len(list(corpus.iterdir())),
        done.stdout[-3_000:] if done.returncode else "",
    )


def minimise(outcome: Outcome) -> None:
    """Keep the fewest inputs that reach as much as all that were found; if nothing was raised."""
    if outcome.report:
        return
    target = outcome.target
    with tempfile.TemporaryDirectory() as folder:
        done = libfuzzer(target, "-set_cover_merge=1", f"-max_len={MAX_LEN}", folder, str(WORK / target))
        found = [path.read_bytes() for path in Path(folder).iterdir()]
    if done.returncode or not found:
        outcome.report = f"it could not be minimised:\n{done.stdout[-2_000:]}"
    else:
        kept.keep(target, found)


def show(outcomes: list[Outcome]) -> None:
    """Print the table."""
    table = Table("target", "executions", "a second", "edges", "inputs", "kept", "")
    for each in outcomes:
        speed = f"{each.runs / max(each.seconds, 1):,.0f}"
        result = "FOUND SOMETHING" if each.report else ""
        count = str(len(kept.inputs(each.target)))
        table.add_row(each.target, f"{each.runs:,}", speed, str(each.edges), str(each.inputs), count, result)
    Console().print(table)


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="For all together.")
@click.option("--target", "only", type=click.Choice(list(TARGETS)), multiple=True, help="This one; may be repeated.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="So many at once.")
@click.option("--keep", is_flag=True, help="Put the fewest inputs that reach as much as all into tests/fuzz/corpus.")
def main(minutes: float, only: tuple[str, ...], jobs: int, keep: bool) -> None:
    """Fuzz all that reads what others wrote."""
    if importlib.util.find_spec("atheris") is None:
        raise click.ClickException(NOT_HERE)
    FINDINGS.mkdir(parents=True, exist_ok=True)
    names = only or tuple(TARGETS)
    seconds = minutes * 60 * jobs / len(names)
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(lambda name: fuzz(name, seconds), names))
        if keep:
            list(pool.map(minimise, outcomes))
    for each in outcomes:
        if each.report:
            click.echo(f"--- {each.target} ---\n{each.report}")
    show(outcomes)
    sys.exit(any(each.report for each in outcomes))


if __name__ == "__main__":
    main()
