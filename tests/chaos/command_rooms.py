"""Plays the rooms of commands of a run, and waits at its end until their members agree."""

import asyncio
import time

import tsudoi
from tests.chaos.command_clients import CommandClient, Stay
from tests.chaos.command_plan import CommandPlan, Step
from tests.chaos.servers import COMMANDING, Stage
from tests.chaos.settling import at_rest
from tests.support.legacy.wire import Address


class CommandRooms:
    """All members of rooms of commands."""

    def __init__(self, plan: CommandPlan, stays: dict[int, list[Stay]], stage: Stage, udp: list[Address]) -> None:
        """Args:
        stays: takes each member's memberships.
        udp: where datagrams for each gateway go.
        """
        self.clients = {each.id: CommandClient(each, stays.setdefault(each.id, []), self) for each in plan.members}
        self.addresses: set[Address] = set()
        """Those of all sockets that were opened."""
        self.complaints: list[str] = []
        """Faults of the clients' own."""
        self._plan, self._stage, self._udp = plan, stage, udp

    @property
    def servers(self) -> list[tsudoi.Server]:
        return [
            tsudoi.Server(*self._stage.listener(number, COMMANDING).tcp, udp=udp)
            for number, (_, udp) in enumerate(self._udp)
        ]

    def server_of(self, gateway: int) -> tsudoi.Server | None:
        """Return where a gateway is; None: it does not run."""
        return self.servers[gateway] if self._stage.is_up(gateway) else None

    async def play(self) -> None:
        """Take all steps, each at its time."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for step in self._plan.steps:
            await asyncio.sleep(max(0.0, start + step.at - loop.time()))
            self._taker(step).take(step)

    def _taker(self, step: Step) -> CommandClient:
        client = self.clients[step.member]
        hosts = [
            each for each in self.clients.values() if each.plan.room == client.plan.room and each.is_in and each.is_host
        ]
        return hosts[0] if step.by_host and hosts else client

    async def settle(self, patience_s: float) -> list[str]:
        """Let all say something that reaches all; return complaints of what does not within `patience_s`."""
        for client in self.clients.values():
            client.wake()
        if stuck := await at_rest(self._open, patience_s):
            waits = [f"member {member} waits for an answer after all faults are over" for member in stuck]
            return [*self.complaints, *waits]
        marks = {one.plan.id: one.mark() for one in self._inside()}
        deadline = time.time() + patience_s
        apart = self._apart(marks)
        while apart and time.time() < deadline:
            await asyncio.sleep(0.02)
            apart = self._apart(marks)
        return [*self.complaints, *apart]

    def _open(self) -> dict[int, int]:
        return {one.plan.id: len(one.tasks) for one in self.clients.values() if one.tasks}

    def _inside(self) -> list[CommandClient]:
        return [client for client in self.clients.values() if client.is_in]

    def _apart(self, marks: dict[int, tsudoi.Line]) -> list[str]:
        """Return how the members of each room stand that do not agree on all that was said."""
        rooms: dict[str, list[CommandClient]] = {}
        for client in self._inside():
            rooms.setdefault(client.plan.room_name, []).append(client)
        standing = []
        for room, clients in rooms.items():
            said = [marks[one.plan.id].offset or 0 for one in clients if one.plan.id in marks]
            places = {one.position for one in clients}
            if len(places) > 1 or min(places)[1] < max(said, default=0) or any(one.waiting for one in clients):
                places_of = {one.plan.id: (*one.position, one.waiting) for one in clients}
                standing.append(f"{room}: members do not agree after all faults are over: {places_of}")
        return standing

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
