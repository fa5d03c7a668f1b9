"""Real processes under faults, a few seconds of it; `make chaos` does more. `test_checker.py` shows what is found."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.chaos.checker import check
from tests.chaos.plan import draw
from tests.chaos.runner import Runner


@pytest.mark.parametrize("seed", [3, 29, pytest.param(9, marks=pytest.mark.slow)])
def test_nothing_accepted_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    plan = draw(seed, lasts=1.5)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        verdict = check(loop.run(Runner.of_processes(plan, tmp_path).run()))
    assert not verdict.violations, "\n".join([*map(str, verdict.violations[:3]), str(plan)])
    assert verdict.received > 50
