"""`python -m client top`: asks /metrics of gateways and brokers again and again, and shows what they say as a table."""

import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.watch import Pair, Reading, View, view

COLUMNS = ("rooms", "members", "in/s", "out/s", "p50", "p99", "waiting", "gaps/s", "CPU", "memory")
ONLY_IF_WIDE = ("p50", "gaps/s", "memory", "CPU")
WIDE = 110
PATIENCE_S = 2.0
MAX_SIZE = 4 * 2**20


def ask(url: str) -> Reading:
    """Return the numbers at a URL; what goes wrong stands in them."""
    place = urlsplit(url)
    try:
        connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=PATIENCE_S)
        try:
            connection.request("GET", place.path or "/metrics")
            answer = connection.getresponse()
            raw = answer.read(MAX_SIZE)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as exc:
        why = "no answer in time" if isinstance(exc, socket.timeout) else getattr(exc, "strerror", None) or str(exc)
        return Reading(time.monotonic(), {}, why or type(exc).__name__)
    if answer.status != 200:
        return Reading(time.monotonic(), {}, f"HTTP {answer.status}")
    return Reading.parse_untrusted(raw.decode(errors="replace"), time.monotonic())


def watch(urls: list[str], interval_s: float, once: bool, console: Console) -> bool:
    """Show a table, new each `interval_s`, until interrupted; with `once`, print one.

    Returns:
        Whether all answered.
    """
    with ThreadPoolExecutor(min(len(urls), 16), "ask") as askers:
        readings = dict(zip(urls, askers.map(ask, urls), strict=True))

        def look() -> Group:
            time.sleep(interval_s)
            views = []
            for url, now in zip(urls, askers.map(ask, urls), strict=True):
                views.append(view(urlsplit(url).netloc, Pair(readings[url], now)))
                readings[url] = now
            return table(views, console.width)

        if once:
            console.print(look())
            return all(reading.program for reading in readings.values())
        with Live(Text("asking…"), console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(look(), refresh=True)


def table(views: list[View], width: int = WIDE) -> Group:
    """Return what a terminal of so many columns shows of some processes."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    columns = [column for column in COLUMNS if width >= WIDE or column not in ONLY_IF_WIDE]
    for heading in ("", "where", "state"):
        shown.add_column(heading, no_wrap=True)
    for heading in columns:
        shown.add_column(heading, justify="right", no_wrap=True)
    notes = []
    for row in views:
        state = Text("?" if not row.program else row.state, "green" if row.state == "ok" else "bold red")
        cells = _cells(row) if row.program else {}
        shown.add_row(row.program, Text(row.name), state, *(cells.get(column, "") for column in columns))
        if not row.program:
            notes.append(Text(f"{row.name}: {row.state}", "red"))
        elif row.drops:
            drops = ", ".join(f"{reason} {count:,.0f}" for reason, count in sorted(row.drops.items()))
            notes.append(Text(f"{row.name} dropped: {drops}", "yellow"))
    return Group(shown, *notes)


def _cells(row: View) -> dict[str, str]:
    cells = {
        "rooms": f"{row.rooms:,.0f}",
        "members": f"{row.members:,.0f}",
        "in/s": f"{row.per_second_in:,.0f}",
        "p50": _time(row.p50_s),
        "p99": _time(row.p99_s),
        "waiting": f"{row.waiting:,.0f}",
        "CPU": f"{row.cpu:.0%}",
        "memory": f"{row.memory / 2**20:,.0f} MiB",
    }
    if row.program == "gateway":
        cells |= {"out/s": f"{row.per_second_out:,.0f}", "gaps/s": f"{row.repairs:,.1f}"}
    return cells


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds == float("inf"):
        return "> 5 s"
    return f"< {seconds * 1000:g} ms" if seconds < 1 else f"< {seconds:g} s"
