"""Several machines under faults, a few seconds of it; `make chaos-cluster` does more."""

from pathlib import Path

import pytest

from tests.chaos.cluster.__main__ import run_group
from tests.chaos.cluster.plan import draw
from tests.chaos.cluster.private import why_not
from tests.support import postgres


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(1,), (4, 8)])
def test_nothing_accepted_is_lost_or_doubled_when_a_machine_is(seeds: tuple[int, ...], tmp_path: Path) -> None:
    postgres.programs()
    if why := why_not():
        pytest.skip(f"network namespaces can not be made: {why}")
    plans = [draw(seed, 4.0, 2) for seed in seeds]
    for outcome in run_group(plans, 4.0, tmp_path / "template", tmp_path):
        assert not outcome.failures, "\n".join([*outcome.failures[:3], outcome.plan])
        assert outcome.received > 50
