"""gateway/chat/replay_limiter.py"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.replay_limiter import BURST_S, PORTION, ReplayLimiter

NOW = 100.0


def told(limiter: ReplayLimiter, heard: int, goal: int, now: float) -> int:
    """Take all portions that there are at one moment; return their sum."""
    total = 0
    while heard + total < goal and (portion := limiter.portion(heard + total, goal, now)):
        portion = min(portion, goal - heard - total)
        limiter.sent(portion)
        total += portion
    return total


def test_a_burst_comes_at_once_and_then_the_rate() -> None:
    limiter = ReplayLimiter(1_000, 10_000, NOW)
    assert told(limiter, 0, 10_000, NOW) == 1_000 * BURST_S
    assert limiter.waits
    assert told(limiter, 500, 10_000, NOW + 0.5) == 500
    assert told(limiter, 1_000, 10_000, NOW + 100) == 500


def test_small_portions_wait() -> None:
    limiter = ReplayLimiter(1_000, 10_000, NOW)
    told(limiter, 0, 10_000, NOW)
    assert limiter.portion(500, 10_000, NOW + 0.1) == 0
    assert limiter.waits


def test_a_small_rest_does_not_wait() -> None:
    limiter = ReplayLimiter(1_000, 510, NOW)
    assert told(limiter, 0, 500, NOW) == 500
    assert limiter.portion(500, 510, NOW + 0.02) >= 10
    assert not limiter.waits


def test_more_may_be_asked_for_than_is_missing_as_some_may_come_meanwhile() -> None:
    assert ReplayLimiter(1_000, 10, NOW).portion(9, 10, NOW) == PORTION


def test_a_portion_has_a_bound() -> None:
    assert ReplayLimiter(1_000_000, 10_000, NOW).portion(0, 10_000, NOW) == PORTION


def test_a_replay_slower_than_the_room_still_ends() -> None:
    talked, heard, now = 1_000, 0, NOW
    limiter = ReplayLimiter(10, talked, now)
    while heard < talked:
        assert now < NOW + 60
        now += 0.25
        talked += 1_000
        heard += told(limiter, heard, talked, now)


@given(
    rate=st.floats(0.1, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3_000)), max_size=60),
)
def test_no_more_is_sent_than_the_rate_or_twice_the_new_entries(rate: float, steps: list[tuple[float, int]]) -> None:
    goal, heard, now = 5_000, 0, NOW
    limiter = ReplayLimiter(rate, goal, now)
    for seconds, said in steps:
        now += seconds
        goal += said
        heard += told(limiter, heard, goal, now)
        assert heard <= goal
        assert heard <= max(rate * BURST_S, 1) + (now - NOW) * rate + 2 * (goal - 5_000) + 1


@given(rate=st.floats(0.1, 1e6), missing=st.integers(1, 3_000))
def test_it_always_ends(rate: float, missing: int) -> None:
    limiter, heard, now = ReplayLimiter(rate, missing, NOW), 0, NOW
    while heard < missing:
        assert now < NOW + 2 * missing / rate + 2 / rate + 1
        heard += told(limiter, heard, missing, now)
        now += min(BURST_S, 1 / rate) / 2
