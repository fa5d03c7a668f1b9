"""The result as one table, on the terminal and in RESULTS.md."""

import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence, Set
from importlib.metadata import version
from pathlib import Path

import zmq
from rich.console import Console
from rich.table import Table

from benchmarks.peers import SERVERS_PLOT
from benchmarks.plot import draw
from benchmarks.processes import CORES, LOAD_CORE, ROOT, SERVICE_CORE
from benchmarks.runner import DISTURBED, HELD_LOSS, HELD_S, Row, Runner

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
CLUSTER = "## Several brokers, on PostgreSQL"
"""The section that `python -m benchmarks.cluster` writes; the other command keeps it."""
EARLIER = "## Not measured again"
_HEAD = ["| what | tsudoi | beside it | ratio | target | held | note |", "|---|---|---|--:|---|---|---|"]
PLOT = "servers.svg"

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
  C sendmmsg (`native/sendmmsg.c`) is the bare system call in a loop. The C write loop (`native/writes.c`)
  is that for TCP. The server that does nothing (`native/nothing.c`)
  answers all who join with one constant list and token: what the connections alone cost.
- Rivals take turns in short rounds at the same work; ratios are taken within a round, and the median over rounds is
  shown: ours ÷ theirs.
- A rate is held if less than {100 * HELD_LOSS:g} % is lost and 99 in 100 deliveries come within {HELD_S:g} s.
- A run is made again if anybody else used more than {DISTURBED:g} of a core meanwhile.
"""


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(title="tsudoi", title_justify="left")
    for name in ("what", "tsudoi", "beside it"):
        table.add_column(name, overflow="fold")
    table.add_column("ratio", justify="right")
    for name in ("target", "held", "note"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def write(rows: Sequence[Row], runner: Runner, own_network: bool, *, is_all: bool) -> None:
    """Write RESULTS.md and its plot; unless this `is_all`, rows that were not measured stay, with their date."""
    page, kept = _parts()
    earlier = [] if is_all else earlier_rows(page, {row.what for row in rows})
    lines = ["# Results", "", *machine(own_network), ""]
    if runner.quick:
        lines += ["A quick run: shorter windows and fewer rounds than `make bench` takes.", ""]
    lines += _markdown(rows)
    if runner.foreign:
        mean, most = sum(runner.foreign) / len(runner.foreign), max(runner.foreign)
        lines += ["", f"Others used {mean:.2f} cores on average, {most:.2f} at worst."]
    if runner.bars:
        draw(RESULTS.with_name(PLOT), SERVERS_PLOT, runner.bars, "the other server")
    if runner.bars or not is_all:
        lines += ["", f"![{SERVERS_PLOT}]({PLOT})"]
    lines += _not_held(rows)
    lines += [*earlier, "", "## Method", "", METHOD]
    RESULTS.write_text("\n".join(lines) + kept)


def write_cluster(rows: Sequence[Row], method: str, own_network: bool) -> None:
    """Write the section of RESULTS.md about several brokers, and keep the rest of the page."""
    kept, _ = _parts()
    about = machine(own_network, "benchmarks.cluster")
    lines = [CLUSTER, "", *about, "", *_markdown(rows), *_not_held(rows, "###"), "", method]
    RESULTS.write_text(kept + "\n".join(lines))


def earlier_rows(page: str, again: Set[str]) -> list[str]:
    """Return sections with the rows of a page that were not measured `again`, each with its date and machine.

    What the page says of such rows that are not held comes too.
    """
    lines: list[str] = []
    about: list[str] = []
    heading, is_first = "", True
    for line in page.splitlines():
        if line.startswith("#"):
            heading, is_first = line, True
        if line.startswith("- ") and heading != "## Method":
            about, is_first = [line] if is_first else [*about, line], False
        if line.startswith("**") and lines and not again >= set(re.findall(r"\*\*(.+?)\*\*", line)):
            lines += ["", line]
        what = line.removeprefix("| ").partition(" | ")[0]
        if not line.startswith("| ") or what == "what" or what in again:
            continue
        date = about[0].removeprefix("- ") if about else ""
        title = f"{EARLIER}: {date.partition(',')[0]}"
        if f"\n{title}\n" not in "\n".join(["", *lines]):
            lines += ["", title, "", *about, "", *_HEAD]
        lines.append(line)
    return lines


def _parts() -> tuple[str, str]:
    """Return RESULTS.md before the section about several brokers, and that section."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    before, heading, section = text.partition(f"\n{CLUSTER}")
    return before + "\n", heading + section


def _not_held(rows: Sequence[Row], level: str = "##") -> list[str]:
    """Say of each target that is not held what stands in the way; rows with the same reason share it."""
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        if row.target is not None and row.held is False:
            reasons.setdefault(row.target.why_not, []).append(row)
    if not reasons:
        return []
    lines = ["", f"{level} Not held", "", "Where the time goes is from profiles (py-spy) of 2026-11-28 and 29."]
    for why_not, missed in reasons.items():
        names = "; ".join(f"**{row.what}** ({_reading(row)}; target {row.target.text})" for row in missed if row.target)
        lines += ["", f"{names}: {why_not}"]
    return lines


def _reading(row: Row) -> str:
    return row.ours if row.ratio is None or row.figure is not None else f"{row.ratio:.2f}"


def _markdown(rows: Sequence[Row]) -> list[str]:
    lines = [f"| {' | '.join(_cells(row))} |" for row in rows]
    return [*_HEAD, *lines]


def _cells(row: Row) -> tuple[str, ...]:
    target = row.target.text if row.target else ""
    held = "" if row.held is None else "yes" if row.held else "no"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.what, row.ours, row.beside, ratio, target, held, row.note


def machine(own_network: bool, program: str = "benchmarks") -> list[str]:
    """Return lines that say when, on which machine, with which versions and by which command was measured."""
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
        f"- `{' '.join(['python', '-m', program, *sys.argv[1:]])}`",
    ]
