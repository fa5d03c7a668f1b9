"""The measurements on PostgreSQL: each starts its servers, brokers and gateways, and returns its rows."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import p50, p99
from benchmarks.cluster.growth import growth
from benchmarks.cluster.load import Talk, Talkers
from benchmarks.cluster.servers import Broker, Gateway, Together, database, members
from benchmarks.cluster.takeover import large_shard, spread, takeover
from benchmarks.joining import seats
from benchmarks.runner import Row, Runner, median_of

GOAL = 50_000
"""Messages a second that one broker must keep."""
EACH = 25_000
"""Messages a second for each of two brokers."""


def throughput(runner: Runner) -> list[Row]:
    """How many messages one broker keeps, beside the same broker on a file."""
    rates = (1_000, 10_000, GOAL)
    runs: dict[tuple[str, int], list[Talk]] = {}
    with TemporaryDirectory() as folder, database() as base:
        stores: list[tuple[str, Path | str]] = [("PostgreSQL", base.url), ("SQLite", Path(folder, "rooms.sqlite"))]
        for _ in range(runner.rounds):
            for name, store in stores:
                # One at a time, so that neither works for the other's leases and canaries.
                with Broker(store) as broker, Talkers([broker]) as load:
                    for rate in rates:
                        there = base if name == "PostgreSQL" else None
                        with runner.watch(broker, load, base):
                            made = load.talk(rate, runner.pick(5.0, 1.0), there)
                        runner.log(f"{name} {made}")
                        runs.setdefault((name, rate), []).append(made)
    return [_kept(rate, runs["PostgreSQL", rate], runs["SQLite", rate]) for rate in rates]


def _kept(rate: int, ours: list[Talk], beside: list[Talk]) -> Row:
    kept, commits = _median(ours, "accepted"), _median(ours, "commits")
    note = (
        f"{_median(ours, 'database_us'):.1f} µs in the two PostgreSQL servers;"
        f" p50 {_median(ours, 'p50_ms'):.1f} ms, p99 {_median(ours, 'p99_ms'):.0f} ms from gateway to gateway;"
        f" a commit takes {_median(ours, 'commit_ms'):.1f} ms, {_median(ours, 'wal_bytes'):.0f} bytes of WAL a message"
    )
    return Row(
        f"one broker, {rate:,} messages/s of 4 gateways in 200 rooms",
        f"{kept:,.0f} messages/s in {commits:,.0f} commits/s, {_median(ours, 'broker_us'):.1f} µs CPU of the broker",
        f"SQLite {_median(beside, 'accepted'):,.0f} messages/s in {_median(beside, 'commits'):,.0f},"
        f" {_median(beside, 'broker_us'):.1f} µs",
        statistics.median(a.broker_us / b.broker_us for a, b in zip(ours, beside, strict=True)),
        note if all(each.is_complete for each in ours) else f"{note}; not all was accepted in time",
        "pg rate" if rate == GOAL else "",
        kept if rate == GOAL and commits <= 1_000 else None,
    )


def quiet(runner: Runner) -> list[Row]:
    """How long a lone message takes through gateway and broker, beside the same on a file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        base = stack.enter_context(database())
        loads = []
        for store in (base.url, folder / "rooms.sqlite"):
            broker = stack.enter_context(Broker(store))
            gateway = stack.enter_context(Gateway([broker]))
            load = stack.enter_context(members(gateway, seats(1, 2)))
            loads.append((load, Together([gateway, broker, base])))
        runs = runner.turns(loads, 40, runner.pick(5.0, 2.0))
    rows = []
    for name, figure in (("p50", p50), ("p99", p99)):
        ours, beside = (median_of(made, figure) / 1e3 for made in runs)
        above = statistics.median(figure(a) - figure(b) for a, b in zip(*runs, strict=True)) / 1e3
        rows.append(
            Row(
                f"two members in a quiet room, latency {name}",
                f"{ours:.2f} ms",
                f"SQLite {beside:.2f} ms",
                ours / beside,
                f"{above:.2f} ms above; 40 messages/s; {runs[0][-1].verdict}",
                f"pg {name}",
                above if name == "p50" else ours,
            )
        )
    return rows


def second_broker(runner: Runner) -> list[Row]:
    """What a message costs one broker, and two with twice as many messages."""
    runs: list[list[Talk]] = [[], []]
    with database() as base:
        for _ in range(runner.rounds):
            with Broker(base.url) as one, ExitStack() as stack:
                brokers = [one]
                for number, made in enumerate(runs, 1):
                    if number == 2:
                        brokers.append(stack.enter_context(Broker(base.url)))
                    spread(brokers)
                    with Talkers(brokers) as load, runner.watch(*brokers, load, base):
                        made.append(load.talk(number * EACH, runner.pick(5.0, 1.0), base))
                    runner.log(f"{number} brokers {made[-1]}")
    one_us, two_us = (_median(made, "broker_us") for made in runs)
    kept = [_median(made, "accepted") for made in runs]
    return [
        Row(
            f"two brokers, {EACH:,} messages/s each, of 4 gateways in 200 rooms",
            f"{two_us:.1f} µs CPU of the brokers a message, {kept[1]:,.0f} messages/s",
            f"one broker {one_us:.1f} µs, {kept[0]:,.0f} messages/s",
            statistics.median(2 * a.broker_us / b.broker_us for a, b in zip(*runs, strict=True)),
            "what two carry ÷ what one carries, if each has a core: 2 × one's CPU a message ÷ two's; derived, as the"
            f" load needs a core; {_median(runs[1], 'database_us'):.1f} µs in the two PostgreSQL servers"
            f" (one broker: {_median(runs[0], 'database_us'):.1f})"
            + ("" if all(run.is_complete for made in runs for run in made) else "; not all was accepted in time"),
            "pg brokers",
        )
    ]


def _median(runs: Sequence[Talk], name: str) -> float:
    return float(statistics.median(getattr(run, name) for run in runs))


CASES: dict[str, Callable[[Runner], list[Row]]] = {
    "throughput": throughput,
    "quiet": quiet,
    "brokers": second_broker,
    "takeover": takeover,
    "shard": large_shard,
    "growth": growth,
}
