"""One run, inside the namespaces that `private.py` makes: `python -m tests.chaos.cluster.one_run SEED …`.

Prints one line of JSON.
"""

import asyncio
import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from scenarios.process import ProcessError
from tests.chaos.checker import check
from tests.chaos.cluster.database import Database
from tests.chaos.cluster.expulsions import expelled
from tests.chaos.cluster.faults import ClusterFaults
from tests.chaos.cluster.machines import Machines
from tests.chaos.cluster.network import Network
from tests.chaos.cluster.pauses import longest_pause_s
from tests.chaos.cluster.plan import draw
from tests.chaos.cluster.posters import unkept
from tests.chaos.evidence import Violation
from tests.chaos.history import History
from tests.chaos.runner import Runner

SETTLE_S = 25.0
LIMIT_S = 90.0
"""A run that takes longer has failed."""


@dataclass(slots=True)
class Outcome:
    seed: int
    profile: str = ""
    plan: str = ""
    failures: list[str] = field(default_factory=list)
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
    takeovers: int = 0
    failovers: int = 0
    looks: int = 0
    """Looks at the shards' terms and owners that count."""
    faults: dict[str, int] = field(default_factory=dict)
    pause_s: float = 0.0
    """See `pauses.py`."""
    took_s: float = 0.0


async def _run(seed: int, lasts: float, brokers: int, directory: Path, template: Path, keep: Path) -> Outcome:
    # Each program that starts keeps a thread waiting.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    plan = draw(seed, lasts, brokers)
    outcome = Outcome(seed, plan.profile, str(plan))
    network = Network(len(plan.names))
    database = Database(network, plan.databases, directory, template, fsync=plan.fsync)
    machines = Machines(plan, network, database, plan.brokers, directory)
    history = History(plan.seed, plan.names)
    faults = ClusterFaults(plan, machines, history)
    runner = Runner(plan, history, machines, faults, SETTLE_S)
    try:
        run = asyncio.create_task(runner.run())
        await asyncio.wait([run], timeout=LIMIT_S)
        if not run.done():
            raise AssertionError(f"it did not end in {LIMIT_S:g} s; tasks: {_stacks()}")
        await run
    except (AssertionError, OSError, ProcessError) as exc:
        outcome.failures.append(f"the run itself failed: {exc!r} {getattr(exc, '__notes__', '')}")
    history.moves = machines.terms.moves
    verdict = check(history)
    verdict.violations += [Violation("expelled", what) for what in expelled(history)]
    posted = {key: offset for poster in faults.posters for key, offset in poster.accepted.items()}
    verdict.violations += [Violation("not accepted", what) for poster in faults.posters for what in poster.given_up]
    verdict.violations += [Violation("lost", what) for what in unkept(history, posted)]
    outcome.failures += map(str, verdict.violations)
    outcome.members, outcome.accepted, outcome.received = verdict.members, verdict.accepted, verdict.received
    outcome.sealed = len(history.sealed.keys() & history.members.keys())
    outcome.posted, outcome.surely, outcome.looks = len(posted), verdict.surely_accepted, machines.terms.looks
    outcome.repeats, outcome.faults = verdict.repeats, dict(machines.counts)
    outcome.takeovers, outcome.failovers = machines.terms.takeovers, database.failovers
    outcome.pause_s = longest_pause_s(history)
    if outcome.failures:
        machines.write_logs(keep)
        (keep / "history.json").write_bytes(msgspec.json.encode(history))
        (keep / "failures.txt").write_text("\n\n".join([*outcome.failures, outcome.plan]))
    return outcome


def _stacks() -> str:
    """Return where each task is."""
    file = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=file)
    return file.getvalue()


def main(seed: int, lasts: float, brokers: int, directory: Path, template: Path, keep: Path) -> None:
    began = time.monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        outcome = loop.run(_run(seed, lasts, brokers, directory, template, keep))
    outcome.took_s = time.monotonic() - began
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), *map(Path, sys.argv[4:]))
