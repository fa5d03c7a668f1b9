"""Groups of seeds at the same time: each has its verdict, and its own processes."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import groups
from tests.chaos.evidence import Violation, are_by_standstill
from tests.chaos.groups import Result, run_group, run_groups
from tests.chaos.history import History
from tests.chaos.plan import Plan, draw


@pytest.mark.slow
def test_groups_run_at_the_same_time_and_each_is_judged(tmp_path: Path) -> None:
    plans = [[draw(seed, 1.5)] for seed in (2, 8)]
    results = [result for results in run_groups(plans, tmp_path, at_once=2) for result in results]
    assert {result.plan.seed: result.failures for result in results} == {2: [], 8: []}
    assert all(result.verdict.received > 50 for result in results)


def test_a_run_without_a_verdict_is_played_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[list[int]] = []

    def play(plans: list[Plan], keep: Path | None) -> list[Result]:
        played.append([plan.seed for plan in plans])
        results = [Result(plan, Counter()) for plan in plans]
        if len(plans) > 1:
            results[1].failures, results[1].has_verdict = ["the run itself failed"], False
        return results

    monkeypatch.setattr(groups, "_played", play)
    results = run_group([draw(seed, 1.5) for seed in (1, 2, 3)], None)
    assert played == [[1, 2, 3], [2]]
    assert [(one.plan.seed, one.plays, one.failures) for one in results] == [(1, 1, []), (2, 2, []), (3, 1, [])]


@pytest.mark.parametrize(
    ("kinds", "stood_still_s", "excused"),
    [
        (("doubled", "complaint"), 1.5, True),
        (("doubled",), 0.5, False),
        (("doubled", "lost"), 1.5, False),
        ((), 1.5, False),
    ],
    ids=["late", "it went on", "no matter of time", "nothing is wrong"],
)
def test_a_machine_that_stood_still_is_no_proof_against_what_takes_time(
    kinds: tuple[str, ...], stood_still_s: float, excused: bool
) -> None:
    history = History(1, ("",), stood_still_s=stood_still_s)
    assert are_by_standstill([Violation(kind, "") for kind in kinds], history) is excused
