"""gateway/chat/fair_share.py"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.fair_share import FairShare

RATE, BURST = 50.0, 100.0


def take(share: FairShare, member: int, now: float, rate: float, burst: float, count: int) -> int:
    allowed = share.take(now, rate, burst, count)
    return allowed + share.take_shares(member, now, rate, burst, count - allowed)


def test_below_its_rate_it_is_a_bucket() -> None:
    share = FairShare(2.0, 0.0)
    assert [take(share, 1, 0.0, 1.0, 2.0, 1) for _ in range(2)] == [1, 1]
    assert take(share, 2, 1.0, 1.0, 2.0, 1)
    assert not share._shares


@given(
    demands=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    seed=st.randoms(use_true_random=False),
)
def test_a_member_below_its_share_loses_nothing_and_all_keep_to_the_rate(demands: list[int], seed: object) -> None:
    """`demands` are the messages that each member sends in each of 30 seconds."""
    share = FairShare(BURST, 0.0)
    allowed = [0] * len(demands)
    lost = [0] * len(demands)
    for second in range(30):
        sent = [
            (second + (number + 0.5) / demand, member)
            for member, demand in enumerate(demands)
            for number in range(demand)
        ]
        for now, member in sorted(sent):
            if take(share, member, now, RATE, BURST, 1):
                allowed[member] += 1
            else:
                lost[member] += 1
    fair = RATE / len(demands)
    for member, demand in enumerate(demands):
        assert demand > fair or not lost[member]
        # In the first second of an overload it is not known how many share.
        assert allowed[member] >= min(demand, int(fair)) * 29
    assert sum(allowed) <= RATE * 30 + 2 * BURST + RATE + len(demands) * 30


def test_a_burst_that_is_over_is_forgotten() -> None:
    share = FairShare(BURST, 0.0)
    for number in range(1_000):
        take(share, number % 3, 0.0, RATE, BURST, 1)
    assert take(share, 9, 10.0, RATE, BURST, 200) >= BURST


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(1, 40)), min_size=1, max_size=30))
def test_several_messages_at_once_are_allowed_as_one_by_one(steps: list[tuple[float, int, int]]) -> None:
    together, single, now = FairShare(BURST, 0.0), FairShare(BURST, 0.0), 0.0
    for pause, member, count in steps:
        now += pause
        one_by_one = sum(take(single, member, now, RATE, BURST, 1) for _ in range(count))
        assert take(together, member, now, RATE, BURST, count) == one_by_one
