from tests.chaos.cluster.posters import PATIENCE_S, give_up_at, unkept
from tests.chaos.history import FOREVER, History, Outage, RoomLog
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind


def a_history(*offsets: int) -> History:
    history = History(1, ("",))
    entries = tuple(Entry(at, EntryKind.SAID, 0, "poster0[bot]", "<9000/2> hello", 0, 1_000) for at in offsets)
    history.log[9] = RoomLog(9, frozenset({1}), entries)
    return history


def test_a_post_that_is_kept_where_the_answer_says_is_not_reported() -> None:
    assert not [*unkept(a_history(4), {(9000, 2): 4})]


def test_a_post_that_was_accepted_and_is_lost_moved_or_doubled_is_reported() -> None:
    for offsets in ((), (5,), (4, 5)):
        told = f"post (9000, 2) was accepted at 4, the log has it at {list(offsets)}"
        assert [*unkept(a_history(*offsets), {(9000, 2): 4})] == [told]


def test_a_post_has_time_from_the_end_of_the_last_fault_on() -> None:
    history = a_history()
    assert give_up_at(history, 100.0) == 100.0 + PATIENCE_S
    history.outages += [Outage("kill", "broker", 90.0, 99.0), Outage("kill", "broker", 101.0, 130.0)]
    assert give_up_at(history, 100.0) == 130.0 + PATIENCE_S
    history.outages.append(Outage("cut", "link 0", 131.0))
    assert give_up_at(history, 100.0) == FOREVER
