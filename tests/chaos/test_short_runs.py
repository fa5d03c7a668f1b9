"""Real processes under faults, a few seconds of it; `make chaos` does more.

One test shows that the checker finds violations: its recorder drops, doubles, swaps and misroutes one datagram each.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from tests.chaos.checker import check, count_kinds
from tests.chaos.clients import key_of
from tests.chaos.history import History, Received
from tests.chaos.plan import Action, ClientPlan, Plan, draw
from tests.chaos.recording import Record, record
from tests.chaos.runner import Runner


def run(plan: Plan, directory: Path, record: Record = record) -> History:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Runner(plan, directory, record).run())


@pytest.mark.parametrize("seed", [3, 9, 7])
def test_nothing_accepted_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    plan = draw(seed, lasts=1.5)
    verdict = check(run(plan, tmp_path))
    assert not verdict.violations, "\n".join([*map(str, verdict.violations[:3]), str(plan)])
    assert verdict.received > 50


def a_quiet_plan() -> Plan:
    """Four rooms of three at one gateway, who talk for a second while nothing happens to anything."""
    plan = Plan(0, "quiet", ("",), 4, 1.0, None)
    for room in range(4):
        for place, dialect in enumerate(("classic", "tsudoi", "tcrp-named")):
            client = ClientPlan(len(plan.clients), dialect, room, 0, place == 0, 0.0, True)
            plan.clients.append(client)
            plan.actions += [Action(0.1 + 0.1 * line, "say", client.id) for line in range(8)]
    plan.actions.sort(key=lambda action: action.at)
    return plan


class LyingRecorder:
    """Writes received datagrams down, but falsifies one in each room."""

    def __init__(self) -> None:
        self._kept: Received | None = None
        self._done: set[str] = set()

    def __call__(self, history: History, received: Received) -> None:
        key = key_of(received.raw)
        if self._kept is not None and received.client == 7 and key is not None:
            # Swapped: this one first, then the one that was kept back.
            kept, self._kept = self._kept, None
            record(history, replace(received, at=kept.at))
            record(history, replace(kept, at=received.at))
            return
        due = {1: "drop", 4: "double", 7: "swap", 10: "misroute"}.get(received.client, "")
        if key is None or key[1] != 3 or due in self._done or not due:
            record(history, received)
            return
        self._done.add(due)
        if due == "swap":
            self._kept = received
        elif due != "drop":
            record(history, received)
            record(history, replace(received, client=received.client - (9 if due == "misroute" else 0)))


def test_a_run_whose_recorder_lies_is_reported(tmp_path: Path) -> None:
    verdict = check(run(a_quiet_plan(), tmp_path, LyingRecorder()))
    assert count_kinds(verdict) == {"lost": 1, "doubled": 1, "swapped": 2, "misrouted": 1}, verdict.violations
