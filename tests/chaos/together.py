"""Plays several seeds one after the other on the same processes: most of a run's work is their start.

The processes of a seed go on, with its rooms and members in their memory, and the next seed finds them so. What a fault
ended for good is started again between two seeds.
"""

import asyncio
import contextlib
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from scenarios.process import ProcessError
from tests.chaos.checker import check
from tests.chaos.evidence import Verdict
from tests.chaos.faults import Faults
from tests.chaos.history import History, RoomLog, read_log
from tests.chaos.plan import OF_CLIENTS, Action, Plan
from tests.chaos.runner import Runner
from tests.chaos.servers import Servers
from tests.support.legacy.wire import Address

P = TypeVar("P", bound=Plan)
APART = 1_000
"""Clients and rooms of one seed are numbered so far from the next one's."""


class SharedServers(Servers):
    """Servers of several runs: the end of a run ends no process."""

    def __init__(self, plans: list[Plan], directory: Path) -> None:
        super().__init__(replace(plans[0], clients=[client for plan in plans for client in plan.clients]), directory)
        self.plan = plans[0]
        self._has_begun = False
        self._copy = directory / "copy.sqlite"

    async def start(self) -> None:
        """Start all, or only what does not run."""
        self.complaints = []
        if not self._has_begun:
            await super().start()
            self._has_begun = True
            return
        for process in reversed(self.processes):
            if not process.running:
                await self.start_one(process)

    async def close(self) -> None:
        """End a run: wait for what still starts."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        self._starting.clear()

    async def end(self) -> None:
        """End all processes."""
        await super().close()

    def read_log(self) -> dict[int, RoomLog]:
        """Return the rooms of the last run, out of a copy: a broker has the store open, and purges closed rooms later.

        Of an open store another connection may read, and the copy lacks nothing of what was committed before.
        """
        self._copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.store)) as source, closing(sqlite3.connect(self._copy)) as copy:
            source.backup(copy)
        return rooms_of(self.plan, read_log(self._copy))


class HeldAddresses:
    """Addresses of clients that are gone: no later client gets one, at which servers may still call a member."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    async def add(self, addresses: Iterable[Address]) -> None:
        for address in addresses:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            for _ in range(100):  # the loop closes sockets of the SDK a little later
                with contextlib.suppress(OSError):
                    # At all addresses: those of version 2 are noted as loopback's, wherever their machine is.
                    sock.bind(("", address[1]))
                    break
                await asyncio.sleep(0.01)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


class Together:
    """Plays plans with the same gateways."""

    def __init__(self, plans: list[Plan], directory: Path) -> None:
        """Args:
        plans: one of the groups that `grouped` returns.
        """
        assert len({_key_of(plan) for plan in plans}) == 1
        self._plans = [apart(plan, number * APART) for number, plan in enumerate(plans)]
        self.servers = SharedServers(self._plans, directory)
        self.histories: list[History] = []
        """Of the plans that were played."""
        self.counts = [Counter[str]() for _ in plans]
        """Fault or move → how often it was carried out, for each plan."""
        self.failures: list[list[str]] = [[] for _ in plans]
        """Why a plan has no verdict, for each."""
        self._held = HeldAddresses()

    async def run(self) -> list[str]:
        """Play all plans; return complaints about processes, which may be of any of them."""
        try:
            for number, plan in enumerate(self._plans):
                await self._play(number, plan)
        finally:
            self.servers.complaints = []
            await self.servers.end()
            self._held.close()
        return self.servers.complaints

    async def _play(self, number: int, plan: Plan) -> None:
        history = History(plan.seed, plan.names, plan.udp is not None)
        self.histories.append(history)
        self.servers.plan = plan
        runner = Runner(plan, history, self.servers, Faults(self.servers, history.outages))
        try:
            await runner.run()
        except (AssertionError, OSError, ProcessError) as exc:
            self.failures[number].append(f"the run itself failed: {exc!r}")
        await self._held.add(runner.addresses)
        self.counts[number] = runner.counts

    def verdict(self, number: int) -> Verdict:
        """Return what the checker says about a plan; nothing was compared if the run failed."""
        return Verdict() if self.failures[number] else check(self.histories[number])


def rooms_of(plan: Plan, rooms: dict[int, RoomLog]) -> dict[int, RoomLog]:
    """Return those rooms in which clients of a plan have been."""
    names = {client.name for client in plan.clients} | {member.name for member in plan.commands.members}
    return {number: room for number, room in rooms.items() if any(one.sender in names for one in room.entries)}


def grouped(plans: Iterable[P], most: int, key_of: Callable[[P], object] | None = None) -> list[list[P]]:
    """Return groups of plans that can be played on the same processes, of `most` plans at most.

    `key_of` returns what they must have in common; None: how many gateways, with which names, and whether one process.
    """
    alike: dict[object, list[P]] = {}
    for plan in plans:
        alike.setdefault((key_of or _key_of)(plan), []).append(plan)
    return [some[first : first + most] for some in alike.values() for first in range(0, len(some), most)]


def _key_of(plan: Plan) -> object:
    return plan.in_one_process, plan.names


def apart(plan: P, by: int) -> P:
    """Return a plan with other numbers of clients and rooms, so that nothing of it is taken for another one's."""
    clients = [replace(client, id=client.id + by, room=client.room + by) for client in plan.clients]
    actions = [_apart(action, by) for action in plan.actions]
    return replace(plan, clients=clients, actions=actions, commands=plan.commands.apart(by))


def _apart(action: Action, by: int) -> Action:
    if action.kind == "post":
        return replace(action, target=action.target + by, other=action.other + by)
    return replace(action, target=action.target + by) if action.kind in OF_CLIENTS else action
