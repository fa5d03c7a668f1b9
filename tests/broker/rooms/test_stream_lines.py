"""broker/rooms/stream_lines.py: lines that clients number, and send again."""

import pytest
from msgspec import structs

from tests.broker.scripted import A, B, Broker
from tsudoi.protocol.backbone import Answer, Granted, Item, Posted, Refused, Say
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, Status


@pytest.fixture
def den(broker: Broker) -> Granted:
    return broker.create()


def say(broker: Broker, den: Granted, text: str, number: int = 0, is_command: bool = False, peer: str = A) -> Answer:
    return broker.ask(peer, Say(den.room, den.member, text, is_command, number))


def said(broker: Broker, den: Granted) -> list[tuple[str, int]]:
    return [(entry.text, entry.code) for entry in broker.log(den.room) if entry.kind == EntryKind.SAID]


def test_a_line_is_an_entry_with_its_number(broker: Broker, den: Granted) -> None:
    answer = say(broker, den, "hello", 7)
    entry = broker.log(den.room)[-1]
    assert (entry.kind, entry.text, entry.code, entry.sender) == (EntryKind.SAID, "hello", 7, den.user)
    assert answer == Posted(den.user, den.epoch, entry.offset, True)


def test_a_line_that_is_repeated_is_said_once_and_one_without_a_number_each_time(broker: Broker, den: Granted) -> None:
    for _ in range(3):
        assert isinstance(say(broker, den, "once", 7), Posted)
    assert said(broker, den) == [("once", 7)]
    for _ in range(2):
        say(broker, den, "twice")
    say(broker, den, "once", 7)
    assert said(broker, den)[1:] == [("twice", 0)] * 2


def test_the_store_is_told_in_which_rows_only_the_number_has_changed(broker: Broker, den: Granted) -> None:
    say(broker, den, "one", 1)
    batch = broker.turns[-1].batch
    assert batch.said == {den.member: 1} == {member_id: row.said for member_id, row in batch.members.items() if row}
    say(broker, den, "/nick anna", 2, is_command=True)
    batch = broker.turns[-1].batch
    assert not batch.said
    assert [(row.name, row.said) for row in batch.members.values() if row] == [("anna", 2)]


def test_a_lower_number_is_refused_in_words_since_it_is_not_known_whether_that_line_was_said(
    broker: Broker, den: Granted
) -> None:
    say(broker, den, "second", 2)
    answer = say(broker, den, "first", 1)
    assert isinstance(answer, Refused)
    assert answer.status == Status.BAD_REQUEST
    assert "numbers must grow" in answer.detail
    assert said(broker, den) == [("second", 2)]


def test_of_lines_that_name_the_line_before_them_each_up_to_the_last_is_kept(broker: Broker, den: Granted) -> None:
    for number in (1, 2, 1):
        line = Say(den.room, den.member, str(number), False, number, number - 1)
        assert isinstance(broker.ask(A, line), Posted)
    assert said(broker, den) == [("1", 1), ("2", 2)]


def test_a_command_that_is_repeated_is_carried_out_once(broker: Broker, den: Granted) -> None:
    for _ in range(2):
        assert isinstance(say(broker, den, "/me waves", 3, is_command=True), Posted)
    assert [entry.kind for entry in broker.log(den.room)].count(EntryKind.ACTED) == 1


def test_the_number_is_kept_with_the_line_and_outlives_the_broker(broker: Broker, den: Granted) -> None:
    say(broker, den, "hello", 9)
    broker.restart(A)
    assert isinstance(say(broker, den, "hello", 9), Posted)
    assert said(broker, den) == [("hello", 9)]


def test_only_the_members_gateway_may_say_it(broker: Broker, den: Granted) -> None:
    assert say(broker, den, "hello", peer=B) == Refused(Status.ROOM_NOT_FOUND, "")
    for field in ("member", "room"):  # after a restore the ids of that time are given again
        assert say(broker, structs.replace(den, **{field: 12345}), "hello") == Refused(Status.ROOM_NOT_FOUND, "")
    assert not said(broker, den)


