"""tsudoi/ops/log_throttle.py"""

from tsudoi.ops.log_throttle import LogThrottle


def test_an_event_is_logged_once_in_a_while_and_all_events_have_a_rate() -> None:
    throttle = LogThrottle[str](2, again_s=100.0)
    assert [throttle.touch(key, 0.0, 0.1, 2.0) for key in ("a", "a", "b", "c", "c")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert (throttle.take_suppressed(), throttle.take_suppressed()) == (2, 0)
    assert throttle.touch("c", 10.0, 0.1, 2.0)
    assert not throttle.touch("b", 99.0, 0.1, 2.0)
    assert throttle.touch("b", 100.0, 0.1, 2.0)


def test_the_event_logged_longest_ago_is_forgotten() -> None:
    throttle = LogThrottle[int](10, again_s=100.0)
    for number in range(1000):
        throttle.touch(number, 0.0, 1.0, 1000.0)
    assert len(throttle._logged) == 10
