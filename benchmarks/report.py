"""The result as one table, on the terminal and in RESULTS.md."""

import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import zmq
from rich.console import Console
from rich.table import Table

from benchmarks.processes import CORES, LOAD_CORE, ROOT, SERVICE_CORE
from benchmarks.stage import DISTURBED, HELD_LOSS, HELD_S, Row

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"

METHOD = f"""\
How it is measured:

- The load comes from a program in C (`native/load.c`): one UDP socket a member, each message numbered and stamped, and
  every receiver's sequence kept, so losses, doubles and order are counted and not estimated. Texts have 100 bytes;
  members speak the dialect `classic`, in which senders hear themselves. They join by another (`native/join.c`), each on
  a connection of its own: the room list, the room, the token.
- CPU is that of all processes of the service, gateway and broker, kernel time included, by their own clocks over
  the window. The broker keeps everything in an SQLite file. "On one core": all of the service is pinned to one core,
  the load to another and never sleeping.
- The C relay (`native/relay.c`) looks up a token's room and sends the text on: no checks, no log, no order.
  C sendmmsg (`native/sendmmsg.c`) is the bare system call in a loop. Rivals take turns in short rounds at the
  same work; ratios are taken within a round, and the median over rounds is shown: ours ÷ theirs.
- A rate is held if less than {100 * HELD_LOSS:g} % is lost and 99 in 100 deliveries come within {HELD_S:g} s.
- A run is made again if anybody else used more than {DISTURBED:g} of a core meanwhile.
"""


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(title="tsudoi", title_justify="left")
    for name in ("what", "tsudoi", "beside it"):
        table.add_column(name, overflow="fold")
    table.add_column("ratio", justify="right")
    table.add_column("note", overflow="fold")
    for row in rows:
        table.add_row(row.what, row.ours, row.beside, _ratio(row), row.note)
    console.print(table)


def write(rows: Sequence[Row], micro: Sequence[Row], foreign: Sequence[float], own_network: bool, quick: bool) -> None:
    """Write RESULTS.md."""
    lines = ["# Results", "", *_machine(own_network), ""]
    if quick:
        lines += ["A quick run: shorter windows and fewer rounds than `make bench` takes.", ""]
    lines += _markdown(rows)
    if foreign:
        lines += ["", f"Others used {sum(foreign) / len(foreign):.2f} cores on average, {max(foreign):.2f} at worst."]
    if micro:
        lines += ["", "## Parts", "", *_markdown(micro)]
    lines += ["", "## Method", "", METHOD]
    RESULTS.write_text("\n".join(lines))


def _markdown(rows: Sequence[Row]) -> list[str]:
    lines = [f"| {row.what} | {row.ours} | {row.beside} | {_ratio(row)} | {row.note} |" for row in rows]
    return ["| what | tsudoi | beside it | ratio | note |", "|---|---|---|--:|---|", *lines]


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}"


def _machine(own_network: bool) -> list[str]:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    compiler = subprocess.run(("cc", "--version"), capture_output=True, text=True, check=False).stdout.split("\n")[0]
    commit = subprocess.run(
        ("git", "describe", "--always", "--dirty", "--exclude=*"), cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyzmq", "uvloop", "msgspec"))
    network = "a network namespace of its own" if own_network else "the machine's own network namespace"
    return [
        f"- {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, commit {commit or 'unknown'}",
        f"- {model}, {len(CORES)} cores (service on {SERVICE_CORE}, load on {LOAD_CORE}), {memory:.0f} GiB,"
        f" {platform.system()} {platform.release()}",
        f"- Python {platform.python_version()}, {packages}, libzmq {zmq.zmq_version()}, {compiler}",
        f"- loopback in {network}",
        f"- `{' '.join(['python', '-m', 'benchmarks', *sys.argv[1:]])}`",
    ]
