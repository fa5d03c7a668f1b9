"""Runs on the same machines, inside the namespaces that `private.py` makes: `-m tests.chaos.cluster.one_run SEED,… …`.

Prints a line of JSON for each seed. After one that does not end, none of the others is played.
"""

import asyncio
import io
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import uvloop

from scenarios.process import ProcessError
from tests.chaos.checker import check
from tests.chaos.cluster.database import ERRORS, Database
from tests.chaos.cluster.expulsions import expelled
from tests.chaos.cluster.faults import ClusterFaults
from tests.chaos.cluster.machines import Machines
from tests.chaos.cluster.network import Network
from tests.chaos.cluster.pauses import longest_pause_s
from tests.chaos.cluster.plan import ClusterPlan, draw
from tests.chaos.cluster.posters import unkept
from tests.chaos.cluster.reading import read_log
from tests.chaos.evidence import Violation, are_by_standstill
from tests.chaos.history import History, RoomLog
from tests.chaos.runner import Runner
from tests.chaos.together import APART, HeldAddresses, apart, rooms_of

SETTLE_S = 25.0
LIMIT_S = 90.0
"""A run that takes longer has failed."""


@dataclass(slots=True)
class Outcome:
    seed: int
    profile: str = ""
    plan: str = ""
    failures: list[str] = field(default_factory=list)
    has_verdict: bool = True
    """False: the run itself failed, or the machine stood still."""
    plays: int = 1
    members: int = 0
    sealed: int = 0
    """Members of version 2 among them."""
    accepted: int = 0
    surely: int = 0
    """Sent messages that had to be accepted."""
    posted: int = 0
    """Posts that were answered with 200."""
    received: int = 0
    repeats: int = 0
    commands: int = 0
    """That members gave in rooms of commands."""
    takeovers: int = 0
    failovers: int = 0
    looks: int = 0
    """Looks at the shards' terms and owners that count."""
    faults: dict[str, int] = field(default_factory=dict)
    pause_s: float = 0.0
    """See `pauses.py`."""
    took_s: float = 0.0


class SharedMachines(Machines):
    """Machines of several runs, one after the other: the end of a run ends no process."""

    def __init__(self, plans: list[ClusterPlan], network: Network, database: Database, directory: Path) -> None:
        clients = [client for plan in plans for client in plan.clients]
        super().__init__(replace(plans[0], clients=clients), network, database, plans[0].brokers, directory)
        self.plan = plans[0]
        self._has_begun = False
        self._why_no_log = ""

    async def start(self) -> None:
        self.complaints, self.log = [], {}
        if self._has_begun:
            await self.settled()
            return
        await super().start()
        self._has_begun = True

    async def close(self) -> None:
        """End a run."""
        self.complaints += self.terms.complaints
        self.terms.complaints = []
        self._why_no_log = ""
        try:
            self.log = rooms_of(self.plan, await read_log(self.database.nodes[self.database.primary].url()))
        except ERRORS as exc:
            self._why_no_log = repr(exc)

    def read_log(self) -> dict[int, RoomLog]:
        if self._why_no_log:
            raise OSError(f"the log can not be read: {self._why_no_log}")
        return super().read_log()

    async def end_all(self) -> None:
        """End all processes."""
        self.complaints = []
        await super().close()


async def _run(plans: list[ClusterPlan], directory: Path, template: Path, keep: Path) -> AsyncIterator[Outcome]:
    # Each program that starts keeps a thread waiting.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    plans = [apart(plan, number * APART) for number, plan in enumerate(plans)]
    network = Network(len(plans[0].names))
    database = Database(network, plans[0].databases, directory, template, fsync=plans[0].fsync)
    machines, held = SharedMachines(plans, network, database, directory), HeldAddresses()
    for number, plan in enumerate(plans):
        began = time.monotonic()
        machines.plan = plan
        machines.counts = Counter()
        machines.terms.moves = []
        before = machines.terms.takeovers, database.failovers, machines.terms.looks
        history = History(plan.seed, plan.names)
        faults = ClusterFaults(plan, machines, history)
        runner = Runner(plan, history, machines, faults, SETTLE_S)
        outcome = Outcome(plan.seed, plan.profile, str(plan))
        run = asyncio.create_task(runner.run())
        try:
            await asyncio.wait([run], timeout=LIMIT_S)
            if not run.done():
                raise AssertionError(f"it did not end in {LIMIT_S:g} s; tasks: {_stacks()}")
            await run
        except (AssertionError, OSError, ProcessError) as exc:
            outcome.failures.append(f"the run itself failed: {exc!r} {getattr(exc, '__notes__', '')}")
            outcome.has_verdict = False
        is_last = number + 1 == len(plans) or not run.done()
        if is_last and run.done():
            await machines.end_all()
            history.complaints += machines.complaints
        history.moves = machines.terms.moves
        if outcome.has_verdict:
            _judge(outcome, history, faults)
        outcome.faults = dict(machines.counts)
        outcome.takeovers = machines.terms.takeovers - before[0]
        outcome.failovers, outcome.looks = database.failovers - before[1], machines.terms.looks - before[2]
        outcome.took_s = time.monotonic() - began
        if outcome.failures:
            folder = keep / f"seed-{plan.seed}"
            machines.write_logs(folder)
            (folder / "history.json").write_bytes(msgspec.json.encode(history))
            (folder / "failures.txt").write_text("\n\n".join([*outcome.failures, outcome.plan]))
        yield outcome
        if is_last:
            break
        await held.add(runner.addresses)
    held.close()


def _judge(outcome: Outcome, history: History, faults: ClusterFaults) -> None:
    verdict = check(history)
    verdict.violations += [Violation("expelled", what) for what in expelled(history)]
    posted = {key: offset for poster in faults.posters for key, offset in poster.accepted.items()}
    verdict.violations += [Violation("not accepted", what) for poster in faults.posters for what in poster.given_up]
    verdict.violations += [Violation("lost", what) for what in unkept(history, posted)]
    outcome.failures += map(str, verdict.violations)
    outcome.has_verdict = not are_by_standstill(verdict.violations, history)
    outcome.members, outcome.accepted, outcome.received = verdict.members, verdict.accepted, verdict.received
    outcome.commands = verdict.commands
    outcome.sealed = len(history.sealed.keys() & history.members.keys())
    outcome.posted, outcome.surely, outcome.repeats = len(posted), verdict.surely_accepted, verdict.repeats
    outcome.pause_s = longest_pause_s(history)


def _stacks() -> str:
    """Return where each task is."""
    file = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=file)
    return file.getvalue()


async def _play(plans: list[ClusterPlan], directory: Path, template: Path, keep: Path) -> None:
    async for outcome in _run(plans, directory, template, keep):
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()


def main(seeds: str, lasts: float, brokers: int, directory: Path, template: Path, keep: Path) -> None:
    plans = [draw(int(seed), lasts, brokers) for seed in seeds.split(",")]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_play(plans, directory, template, keep))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), *map(Path, sys.argv[4:]))
