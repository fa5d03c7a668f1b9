"""Plays groups of seeds and checks them; several groups at the same time, each in a process of its own."""

import asyncio
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from scenarios.process import Process
from tests.chaos.evidence import Verdict, are_by_standstill
from tests.chaos.plan import Plan
from tests.chaos.together import Together
from tests.support import forked


@dataclass(slots=True)
class Result:
    plan: Plan
    faults: Counter[str]
    took_s: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    failures: list[str] = field(default_factory=list)
    """Violations, or why there is no verdict."""
    has_verdict: bool = True
    """False: the run itself failed, or the machine stood still."""
    plays: int = 1
    with_seeds: list[int] = field(default_factory=list)
    """All seeds that were played on the same processes."""


def run_groups(groups: list[list[Plan]], keep: Path | None, at_once: int) -> Iterator[list[Result]]:
    """Yield the results of each group as it ends; `at_once` are played at the same time."""
    if at_once == 1:
        _begin()
        yield from (run_group(group, keep) for group in groups)
        return
    pool = ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn"), _begin)
    try:
        for future in as_completed([pool.submit(run_group, group, keep) for group in groups]):
            yield future.result()
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # it ends what it has started
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a process that plays groups."""
    # An interrupted run ends its processes. A shell's background job inherits that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    # What a broker or gateway imports takes half a second of a core, and they are started again and again.
    Process.starter = forked.Popen


def run_group(plans: list[Plan], keep: Path | None) -> list[Result]:
    """Play plans on processes and in a directory of their own, and check them.

    Of one that fails `keep` gets the history, and what the processes have logged. One that has no verdict is played
    once more, by itself: it has failed if it has none then.
    """
    return [result if result.has_verdict else _again(result.plan, keep) for result in _played(plans, keep)]


def _again(plan: Plan, keep: Path | None) -> Result:
    [result] = _played([plan], keep)
    result.plays = 2
    return result


def _played(plans: list[Plan], keep: Path | None) -> list[Result]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tsudoi-chaos-") as directory:
        # Members of version 2 keep there what certificate a server showed first.
        os.environ["XDG_STATE_HOME"] = directory
        run = Together(plans, Path(directory))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            complaints = loop.run(run.run())
        seeds = [plan.seed for plan in plans]
        results = [Result(plan, run.counts[number], with_seeds=seeds) for number, plan in enumerate(plans)]
        for number, result in enumerate(results):
            result.took_s = (time.monotonic() - began) / len(plans)
            result.verdict = run.verdict(number)
            result.failures += [*run.failures[number], *map(str, result.verdict.violations)]
            stood_still = are_by_standstill(result.verdict.violations, run.histories[number])
            result.has_verdict = not run.failures[number] and not stood_still
        results[-1].failures += complaints
        results[-1].has_verdict |= bool(complaints)
        for number, result in enumerate(results):
            if keep is not None and result.failures:
                _keep(run, number, keep / f"seed-{result.plan.seed}")
    return results


def _keep(run: Together, number: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_bytes(msgspec.json.encode(run.histories[number]))
    for process in run.servers.processes:
        (folder / f"{process.name}.log").write_text(process.stderr.text)
