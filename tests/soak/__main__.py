"""`make soak`: rooms come and go while others talk on; memory and files must stay as they are."""

import asyncio
import itertools
import os
import platform
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.clients import ChaosClient
from tests.chaos.plan import ClientPlan
from tests.soak.fit import MAY_GROW, MAY_GROW_MIB, WARM_UP, Trend, trend
from tests.soak.sealed import SealedMember
from tests.support.legacy.wire import Address
from tests.support.services import ROOT, Broker, Gateway
from tsudoi import Event, Gap, Message, Reset, Server

DIALECTS = ("tsudoi", "tcrp-success", "tcrp-ok")
TALKING_ROOMS, TALKERS, TALK_S = 4, 4, 0.1
MOVE_ROUNDS = 50
"""After so many rounds of a talking room its members of version 2 go on at the other gateway."""
PASSING_ROOMS, GUESTS, LINES, LINE_S = 8, 3, 20, 0.05
LOG_ENTRIES = 2_000
"""Small, so that the logs of the rooms that stay are full long before the end of the warm-up."""
MIB = 2**20


Member = ChaosClient | SealedMember


class Soak:
    """The load, and what was measured under it. Every second member is one of version 2."""

    def __init__(self, gateways: list[Gateway]) -> None:
        self.heard = self.sealed = self.said = self.rooms = self.refused = self.moves = self.missed = 0
        self.ended = False
        self._gateways = gateways
        self._numbers = itertools.count(1)
        self._dice = random.Random(1)

    async def run(self) -> None:
        """Make the load until `ended`."""
        async with asyncio.TaskGroup() as self._group:
            for number in range(TALKING_ROOMS):
                self._group.create_task(self._talk(f"stays{number}"))
            for _ in range(PASSING_ROOMS):
                self._group.create_task(self._pass())

    def _heard(self, at: float, client: int, raw: bytes, source: Address, port: int) -> None:
        self.heard += 1

    def _heard_sealed(self, event: Event) -> None:
        self.sealed += isinstance(event, Message)
        self.missed += isinstance(event, Gap | Reset)

    async def _enter(self, room: str, host: bool) -> Member | None:
        number, at = next(self._numbers), self._dice.randrange(len(self._gateways))
        member: Member | None
        if number % 2:
            listeners = [gateway.listener("tsudoi") for gateway in self._gateways[at:] + self._gateways[:at]]
            servers = [Server(*listener.tcp, udp=listener.udp[1]) for listener in listeners]
            member = await SealedMember.enter(room, f"sealed{number}", host, servers, self._group, self._heard_sealed)
        else:
            member = await self._enter_legacy(
                ClientPlan(number, self._dice.choice(DIALECTS), 0, at, host, 0.0, True), room
            )
        self.refused += member is None
        return member

    async def _enter_legacy(self, plan: ClientPlan, room: str) -> ChaosClient | None:
        client = ChaosClient(plan, room, None, self._heard, lambda *_: None)
        listener = self._gateways[plan.gateway].listener(plan.dialect)
        if await client.enter(listener, [gateway.udp for gateway in self._gateways]):
            return client
        client.close()
        return None

    async def _company(self, room: str, guests: int) -> list[Member]:
        found = [await self._enter(room, True)]
        if found[0] is not None:
            found += [await self._enter(room, False) for _ in range(guests)]
        return [client for client in found if client is not None]

    async def _talk(self, room: str) -> None:
        """A room that stays: its log is trimmed, its members are the same all the time."""
        clients = await self._company(room, TALKERS - 1)
        for round_ in itertools.count(1):
            if self.ended:
                break
            for client in clients:
                self._say(client)
                if round_ % MOVE_ROUNDS == 0 and isinstance(client, SealedMember):
                    client.move()
                    self.moves += 1
            await asyncio.sleep(TALK_S)
        for client in clients:
            client.close()

    async def _pass(self) -> None:
        """One room after another; in every second one the guests leave first, else the host closes it."""
        while not self.ended:
            number = next(self._numbers)
            clients = await self._company(f"passes{number}", GUESTS)
            for _ in range(LINES):
                for client in clients:
                    self._say(client)
                await asyncio.sleep(LINE_S)
            for client in clients[::-1] if number % 2 else clients[:1]:
                client.leave()
            await asyncio.sleep(LINE_S)
            for client in clients:
                client.close()
            self.rooms += bool(clients)

    def _say(self, client: Member) -> None:
        client.say()
        self.said += 1


