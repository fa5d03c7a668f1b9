"""Groups of seeds at the same time: each has its verdict, and its own processes."""

from pathlib import Path

import pytest

from tests.chaos.groups import run_groups
from tests.chaos.plan import draw


@pytest.mark.slow
def test_groups_run_at_the_same_time_and_each_is_judged(tmp_path: Path) -> None:
    groups = [[draw(seed, 1.5)] for seed in (2, 8)]
    results = [result for results in run_groups(groups, tmp_path, at_once=2) for result in results]
    assert {result.plan.seed: result.failures for result in results} == {2: [], 8: []}
    assert all(result.verdict.received > 50 for result in results)
