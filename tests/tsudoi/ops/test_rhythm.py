"""tsudoi/ops/rhythm.py"""

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from tsudoi.ops.rhythm import until_next


def test_programs_meet_at_whole_multiples() -> None:
    assert 100.1 + until_next(0.25, 100.1) == pytest.approx(100.25)
    assert 100.0 + until_next(0.25, 100.0) == pytest.approx(100.25)
    assert 100.01 + until_next(1.0, 100.01) == pytest.approx(101.0)


def test_a_timer_that_fires_early_or_late_is_set_for_the_next_multiple() -> None:
    assert 99.9996 + until_next(0.25, 99.9996) == pytest.approx(100.25)
    assert 100.0004 + until_next(0.25, 100.0004) == pytest.approx(100.25)


@given(floats(0.001, 100), floats(0, 1e7))
def test_the_time_is_between_half_a_period_and_one_and_a_half(period_s: float, now: float) -> None:
    assert 0.49 * period_s <= until_next(period_s, now) <= 1.51 * period_s