def resident_mib(pid: int) -> float:
    """Return the memory that a process really has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / MIB


def file_mib(store: Path) -> float:
    """Return the size of a store with what belongs to it."""
    return sum(path.stat().st_size for path in store.parent.glob(f"{store.name}*")) / MIB


@click.command()
@click.option("--minutes", default=10.0, type=click.FloatRange(0.2), show_default=True)
@click.option("--out", default=ROOT / "docs" / "soak.md", type=click.Path(path_type=Path), show_default=True)
def main(minutes: float, out: Path) -> None:
    """Let rooms come and go, sample memory and files, and say whether they stayed as they were."""
    console = Console()
    series: dict[str, list[float]] = {}
    times: list[float] = []
    with ExitStack() as stack:
        store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tsudoi-soak-"))) / "soak.sqlite"
        broker = stack.enter_context(Broker(store, "--log-entries", str(LOG_ENTRIES)))
        gateways = [stack.enter_context(Gateway(broker=broker, dialects=DIALECTS)) for _ in range(2)]
        soak = Soak(gateways)
        pids = {"broker": broker.pid} | {f"gateway {number}": one.pid for number, one in enumerate(gateways, 1)}
        pids["all clients"] = os.getpid()
        progress = stack.enter_context(
            Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console)
        )
        bar = progress.add_task("soak", total=minutes * 60)

        async def sample() -> None:
            start = time.monotonic()
            while (now := time.monotonic() - start) < minutes * 60:
                times.append(now)
                for name, pid in pids.items():
                    series.setdefault(f"{name}, memory", []).append(resident_mib(pid))
                series.setdefault("store, files", []).append(file_mib(store))
                progress.update(bar, completed=now)
                await asyncio.sleep(max(1.0, minutes * 60 / 200))
            progress.update(bar, completed=minutes * 60)
            soak.ended = True

        async def both() -> None:
            await asyncio.gather(soak.run(), sample())

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(both())
    trends = {name: trend(times, sizes) for name, sizes in series.items()}
    console.print(_table(trends))
    told = (
        f"{soak.rooms} rooms came and went, {soak.said:,} messages were sent; legacy clients received {soak.heard:,}"
        f" datagrams, members of version 2 {soak.sealed:,} messages with {soak.missed} gaps, in {soak.moves} moves"
    )
    console.print(told + (f", {soak.refused} could not enter" if soak.refused else ""))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(_page(trends, minutes, len(times), told))
    sys.exit(0 if all(found.is_flat for found in trends.values()) and not soak.refused and not soak.missed else 1)


HEADINGS = ("MiB", "at the start", "at the end", "least", "most", "mean", "grew", "flat")


def _cells(name: str, found: Trend) -> list[str]:
    numbers = (found.first, found.last, found.least, found.most, found.mean, found.grew)
    return [name, *(f"{number:.1f}" for number in numbers), "yes" if found.is_flat else "NO"]


def _table(trends: dict[str, Trend]) -> Table:
    table = Table(title="soak")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "MiB" else "right")
    for name, found in trends.items():
        table.add_row(*_cells(name, found))
    return table


def _page(trends: dict[str, Trend], minutes: float, samples: int, told: str) -> str:
    rows = "\n".join(f"| {' | '.join(_cells(name, found))} |" for name, found in trends.items())
    return f"""# Soak

Written by `make soak MINUTES={minutes:g}`: one broker on a SQLite file, two gateways.
{TALKING_ROOMS} rooms talk all the time; {PASSING_ROOMS} others at a time are created, used and closed, again and again.
Every second member is the SDK, and in rooms that stay changes gateways; the others speak three dialects.
A room's log keeps {LOG_ENTRIES:,} entries. {told}.

{samples} samples; the first {WARM_UP:.0%} of the time is warm-up and not judged. *Grew* is the rise of a straight line
through the rest; up to {MAY_GROW:.0%} of the mean or {MAY_GROW_MIB:g} MiB count as flat.

| {" | ".join(HEADINGS)} |
|---|{"---:|" * (len(HEADINGS) - 1)}
{rows}

{platform.system()} {platform.release()}, Python {platform.python_version()}, {_cores()} cores.
"""


def _cores() -> int:
    return len([line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])


main()
