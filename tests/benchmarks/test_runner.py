"""benchmarks/runner.py: a row needs runs that have lost nothing; rivals are searched in turns"""

from typing import Any, cast

import pytest

from benchmarks.load import Load, Run
from benchmarks.processes import BenchmarkError
from benchmarks.runner import Runner


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.runner.busy_s", lambda: {0: 0.0})


class Service:
    """A service that loses what comes beyond a rate, and the load on it."""

    def __init__(self, most: float, asked: list[tuple[str, float]], name: str = "") -> None:
        self.most, self.asked, self.name = most, asked, name

    def family(self) -> list[int]:
        return []

    def run(self, rate: float, seconds: float, pids: object, **more: object) -> Run:
        self.asked.append((self.name, rate))
        count, lost = int(rate * seconds), int(max(rate - self.most, 0.0) * seconds)
        return Run(0, count, lost, 0, 0, 0, 0, count - lost, seconds, 1e3, 1e3, 1e3, (0.1,))

    @property
    def rival(self) -> tuple[Load, Any]:
        return cast(Load, self), self


def test_a_run_that_has_lost_gives_no_figure() -> None:
    load, service = Service(1_000, []).rival
    runner = Runner(quick=True)
    assert runner.run(load, service, 1_000).lost == 0
    with pytest.raises(BenchmarkError, match=r"Service at 1100 messages/s: 60 of 660 lost"):
        runner.run(load, service, 1_100)


def test_rivals_are_searched_in_turns() -> None:
    asked: list[tuple[str, float]] = []
    ours, theirs = Service(4_500, asked, "ours"), Service(900, asked, "theirs")
    (mine, run), (other, _) = Runner(quick=False).highest_rates([ours.rival, theirs.rival], 2_000)
    assert 4_500 / 1.05 < mine <= 4_505
    assert 900 / 1.05 < other <= 901
    assert run.lost_share < 0.001
    assert [name for name, _ in asked[:6]] == ["ours", "theirs", "theirs", "ours", "theirs", "theirs"]


def test_a_service_that_holds_no_rate_gives_no_figure() -> None:
    with pytest.raises(BenchmarkError, match="holds no rate"):
        Runner(quick=True).highest_rates([Service(0, []).rival], 2_000)
