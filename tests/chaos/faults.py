"""Injects the faults of a plan into processes and connections, and writes down from when to when each lasts."""

import asyncio
import contextlib
import time
from collections import Counter

from scenarios.process import ProcessError
from tests.chaos.history import Outage
from tests.chaos.plan import Action
from tests.chaos.servers import Servers


class Faults:
    """Carries out kill, freeze, drain, cut and stall."""

    def __init__(self, servers: Servers, outages: list[Outage]) -> None:
        """Append each fault to `outages`."""
        self.counts: Counter[str] = Counter()
        """Kind of fault → how often it was carried out."""
        self._servers = servers
        self._outages = outages
        self._open: dict[str, Outage] = {}

    async def inject(self, action: Action) -> None:
        """Inject a fault, wait as long as it lasts, and undo it."""
        if action.kind in ("cut", "stall"):
            await self._inject_link(action)
        else:
            await self._inject_process(action)

    async def _inject_process(self, action: Action) -> None:
        target = "broker" if action.target < 0 else f"gateway {action.target}"
        process = self._servers.broker if action.target < 0 else self._servers.gateways[action.target]
        if process is None or not process.ready or (action.kind == "freeze" and target in self._open):
            return
        self.counts[f"{action.kind} {target.partition(' ')[0]}"] += 1
        outage = self._begin(action.kind, target)
        if action.kind == "freeze":
            process.freeze()
            await asyncio.sleep(action.lasts)
            self._end(outage)  # before it goes on: on a busy machine it sends sooner than the next line runs
            with contextlib.suppress(ProcessError):  # it was killed meanwhile
                process.resume()
            return
        process.ready = ""  # also while it stops, no other fault is for it
        if action.kind == "kill":
            process.kill()
        else:
            await self._servers.stop_one(process)
        if action.lasts:
            await asyncio.sleep(action.lasts)
            await self._servers.start_one(process)
            self._end(outage)

    async def _inject_link(self, action: Action) -> None:
        target = f"link {action.target}"
        if target in self._open:
            return
        self.counts[action.kind] += 1
        outage = self._begin(action.kind, target)
        link = self._servers.links[action.target]
        (link.cut if action.kind == "cut" else link.stall)(action.other)
        await asyncio.sleep(action.lasts)
        link.heal()
        self._end(outage)

    def _begin(self, kind: str, target: str) -> Outage:
        outage = self._open[target] = Outage(kind, target, time.time())
        self._outages.append(outage)
        return outage

    def _end(self, outage: Outage) -> None:
        outage.end = time.time()
        if self._open.get(outage.target) is outage:
            del self._open[outage.target]
