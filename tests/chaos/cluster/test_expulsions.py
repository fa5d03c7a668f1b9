from tests.chaos.cluster.expulsions import expelled
from tests.chaos.history import History, Member, RoomLog
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind, LeaveReason


def a_history(*kinds: EntryKind) -> History:
    history = History(1, ("",), members={5: Member(5, "alice", "classic", "den", 0, False)})
    entries = [
        Entry(at, kind, 1, "alice", "", LeaveReason.LEFT, 1_000)
        for at, kind in enumerate((EntryKind.JOINED, *kinds), 1)
    ]
    history.log[9] = RoomLog(9, frozenset({1}), tuple(entries))
    return history


def test_a_member_that_was_removed_is_reported() -> None:
    assert [*expelled(a_history(EntryKind.LEFT))] == ["alice was removed from room 9 at 2, and had not left"]


def test_a_room_that_was_closed_is_reported() -> None:
    assert [*expelled(a_history(EntryKind.CLOSED))] == ["room 9 was closed at 2, and its host had not left"]


def test_a_client_may_leave() -> None:
    history = a_history(EntryKind.LEFT, EntryKind.CLOSED)
    history.leavers.add(5)
    assert not [*expelled(history)]


def test_a_join_that_was_never_answered_may_be_undone() -> None:
    history = a_history(EntryKind.LEFT)
    history.members.clear()
    assert not [*expelled(history)]


def test_a_join_that_was_undone_before_its_client_entered_again_is_not_reported() -> None:
    history = a_history(EntryKind.LEFT, EntryKind.JOINED)
    history.log[9].entries[2].member = 2
    assert not [*expelled(history)]
