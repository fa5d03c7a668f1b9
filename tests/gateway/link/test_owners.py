"""gateway/link/owners.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.link.owners import FORGET_S, LISTED_S, Owners
from tsudoi.protocol.backbone import Cluster
from tsudoi.protocol.errors import MalformedMessage

A, B, C = "tcp://10.0.0.1:9003", "tcp://10.0.0.2:9003", "tcp://10.0.0.3:9003"
BROKERS = [A, B, C]
SHARDS = 3


def cluster(*owners: tuple[int, str | None], by: str = A, brokers: list[str] = BROKERS) -> Cluster:
    """A frame of one of the brokers."""
    answers = brokers.index(by) + 1 if by in brokers else 0
    return Cluster(
        brokers, answers, [(term, 0 if owner is None else brokers.index(owner) + 1) for term, owner in owners]
    )


def known(owners: Owners) -> list[tuple[int, str | None]]:
    return [(owners.term(shard), owners.endpoint(shard)) for shard in range(len(owners))]


def test_the_highest_term_is_right_in_whatever_order_frames_come() -> None:
    owners = Owners(SHARDS)
    assert owners.take(cluster((1, A), (5, B), (0, None)), 0.0) == [0, 1, 2]
    assert owners.take(cluster((2, B), (4, C), (1, C), by=C), 0.0) == [0, 2]
    assert known(owners) == [(2, B), (5, B), (1, C)]


def test_within_a_term_the_owner_alone_says_that_it_has_given_the_shard_up() -> None:
    owners = Owners(2)
    owners.take(cluster((1, A), (1, A)), 0.0)
    assert owners.take(cluster((1, None), (1, A), by=B), 0.0) == []
    assert owners.take(cluster((1, None), (1, A), by=A), 0.0) == [0]
    # A frame of before, of another broker.
    assert owners.take(cluster((1, A), (1, A), by=C), 0.0) == []
    assert known(owners) == [(1, None), (1, A)]
    # The lease was renewed after all.
    assert owners.take(cluster((1, A), (1, A), by=A), 0.0) == [0]


def test_a_broker_that_comes_back_in_another_term_is_another_owner() -> None:
    owners = Owners(2)
    owners.take(cluster((1, A), (1, A)), 0.0)
    assert owners.take(cluster((2, A), (1, A)), 0.0) == [0]


def test_terms_that_no_broker_names_any_more_are_forgotten() -> None:
    """The database was restored to an older state."""
    owners = Owners(2)
    owners.take(cluster((9, A), (9, A)), 0.0)
    # Late frames that come after this process has stood still are no proof.
    assert owners.take(cluster((3, B), (3, B)), 50.0) == []
    assert owners.take(cluster((3, B), (9, A)), 50.0 + FORGET_S - 0.1) == []
    assert owners.take(cluster((3, B), (3, B)), 50.0 + FORGET_S) == [0]
    assert known(owners) == [(3, B), (9, A)]


def test_brokers_that_are_no_longer_listed_stay_for_a_while() -> None:
    owners = Owners(2)
    owners.take(cluster((1, A), (1, B), brokers=[A, B]), 0.0)
    owners.take(cluster((1, A), (2, A), brokers=[A]), LISTED_S - 0.1)
    assert owners.brokers == [A, B]
    owners.take(cluster((1, A), (2, A), brokers=[A]), LISTED_S)
    assert owners.brokers == [A]


@pytest.mark.parametrize(
    "frame",
    [
        Cluster([A], 2, [(1, 1), (1, 1)]),
        Cluster([A], 1, [(1, 1), (1, 2)]),
        Cluster([A], 1, [(1, 1)]),
        Cluster(["inproc://broker"], 1, [(1, 1), (1, 1)]),
        Cluster([A], 1, [(1, 1), (1, 1), (1, 1)]),
    ],
)
def test_a_frame_that_contradicts_itself_changes_nothing(frame: Cluster) -> None:
    owners = Owners(2)
    with pytest.raises(MalformedMessage):
        owners.take(frame, 0.0)
    assert known(owners) == [(-1, None)] * 2
    assert owners.brokers == []


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[Cluster]]:
    """The owner of one shard in each term, and frames that tell of these terms, in any order and repeated."""
    truth = draw(st.lists(st.sampled_from(BROKERS), min_size=1, max_size=8))
    frames = []
    for _ in range(draw(st.integers(0, 30))):
        term = draw(st.integers(0, len(truth) - 1))
        owner = draw(st.sampled_from([truth[term], None]))
        by = draw(st.sampled_from([*BROKERS, ""]))
        frames.append(cluster((term, owner), (term, owner), by=by))
    return truth, frames


@given(histories())
def test_a_term_never_sinks_and_has_one_owner(history: tuple[list[str], list[Cluster]]) -> None:
    truth, frames = history
    owners, highest = Owners(2), -1
    for frame in frames:
        before = known(owners)
        changed = owners.take(frame, 0.0)
        highest = max(highest, frame.owners[0][0])
        for shard, (term, endpoint) in enumerate(known(owners)):
            assert term == highest
            assert endpoint in (None, truth[term])
            assert (shard in changed) == (before[shard] != (term, endpoint))
