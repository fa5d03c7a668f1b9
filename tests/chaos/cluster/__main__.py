"""`make chaos-cluster`: seeded runs of several machines, a line for each, and for one that failed its violations."""

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from tests.chaos.cluster.one_run import Outcome
from tests.chaos.cluster.plan import ClusterPlan, draw
from tests.chaos.cluster.private import privately, why_not
from tests.chaos.together import grouped

SHOWN = 2
"""Violations of one run that are printed in full."""
LIMIT_S = 180.0
COUNTED = (
    *("members", "sealed", "accepted", "surely", "posted"),
    *("received", "repeats", "commands", "takeovers", "failovers", "looks"),
)


def run_group(plans: list[ClusterPlan], lasts: float, template: Path, keep: Path) -> Iterator[Outcome]:
    """Play seeds on the same machines, in namespaces of their own; yield an outcome for each.

    Of one that fails the logs and the history are in a folder in `keep`. One that has no verdict is played once more,
    by itself: it has failed if it has none then.
    """
    for plan, outcome in zip(plans, _played(plans, lasts, template, keep), strict=True):
        if outcome.has_verdict:
            yield outcome
            continue
        for again in _played([plan], lasts, template, keep):
            again.plays = 2
            yield again


def _played(plans: list[ClusterPlan], lasts: float, template: Path, keep: Path) -> Iterator[Outcome]:
    seeds = [plan.seed for plan in plans]
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-", ignore_cleanup_errors=True) as directory:
        parameters = (",".join(map(str, seeds)), str(lasts), str(plans[0].brokers), directory, str(template), str(keep))
        command = (sys.executable, "-m", "tests.chaos.cluster.one_run", *parameters)
        try:
            done = subprocess.run(
                privately(*command),
                # Members of version 2 keep there what certificate a server showed first.
                env={**os.environ, "TMPDIR": directory, "XDG_STATE_HOME": directory},
                capture_output=True,
                check=False,
                timeout=LIMIT_S * len(seeds),
            )
            lines, ended = done.stdout.splitlines(), f"with status {done.returncode}: {done.stderr.decode()[-3000:]}"
        except subprocess.TimeoutExpired as exc:
            lines, ended = (exc.stdout or b"").splitlines(), "not in time"
    for line in lines:
        yield msgspec.json.decode(line, type=Outcome)
    for seed in seeds[len(lines) :]:
        why = f"it was not played, or to no end; the runs of {seeds} ended {ended}"
        yield Outcome(seed, failures=[why], has_verdict=False)


def line_of(outcome: Outcome) -> str:
    """Return a run on one line."""
    faults = ", ".join(f"{count} × {kind}" for kind, count in sorted(outcome.faults.items()))
    return (
        f"seed {outcome.seed} ({outcome.profile}): {len(outcome.failures)} violations, {outcome.accepted} accepted,"
        f" {outcome.posted} posted, {outcome.received} received, {outcome.repeats} repeats,"
        f" {outcome.takeovers} takeovers, {outcome.failovers} failovers, {outcome.pause_s:.1f} s longest pause,"
        f" {outcome.took_s:.1f} s; {faults}"
    )


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--runs", default=10, type=click.IntRange(1), show_default=True, help="Seeds from that one on.")
@click.option("--seconds", default=5.0, type=click.FloatRange(1), show_default=True, help="How long faults go on.")
@click.option("--brokers", default=2, type=click.IntRange(1, 3), show_default=True, help="Brokers of each run.")
@click.option(
    "--together",
    default=1,
    type=click.IntRange(1, 8),
    show_default=True,
    help="So many seeds with the same machines are played on these, one after the other.",
)
@click.option(
    "--keep", default=Path("build/chaos"), show_default=True, type=click.Path(path_type=Path), help="For failed runs."
)
def main(seed: int, runs: int, seconds: float, brokers: int, together: int, keep: Path) -> None:
    """Run brokers, gateways and PostgreSQL on several machines, which are network namespaces, under seeded faults.

    Several of these commands can run at the same time.
    """
    if why := why_not():
        sys.exit(f"network namespaces can not be made: {why}")
    # So that an interrupted run removes its files; its processes end with it anyhow.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    done: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-template-") as folder:
        plans = [draw(number, seconds, brokers) for number in range(seed, seed + runs)]
        for group in grouped(plans, together, machines_of):
            for outcome in run_group(group, seconds, Path(folder) / "database", keep.absolute()):
                done.append(outcome)
                _print(line_of(outcome))
                if outcome.failures:
                    _print(*outcome.failures[:SHOWN], "", f"The schedule of {outcome.plan}")
    for profile in sorted({outcome.profile for outcome in done}):
        _print(_summary(profile, [outcome for outcome in done if outcome.profile == profile]))
    faults: Counter[str] = Counter()
    for outcome in done:
        faults.update(outcome.faults)
    _print(_summary("all", done), ", ".join(f"{count} × {kind}" for kind, count in faults.most_common()))
    sys.exit(1 if any(outcome.failures for outcome in done) else 0)


def machines_of(plan: ClusterPlan) -> object:
    """Return what plans have in common that can be played on the same machines."""
    return plan.names, plan.databases, plan.fsync, plan.brokers


def _print(*lines: str) -> None:
    click.echo("\n".join(lines))


def _summary(about: str, outcomes: list[Outcome]) -> str:
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    again = sum(outcome.plays > 1 for outcome in outcomes)
    counts = [f"{sum(getattr(outcome, name) for outcome in outcomes):,} {name}" for name in COUNTED]
    took = sum(outcome.took_s for outcome in outcomes) / len(outcomes)
    runs = f"{len(outcomes)} runs, {failed} failed, {again} played again"
    return f"{about}: {runs}, {', '.join(counts)}, {took:.1f} s each"


if __name__ == "__main__":
    main()
