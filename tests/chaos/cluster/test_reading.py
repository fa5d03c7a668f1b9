"""The watch over shards' terms bites."""

from tests.chaos.cluster.database import Database
from tests.chaos.cluster.reading import TermWatch


class NoDatabase(Database):
    def __init__(self) -> None:
        self.nodes = []


def test_owners_that_follow_each_other_are_counted() -> None:
    watch = TermWatch(NoDatabase())
    watch.note([(0, 1, "a"), (1, 1, "a")])
    watch.note([(0, 1, "a"), (1, 2, "b")])
    assert (watch.complaints, watch.takeovers, watch.looks) == ([], 1, 2)


def test_two_owners_in_one_term_are_reported() -> None:
    watch = TermWatch(NoDatabase())
    watch.note([(3, 7, "a")])
    watch.note([(3, 7, "b")])
    assert watch.complaints == ["shard 3 has two owners in term 7: a and b"]


def test_a_term_that_goes_back_is_reported() -> None:
    watch = TermWatch(NoDatabase())
    watch.note([(3, 7, "a")])
    watch.note([(3, 6, "b")])
    assert watch.complaints == ["shard 3 went back from term 7 to 6"]
