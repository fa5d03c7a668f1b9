"""Carries a plan out with real processes, waits until all have recovered, and returns the history."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Self

from tests.chaos.clients import KINDS, ChaosClient, text_of
from tests.chaos.command_rooms import CommandRooms
from tests.chaos.faults import Faults
from tests.chaos.history import History, Member, Recording, take_names
from tests.chaos.plan import OF_CLIENTS, SEALED, Action, ClientPlan, Plan
from tests.chaos.sealed_clients import SealedChaosClient, SealedSeen
from tests.chaos.servers import Injector, Servers, Stage
from tests.chaos.settling import SETTLE_S, Settling
from tests.support.legacy.wire import Address, Listener
from tests.support.udp_relay import UdpRelay

ATTEMPTS = 3
"""How often a client tries to enter before anything happens: on a busy machine a broker may lose its lease then."""
LOOK_S = 0.1
HASTY = frozenset({"tcrp-200"})
"""Clients that read each reply with one `recv`: where two come together, as on a busy machine, they start over."""


class Runner:
    def __init__(
        self, plan: Plan, history: History, servers: Stage, faults: Injector, settle_s: float = SETTLE_S
    ) -> None:
        """Args:
        faults: carries out all actions that are not a client's, and appends to the history's outages.
        settle_s: how long it may take after all faults until a message reaches everyone.
        """
        self.plan = plan
        self.history = history
        self._servers = servers
        self._faults = faults
        self._settle_s = settle_s
        self.counts = faults.counts
        """Fault or move → how often it was carried out."""
        self._recording = Recording(self.history)
        self._relays: list[UdpRelay] = []
        self._clients: dict[int, ChaosClient | SealedChaosClient] = {}
        self._commands: CommandRooms | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def of_processes(cls, plan: Plan, directory: Path) -> Self:
        """Return a run on this machine, with its files in a directory."""
        history = History(plan.seed, plan.names, plan.udp is not None)
        servers = Servers(plan, directory)
        return cls(plan, history, servers, Faults(servers, history.outages))

    @property
    def addresses(self) -> set[Address]:
        """All addresses of this run to which a gateway may have sent something."""
        relayed = [address for relay in self._relays for address in relay.addresses]
        return {*self._recording.client_at, *relayed, *(self._commands.addresses if self._commands else ())}

    async def run(self) -> History:
        """Carry the plan out and return the history; the processes have ended then."""
        watch = asyncio.create_task(self._watch())
        try:
            await self._open()
            await self._act()
            # Some of these start a process again.
            await asyncio.gather(*self._tasks)
            for relay in self._relays:
                relay.faulty = False
            await self._settle()
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            raise
        finally:
            watch.cancel()
            await self._close()
        self.history.log = self._servers.read_log()
        take_names(self.history)
        return self.history

    async def _watch(self) -> None:
        """Note how long this loop stands still: all processes do, on a machine that does."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(LOOK_S)
            late_s = time.monotonic() - before - LOOK_S
            self.history.stood_still_s = max(self.history.stood_still_s, late_s)

    async def _open(self) -> None:
        await self._servers.start()
        for number, gateway in enumerate(self._servers.gateways):
            self._recording.gateway_at[gateway.udp] = number
            if self.plan.udp is not None:
                self._relays.append(self._new_relay(number, gateway.udp))
        for plan in self.plan.clients:
            if plan.dialect == SEALED:
                self._clients[plan.id] = self._new_sealed(plan)
                continue
            note_sent = None if self._relays else self._recording.note_sent
            self._clients[plan.id] = ChaosClient(
                plan,
                self.plan.room_name(plan.room),
                note_sent,
                self._recording.note_received,
                self._recording.client_at.__setitem__,
                self._servers.client_host,
            )
        self._commands = CommandRooms(self.plan.commands, self.history.stays, self._servers, self._udp_addresses)
        early = [client for client in self._clients.values() if client.plan.enters_at == 0]
        for _ in range(ATTEMPTS):
            for are_hosts in (True, False):
                missing = [client for client in early if not client.is_in and client.plan.host == are_hosts]
                await asyncio.gather(*map(self._enter, missing))
        outside = [client.plan.id for client in early if not client.is_in and client.plan.dialect not in HASTY]
        if outside:
            raise AssertionError(f"seed {self.plan.seed}: clients {outside} could not enter before anything happened")

    def _new_sealed(self, plan: ClientPlan) -> SealedChaosClient:
        seen = self.history.sealed[plan.id] = SealedSeen()
        recording = self._recording
        on_socket = recording.client_at.__setitem__
        room = self.plan.room_name(plan.room)
        others = [each for each in self.plan.clients if each.room == plan.room and each.dialect == SEALED]
        friends = [each.name for each in others if each.id != plan.id]
        return SealedChaosClient(plan, room, friends, seen, recording.note_heard, on_socket, text_of)

    def _new_relay(self, gateway: int, listener: Address) -> UdpRelay:
        assert self.plan.udp is not None

        def note_sent(at: float, raw: bytes, source: Address, port: int) -> None:
            # The SDK sends from a new socket before this run can ask it for the address; its lines are sealed anyhow.
            if (client := self._recording.client_at.get(source)) is not None:
                self._recording.note_sent(at, client, gateway, raw, port)

        seed = f"relay {self.plan.seed} {gateway}"
        return UdpRelay(listener, self.plan.udp, seed, note_sent, self._recording.note_relayed)

    async def _enter(self, client: ChaosClient | SealedChaosClient) -> None:
        gateway = client.gateway
        if not self._servers.is_up(gateway):
            return
        plan = client.plan
        tcp = self._servers.listener(gateway, plan.dialect).tcp
        udp = self._udp_addresses
        if await client.enter(Listener(tcp, udp[gateway]), udp):
            self.history.members[plan.id] = Member(
                *(plan.id, plan.name, plan.dialect, client.room, gateway),
                echo=plan.dialect != SEALED and KINDS[plan.dialect].echoes,
            )

    @property
    def _udp_addresses(self) -> list[Address]:
        """Where datagrams for each gateway go."""
        return [relay.address for relay in self._relays] or [gateway.udp for gateway in self._servers.gateways]

    async def _act(self) -> None:
        assert self._commands is not None
        self._begin(self._commands.play())
        loop = asyncio.get_running_loop()
        start = loop.time()
        late = [Action(client.enters_at, "enter", client.id) for client in self.plan.clients if client.enters_at > 0]
        for action in sorted((*self.plan.actions, *late), key=lambda action: action.at):
            await asyncio.sleep(max(0.0, start + action.at - loop.time()))
            is_clients = action.kind in OF_CLIENTS
            self._begin(self._let_client(action) if is_clients else self._faults.inject(action))
        await asyncio.sleep(max(0.0, start + self.plan.lasts - loop.time()))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self) -> None:
        assert self._commands is not None
        settling = Settling(self._clients, self._servers, self._recording)
        _, complaints = await asyncio.gather(settling.settle(self._settle_s), self._commands.settle(self._settle_s))
        self.history.complaints += complaints

    async def _let_client(self, action: Action) -> None:
        client = self._clients[action.target]
        if action.kind == "enter":
            await self._enter(client)
            return
        if not client.is_in:
            return
        match action.kind:
            case "leave":
                client.leave()
                self.history.leavers.add(client.plan.id)
                return
            case "rebind":
                self.counts["new socket"] += 1
                client.rebind()
            case "move":
                self.counts["other gateway"] += 1
                client.gateway = action.other
            case "roam":
                self.counts["to and fro"] += 1
                for step in range(3):
                    client.gateway = (action.other + step) % len(self._servers.gateways)
                    client.say()
                    await asyncio.sleep(0.02 * step)
                client.gateway = (action.other + 3) % len(self._servers.gateways)
        client.say()

    async def _close(self) -> None:
        # Not cancelled: a process may be starting just now.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.history.ended_at = time.time()
        # The sockets close before the gateways stop: what these send then, other tests check.
        for client in self._clients.values():
            client.close()
        if self._commands is not None:
            self._commands.close()
        for relay in self._relays:
            relay.close()
        await self._servers.close()
        self.history.complaints += self._servers.complaints
