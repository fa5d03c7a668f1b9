"""`python -m benchmarks.cluster`: the command line."""

import signal
import sys
import time

import click
from rich.console import Console

from benchmarks import own_network, report
from benchmarks.cluster.cases import CASES
from benchmarks.processes import ROOT, BenchmarkError, build, wait_until_quiet
from benchmarks.runner import Row, Runner
from tsudoi.ops.command_line import OneLineCommand

METHOD = """\
How it is measured:

- PostgreSQL is a primary and one standby named in `synchronous_standby_names`, on loopback and one disk, with fsync at
  both. Brokers, gateways, PostgreSQL and the load share the cores of this machine, and none is pinned.
- Rows "one broker" and "two brokers": the load is gateways without clients (`cluster/talkers.py`). They are the
  gateway's own link code and speak its frames over ZeroMQ; each room has a member at two of them, texts have 100 bytes.
  A message counts when the broker has acknowledged it. Commits and their time are the broker's own `/metrics`.
- The other rows: members are sockets of `native/load.c`, as in the rows above.
- Rivals take turns; medians over rounds are shown. CPU is by the processes' own clocks.
"""


@click.command("benchmarks.cluster", cls=OneLineCommand)
@click.option("--quick", is_flag=True, help="Shorter windows, fewer rounds.")
@click.option("--only", multiple=True, type=click.Choice([*CASES]), help="Nothing but this; may be repeated.")
@click.option("--host-network", is_flag=True, help="Stay in this network namespace, with its firewall's rules.")
@click.option("--keep", is_flag=True, help="Do not write RESULTS.md.")
@click.option("--verbose", is_flag=True, help="Print each run.")
def main(quick: bool, only: tuple[str, ...], host_network: bool, keep: bool, verbose: bool) -> None:
    """Measure brokers on PostgreSQL, and write their section of benchmarks/RESULTS.md."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    is_apart = not host_network and own_network.enter("benchmarks.cluster")
    console = Console()
    runner = Runner(quick, lambda line: console.print(line, markup=False, soft_wrap=True) if verbose else None)
    rows: list[Row] = []
    try:
        build("load")
        build("join")
        for name in only or CASES:
            if not quick:
                wait_until_quiet()
            first, at = len(runner.foreign), time.monotonic()
            rows += [runner.marked(row, first) for row in CASES[name](runner)]
            runner.log(f"{name} took {time.monotonic() - at:.0f} s")
    except BenchmarkError as exc:
        console.print(f"benchmarks: {exc}", markup=False)
        sys.exit(1)
    report.show(console, rows)
    if not keep:
        report.write_cluster(rows, METHOD, is_apart)
        console.print(f"written to {report.RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
