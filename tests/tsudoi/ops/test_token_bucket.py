"""tsudoi/ops/token_bucket.py"""

from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops.token_bucket import Bucket, Buckets


def test_a_burst_goes_at_once_and_then_a_rate() -> None:
    bucket = Bucket(3, 10.0)
    assert [bucket.touch(10.0, 2, 3) for _ in range(4)] == [True, True, True, False]
    assert not bucket.touch(10.4, 2, 3)
    assert bucket.touch(10.5, 2, 3)
    assert not bucket.touch(10.6, 2, 3)


def test_a_long_silence_saves_up_no_more_than_a_burst() -> None:
    bucket = Bucket(3, 0.0)
    assert [bucket.touch(1e6, 2, 3) for _ in range(4)] == [True, True, True, False]


def test_what_weighs_more_leaves_less_for_others() -> None:
    bucket = Bucket(5, 0.0)
    assert [bucket.touch(0.0, 1, 5, cost) for cost in (2.5, 1.0, 2.5, 1.0, 1.0)] == [True, True, False, True, False]
    assert not bucket.touch(1.9, 1, 5, 2.5)
    assert bucket.touch(2.0, 1, 5, 2.5)


@given(
    st.floats(0, 20), st.lists(st.tuples(st.floats(0, 5), st.integers(1, 40), st.booleans()), min_size=1, max_size=20)
)
def test_several_events_at_once_are_allowed_as_one_by_one(burst: float, steps: list[tuple[float, int, bool]]) -> None:
    together, single, now = Bucket(burst, 0.0), Bucket(burst, 0.0), 0.0
    for pause, count, owes in steps:
        now += pause
        assert together.take(now, 2.0, burst, count) == sum(single.touch(now, 2.0, burst) for _ in range(count))
        if owes:
            together.borrow(burst)
            single.borrow(burst)


def test_trying_too_often_costs_nothing() -> None:
    bucket = Bucket(1, 0.0)
    assert bucket.touch(0.0, 1, 1)
    assert not any(bucket.touch(tenth / 10, 1, 1) for tenth in range(1, 10))
    assert bucket.touch(1.01, 1, 1)


def test_refunds_never_exceed_the_burst() -> None:
    buckets: Buckets[str] = Buckets(2)
    assert [buckets.touch("one", 0.0, 1, 2) for _ in range(3)] == [True, True, False]
    buckets.refund("one", 2)
    assert len(buckets) == 1
    buckets.refund("one", 2)
    assert len(buckets) == 0
    buckets.refund("one", 2)
    assert [buckets.touch("one", 0.0, 1, 2) for _ in range(3)] == [True, True, False]


def test_buckets_that_are_full_again_are_forgotten() -> None:
    buckets: Buckets[str] = Buckets(3)
    for key, now in (("early", 0.0), ("often", 0.0), ("often", 0.0), ("late", 1.5)):
        assert buckets.touch(key, now, 1, 2)
    buckets.forget_full(1.9, 1, 2)
    assert len(buckets) == 2
    assert [buckets.touch("often", 1.9, 1, 2) for _ in range(2)] == [True, False]
    buckets.forget_full(10.0, 1, 2)
    assert len(buckets) == 0


@given(
    steps=st.lists(st.floats(0, 5), min_size=1, max_size=100),
    rate=st.floats(0.1, 1_000),
    burst=st.floats(1, 100),
)
def test_in_any_time_no_more_than_burst_and_rate_allow(steps: list[float], rate: float, burst: float) -> None:
    bucket, now, passed = Bucket(burst, 0.0), 0.0, 0
    for step in steps:
        now += step
        passed += bucket.touch(now, rate, burst)
        assert passed <= burst + now * rate + 1e-6
