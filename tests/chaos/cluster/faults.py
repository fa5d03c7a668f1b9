"""Injects the faults of a cluster's plan, and writes down what each means for gateways and for the rest."""

import asyncio
import contextlib
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

from scenarios.process import Process, ProcessError
from tests.chaos.cluster.database import signal_all
from tests.chaos.cluster.machines import Machines
from tests.chaos.cluster.plan import ClusterPlan, Fault
from tests.chaos.cluster.posters import Poster
from tests.chaos.history import History, Outage
from tests.chaos.plan import Action

CANCELLED_S = 0.5
"""For how long commits are cancelled."""
REUNITED_S = 2.0
"""For how long there are two primaries."""
RECOVERS_S = 5.0
"""After the end of a fault of brokers or databases: until then rooms may still be on their way to their next owner."""


class ClusterFaults:
    """Carries faults out. A process, a machine, and the database as a whole, has one fault of its own at a time."""

    def __init__(self, plan: ClusterPlan, machines: Machines, history: History) -> None:
        """Append to the history's outages what each fault is for the checker: a gateway's, its links', or the broker's.

        Which rooms a broker or a database serves changes all the time, so their faults are taken for faults of all.
        """
        self.counts = machines.counts
        self._machines = machines
        self._network, self._database = machines.network, machines.database
        self.posters: list[Poster] = []
        self._plan, self._history, self._outages = plan, history, history.outages
        self._busy: set[Process] = set()
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Of machines."""

    async def inject(self, action: Action) -> None:
        """Inject a fault, wait as long as it lasts, and undo it."""
        assert isinstance(action, Fault)
        verb, _, part = action.kind.partition(" ")
        if verb == "post":
            await self._post(action)
            return
        if part == "primary":
            await self._lose_primary(verb, action)
        elif verb == "cut":
            self.counts[action.kind] += 1
            pairs = [(action.target, action.other)]
            await self._cut(pairs if part else [*pairs, (action.other, action.target)], action.lasts)
        elif verb == "isolate":
            self.counts[verb] += 1
            await self._cut(self._around(action.target), action.lasts)
        elif verb == "burn" and action.target < len(self._database.nodes):
            async with self._database.alone:
                await self._lose(verb, action.target, action)
        elif verb in ("power", "burn") or part == "machine":
            await self._inject_machine("power" if verb == "burn" else verb, action)
        elif part == "database":
            await self._inject_database(verb, action)
        else:
            processes = self._machines.brokers if part == "broker" else self._machines.gateways
            await self._inject_process(verb, part, processes[action.target], action)

    async def _post(self, action: Fault) -> None:
        room = self._plan.room_name(action.other)
        poster = Poster(action.target, room, self._machines.webhooks, self._history, self._machines.secret)
        self.posters.append(poster)
        await poster.run(action.lasts)

    # --- one program ---

    async def _inject_process(self, verb: str, part: str, process: Process, fault: Fault) -> None:
        if not (process.running and process.ready) or process in self._busy or self._locks[fault.target].locked():
            return
        self.counts[f"{verb} {part}"] += 1
        self._busy.add(process)
        outage = Outage({"stop": "drain"}.get(verb, verb), "broker" if part == "broker" else f"gateway {fault.target}")
        async with self._noted(outage):
            if verb == "freeze":
                process.freeze()
                await asyncio.sleep(fault.lasts)
                with contextlib.suppress(ProcessError):  # it was killed meanwhile
                    process.resume()
            else:
                self._machines.held.add(process)
                if verb == "kill":
                    process.kill()
                else:
                    await self._machines.stop_one(process)
                await asyncio.sleep(fault.lasts)
                self._machines.held.discard(process)
                await self._machines.served([process])
        self._busy.discard(process)

    async def _inject_database(self, verb: str, fault: Fault) -> None:
        """Freeze a server, or kill all its processes and start it again with what is on its disk."""
        lock, node = self._locks[fault.target], self._database.nodes[fault.target]
        if lock.locked():
            return
        async with lock:
            self.counts[f"{verb} database"] += 1
            async with self._noted(Outage(verb, "broker")):
                if verb == "freeze":
                    await self._freeze(node.processes, fault.lasts)
                else:
                    await asyncio.to_thread(node.kill)
                    await asyncio.sleep(fault.lasts)
                    await asyncio.to_thread(node.start)

    async def _freeze(self, processes: Callable[[], list[int]], lasts: float) -> None:
        stopped: set[int] = set()
        while pids := set(processes()) - stopped:
            signal_all([*pids], signal.SIGSTOP)
            stopped |= pids
        await asyncio.sleep(lasts)
        signal_all([*stopped], signal.SIGCONT)

    # --- the network ---

    def _around(self, machine: int) -> list[tuple[int, int]]:
        others = [other for other in range(len(self._machines.gateways)) if other != machine]
        return [pair for other in others for pair in ((machine, other), (other, machine))]

    async def _cut(self, pairs: list[tuple[int, int]], lasts: float) -> None:
        machines = sorted({machine for pair in pairs for machine in pair})
        async with self._noted(Outage("cut", "broker"), *(Outage("cut", f"link {machine}") for machine in machines)):
            for pair in pairs:
                await asyncio.to_thread(self._network.cut, *pair)
            await asyncio.sleep(lasts)
            for pair in pairs:
                await asyncio.to_thread(self._network.heal, *pair)

    # --- machines ---

    async def _inject_machine(self, verb: str, fault: Fault) -> None:
        """Freeze a machine, switch it off and on, or kill all its processes; its database is as before afterwards."""
        machine = fault.target
        if self._locks[machine].locked():
            return
        async with self._locks[machine]:
            self.counts[f"{verb} machine"] += 1
            kind = "freeze" if verb == "freeze" else "kill"
            async with self._noted(Outage(kind, f"gateway {machine}"), Outage(kind, "broker")):
                if verb == "freeze":
                    await self._freeze(lambda: self._network.processes(machine), fault.lasts)
                    return
                await self._machines.end(machine, silently=verb == "power")
                await asyncio.sleep(fault.lasts)
                if verb == "power":
                    await asyncio.to_thread(self._network.plug_in, machine)
                if machine < len(self._database.nodes):
                    await asyncio.to_thread(self._database.nodes[machine].start)
                self._machines.out.discard(machine)
                await self._machines.served(self._machines.on(machine))

    async def _lose_primary(self, verb: str, fault: Fault) -> None:
        async with self._database.alone:
            await self._lose(verb, self._database.primary, fault)

    async def _lose(self, verb: str, machine: int, fault: Fault) -> None:
        """Switch off, isolate or burn a machine. If it has the primary, promote a standby. Fill it again in the end."""
        async with self._locks[machine]:
            is_primary, node = machine == self._database.primary, self._database.nodes[machine]
            self.counts[f"{verb} {'primary' if is_primary else 'machine'}"] += 1
            outages = [Outage("kill", f"gateway {machine}"), Outage("kill", "broker")]
            cut = self._around(machine)
            if verb in ("isolate", "reunite"):
                outages = [Outage("cut", f"link {machine}"), Outage("kill", "broker")]
            async with self._noted(*outages):
                if verb in ("isolate", "reunite"):
                    for pair in cut:
                        await asyncio.to_thread(self._network.cut, *pair)
                elif verb in ("cancel", "terminate"):
                    async with self._database.receiving_nothing():
                        await self._database.disturb(verb, CANCELLED_S, self.counts)
                        await self._machines.end(machine, silently=True)
                else:
                    await self._machines.end(machine, silently=True)
                if verb in ("burn", "cancel", "terminate"):
                    await asyncio.to_thread(node.wipe)
                if is_primary:
                    await asyncio.sleep(fault.promotes_after)
                    await self._database.fail_over()
                await asyncio.sleep(fault.lasts)
                if verb in ("isolate", "reunite"):
                    if verb == "isolate":
                        # An operator's first step; else two servers take writes.
                        await asyncio.to_thread(node.kill)
                    for pair in cut:
                        await asyncio.to_thread(self._network.heal, *pair)
                    if verb == "reunite":
                        await asyncio.sleep(REUNITED_S)
                else:
                    await asyncio.to_thread(self._network.plug_in, machine)
                    self._machines.out.discard(machine)
                await self._database.rebuild(machine)
                await self._machines.served(self._machines.on(machine))

    # --- notes ---

    @contextlib.asynccontextmanager
    async def _noted(self, *outages: Outage) -> AsyncIterator[None]:
        """Write outages down for as long as a fault and its traces last."""
        for outage in outages:
            outage.start = time.time()
        self._outages += outages
        yield
        for outage in outages:
            outage.end = time.time() + (RECOVERS_S if outage.target == "broker" else 0.0)
