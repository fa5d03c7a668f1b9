"""gateway/chat/replay_limiter.py"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.replay_limiter import AT_ONCE, BURST_S, LATE_S, PACE_S, PORTION, TALK_S, ReplayLimiter

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
    limiter = ReplayLimiter(100, 10_000, NOW)
    assert told(limiter, 0, 10_000, NOW) == 100 * BURST_S
    assert limiter.waits
    assert told(limiter, 50, 10_000, NOW + 0.5) == 50
    assert told(limiter, 100, 10_000, NOW + 100) == 50


def test_a_burst_fits_into_a_socket_of_default_size() -> None:
    limiter = ReplayLimiter(5_000, 10_000, NOW)
    assert told(limiter, 0, 10_000, NOW) == AT_ONCE
    assert told(limiter, 100, 10_000, NOW + PACE_S) >= AT_ONCE - 1
    assert told(limiter, 200, 10_000, NOW + 100) == AT_ONCE


def test_small_portions_wait() -> None:
    limiter = ReplayLimiter(100, 10_000, NOW)
    told(limiter, 0, 10_000, NOW)
    assert limiter.portion(50, 10_000, NOW + 0.1) == 0
    assert limiter.waits


def test_a_small_rest_does_not_wait() -> None:
    limiter = ReplayLimiter(1_000, 110, NOW)
    assert told(limiter, 0, 100, NOW) == 100
    assert limiter.portion(100, 110, NOW + 0.02) >= 10
    assert not limiter.waits


def test_more_may_be_asked_for_than_is_missing_as_some_may_come_meanwhile() -> None:
    assert ReplayLimiter(1_000, 10, NOW).portion(9, 10, NOW) == AT_ONCE


def test_a_portion_has_a_bound() -> None:
    assert ReplayLimiter(1_000_000, 10_000, NOW).portion(0, 10_000, NOW) == PORTION


def test_a_replay_slower_than_the_room_still_ends() -> None:
    talked, heard, now = 1_000, 0, NOW
    limiter = ReplayLimiter(10, talked, now)
    while heard < talked:
        assert now < NOW + 60
        now += PACE_S
        talked += 80
        heard += told(limiter, heard, talked, now)


def test_new_entries_of_a_room_that_talks_steadily_wait_for_nothing_after_a_second() -> None:
    limiter, last, now = ReplayLimiter(5_000, 0, NOW), 0, NOW
    while now < NOW + 5:
        now += 0.005
        last += 100  # 20,000 a second
        assert limiter.live(100, last, now) == 100 or now < NOW + 2 * TALK_S


def test_what_comes_at_once_after_a_pause_is_no_speed() -> None:
    limiter = ReplayLimiter(5_000, 0, NOW)
    last = 0
    for tenth in range(20):
        last += 20
        assert limiter.live(20, last, NOW + tenth / 10) == 20
    sent = 0
    for millisecond in range(20):
        last += 100
        sent += limiter.live(100, last, NOW + 7 + millisecond / 1000)
    assert AT_ONCE <= sent <= AT_ONCE + 5_000 * 0.02


@given(
    rate=st.floats(0.1, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3_000)), max_size=60),
)
def test_no_more_is_sent_than_the_rate_or_twice_the_talk(rate: float, steps: list[tuple[float, int]]) -> None:
    goal, heard, now = 5_000, 0, NOW
    limiter = ReplayLimiter(rate, goal, now)
    fastest = 0.0
    for seconds, said in steps:
        now += seconds
        goal += said
        sent = told(limiter, heard, goal, now)
        heard += sent
        fastest = max(fastest, 2 * limiter._talk)
        assert heard <= goal
        assert sent <= max(min(rate * BURST_S, AT_ONCE), rate * PACE_S, fastest * LATE_S, 1) + 1


@given(rate=st.floats(0.1, 1e6), missing=st.integers(1, 3_000))
def test_it_always_ends(rate: float, missing: int) -> None:
    limiter, heard, now = ReplayLimiter(rate, missing, NOW), 0, NOW
    step = max(min(BURST_S, 1 / rate) / 2, PACE_S)
    while heard < missing:
        assert now < NOW + 2 * missing / rate + 2 / rate + 2 + missing / PORTION
        heard += told(limiter, heard, missing, now)
        now += step
