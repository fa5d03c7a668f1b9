"""gateway/chat/history.py: what a newcomer of version 2 is told of the time before its join."""

import msgspec
import pytest

from gateway.chat.history import MOST_BYTES, history_rows
from gateway.chat.members import CatchUpState
from tsudoi.protocol.backbone import Entry, Refused, Replayed
from tsudoi.protocol.codes import EntryKind


def entry(offset: int, kind: EntryKind = EntryKind.SAID, text: str = "hi") -> Entry:
    return Entry(offset, kind, 1, "alice", text, 0, 1_000 + offset)


def log(*entries: Entry) -> Replayed:
    return Replayed(1, 1, entries[0].offset, entries[-1].offset, list(entries))


def test_the_last_messages_before_the_join_come_oldest_first_with_their_times() -> None:
    answer = log(
        entry(1, EntryKind.JOINED),
        *(entry(2), entry(3, text="a\nb"), entry(4, EntryKind.WHISPERED), entry(5, EntryKind.ACTED, "waves")),
        *(entry(6, EntryKind.JOINED), entry(7, text="said after the join")),
    )
    assert history_rows(answer, CatchUpState(6, 2)) == [
        {"n": 3, "from": "alice", "said": "a\nb", "at": 1_003},
        {"n": 5, "from": "alice", "said": "waves", "at": 1_005, "acted": True},
    ]


def test_long_messages_are_told_as_far_as_the_answer_has_room() -> None:
    answer = log(*(entry(at, text="あ" * 1_300) for at in range(1, 101)))
    found = history_rows(answer, CatchUpState(100, 100))
    assert [row["n"] for row in found] == list(range(101 - len(found), 101))
    size = len(msgspec.json.encode(found))
    assert MOST_BYTES - 4_100 < size <= MOST_BYTES + 2


@pytest.mark.parametrize("answer", [None, Refused(5, "")], ids=["none", "refused"])
def test_without_an_answer_of_the_broker_there_is_nothing_to_tell(answer: Refused | None) -> None:
    assert history_rows(answer, CatchUpState(9, 5)) == []