def test_in_a_room_that_has_closed_it_is_known_which_lines_are_kept(broker: Broker, den: Granted) -> None:
    bob = broker.join()
    say(broker, bob, "hello", 5)
    say(broker, den, "/close", is_command=True)
    assert isinstance(say(broker, bob, "hello", 5), Posted)
    answer = say(broker, bob, "new", 6)
    assert isinstance(answer, Refused)
    assert (answer.status, answer.detail) == (Status.BAD_REQUEST, "the room is closed: this was not said")


def test_a_muted_member_is_told_in_the_answer(broker: Broker, den: Granted) -> None:
    bob = broker.join()
    say(broker, den, "/mute bob", is_command=True)
    assert say(broker, bob, "psst", 1) == Refused(Status.BAD_REQUEST, "you are muted")
    for line in ("/me waves", "/msg alice psst", "/r psst", "/nick rob"):
        assert say(broker, bob, line, 1, is_command=True) == Refused(Status.BAD_REQUEST, "you are muted"), line
    assert isinstance(say(broker, bob, "/topic", 1, is_command=True), Posted)
    say(broker, den, "/mute bob 2", is_command=True)
    assert say(broker, bob, "psst", 2) == Refused(Status.BAD_REQUEST, "you are muted for 2 more min")
    assert Phrase.MUTED_FOR not in {entry.code for entry in broker.log(den.room)}  # it was told already
    say(broker, den, "/unmute bob", is_command=True)
    assert isinstance(say(broker, bob, "psst", 3), Posted)


# --- items of several lines -------------------------------------------------------------------------------------------


def lines(den: Granted, first: int, after: int, *texts: str) -> Item:
    return Item(EntryKind.SAID, den.room, den.member, texts[0], first, after, texts[1:])


def test_lines_of_one_item_have_numbers_that_follow_each_other(broker: Broker, den: Granted) -> None:
    last = broker.log(den.room)[-1].offset
    broker.publish(A, lines(den, 1, 0, "one", "two", "three"), lines(den, 5, 3, "five", "six"))
    expected = [("one", 1), ("two", 2), ("three", 3), ("five", 5), ("six", 6)]
    assert said(broker, den) == expected
    assert [entry.offset for entry in broker.log(den.room)[-5:]] == list(range(last + 1, last + 6))
    broker.restart(A)
    broker.publish(A, lines(den, 1, 0, "one", "two", "three"), lines(den, 5, 3, "five", "six"))
    assert said(broker, den) == expected


def test_of_an_item_only_lines_behind_the_last_kept_one_are_said(broker: Broker, den: Granted) -> None:
    broker.publish(A, lines(den, 1, 0, "one", "two"))
    broker.publish(A, lines(den, 2, 1, "two", "three"))
    assert said(broker, den) == [("one", 1), ("two", 2), ("three", 3)]
    broker.publish(A, lines(den, 2, 1, "two", "three"))
    broker.publish(A, lines(den, 5, 4, "five", "six"))
    assert said(broker, den) == [("one", 1), ("two", 2), ("three", 3)]
    assert broker.core.counters.refused_items == 2


def test_a_muted_member_says_none_of_an_items_lines(broker: Broker, den: Granted) -> None:
    bob = broker.join()
    say(broker, den, "/mute bob", 1, is_command=True)
    broker.publish(A, lines(bob, 1, 0, "one", "two"))
    assert said(broker, den) == []


def test_numbers_stay_within_what_a_frame_can_carry(broker: Broker, den: Granted) -> None:
    broker.publish(A, lines(den, 2**63 - 1, 0, "one", "two"))
    assert said(broker, den) == []
    broker.publish(A, lines(den, 2**63 - 2, 0, "one", "two"))
    assert said(broker, den) == [("one", 2**63 - 2), ("two", 2**63 - 1)]
    broker.publish(A, lines(den, 2**63 - 1, 0, "two", "three"))
    assert broker.core.counters.refused_items == 2
