"""broker/steady_clock.py"""

from hypothesis import given
from hypothesis import strategies as st

from broker.steady_clock import AWAY_MS, HOLDS_MS, STEP_MS, SteadyClock

WALL = 1_700_000_000_000
DAY = 86_400_000


def test_a_step_that_does_not_last_changes_nothing() -> None:
    clock = SteadyClock(WALL, 0)
    assert clock.read(WALL + 5, 5) == WALL + 5
    for passed in range(10, HOLDS_MS, 1_000):
        assert clock.read(WALL + 40 * DAY + passed, passed) == WALL + passed
        assert clock.deletes_by(WALL + 40 * DAY + passed, passed) == WALL + passed
        assert (clock.is_doubted, clock.step_ms) == (True, 40 * DAY)
    assert clock.read(WALL + HOLDS_MS, HOLDS_MS) == WALL + HOLDS_MS
    assert not clock.is_doubted


def test_a_step_that_lasts_is_followed() -> None:
    for step in (40 * DAY, -DAY):
        clock = SteadyClock(WALL, 0)
        assert clock.read(WALL + step, 0) == WALL
        assert clock.read(WALL + step + HOLDS_MS - 1, HOLDS_MS - 1) == WALL + HOLDS_MS - 1
        assert clock.read(WALL + step + HOLDS_MS, HOLDS_MS) == WALL + step + HOLDS_MS
        assert not clock.is_doubted


def test_a_further_step_has_to_last_too() -> None:
    clock = SteadyClock(WALL, 0)
    clock.read(WALL + DAY, 0)
    assert clock.read(WALL + 2 * DAY, HOLDS_MS - 1) == WALL + HOLDS_MS - 1
    assert clock.read(WALL + 2 * DAY + 2, HOLDS_MS + 1) == WALL + HOLDS_MS + 1
    assert clock.read(WALL + 2 * DAY + HOLDS_MS, 2 * HOLDS_MS) == WALL + 2 * DAY + HOLDS_MS


def test_small_adjustments_are_followed_at_once() -> None:
    clock = SteadyClock(WALL, 0)
    for count in range(1, 100):
        assert clock.read(WALL + count * STEP_MS, 0) == WALL + count * STEP_MS


def test_while_the_clock_is_behind_nothing_more_is_deleted() -> None:
    clock = SteadyClock(WALL, 0)
    assert clock.deletes_by(WALL - DAY, 0) == WALL - DAY


def test_a_broker_that_was_away_deletes_nothing_before_the_clock_has_had_time_to_be_corrected() -> None:
    clock = SteadyClock(WALL, 0, WALL - AWAY_MS - 1)
    assert clock.deletes_by(WALL + HOLDS_MS - 1, HOLDS_MS - 1) == 0
    assert clock.deletes_by(WALL + HOLDS_MS, HOLDS_MS) == WALL + HOLDS_MS
    for newest in (0, WALL - AWAY_MS, WALL + DAY):
        assert SteadyClock(WALL, 0, newest).deletes_by(WALL, 0) == WALL


@given(st.lists(st.tuples(st.integers(0, HOLDS_MS // 3), st.integers(-DAY, DAY)), max_size=30))
def test_time_is_never_further_off_than_a_step_that_lasted(readings: list[tuple[int, int]]) -> None:
    """Wrong clocks that are each corrected before they have lasted move the time by adjustments at most."""
    clock, passed = SteadyClock(WALL, 0), 0
    for pause, error in readings:
        passed += pause
        clock.read(WALL + passed + error, passed)
        assert clock.read(WALL + passed, passed) == WALL + passed
