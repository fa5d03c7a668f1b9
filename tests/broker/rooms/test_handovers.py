"""broker/rooms/handovers.py: Resumes that come late, and of removed members; test_lost_gateways.py has the rest."""

import pytest
from msgspec import structs

from tests.broker.scripted import A, B, Broker, a_join, a_token, addressed, left, released, said
from tsudoi.protocol.backbone import (
    VERSION,
    Adopt,
    Bye,
    Delivered,
    Granted,
    Hello,
    Item,
    Refused,
    Release,
    Reply,
    Request,
    Resume,
)
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status


def resume(count: int) -> Resume:
    return Resume(a_token(1), "192.0.2.1", 0, True, count)


def give_up(broker: Broker, peer: str) -> None:
    """Let a gateway release the one member that it was asked to."""
    release = [message for message in broker.told(peer) if isinstance(message, Release)][-1]
    broker.publish(peer, released(release, 1))


def test_a_resume_that_was_held_up_moves_no_session_back(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.say(B, Request(5, resume(9)))
    (release,) = [message for message in broker.told(A) if isinstance(message, Release)]
    broker.publish(A, released(release, 1))
    members = broker.core.directory.members
    assert members[member.member].gateway == B
    assert broker.ask(A, resume(8)) == Refused(Status.BUSY, "")
    assert broker.core.counters.resumed_late == 1
    # The answer may be lost, so B asks again.
    assert isinstance(broker.ask(B, resume(9)), Granted)
    assert members[member.member].gateway == B


def test_a_repeated_answer_to_an_earlier_handover_ends_no_other(broker: Broker) -> None:
    """Its gateway has the session again by now, and delivers until it answers the last Release."""
    member = broker.create(peer=A)
    broker.say(B, Request(5, resume(0)))
    (earlier,) = [message for message in broker.told(A) if isinstance(message, Release)]
    broker.publish(A, released(earlier, 1))
    broker.say(A, Request(6, resume(0)))
    give_up(broker, B)
    broker.say(B, Request(7, resume(0)))
    broker.publish(A, released(earlier, 1))
    assert broker.core.directory.members[member.member].gateway == A
    give_up(broker, A)
    assert broker.core.directory.members[member.member].gateway == B


def test_a_session_that_is_released_too_late_goes_back_to_its_owner_at_its_position() -> None:
    """The owner stood still until the gateway that had asked was gone. It serves other members of the room."""
    broker = Broker(None, A, B)
    member, other = broker.create(peer=A), broker.join(peer=B)
    broker.say(B, Request(5, resume(0)))
    (release,) = [message for message in broker.told(A) if isinstance(message, Release)]
    broker.publish(B, *(said(other, number) for number in range(5)))
    broker.say(B, Bye())
    broker.wait(10.0)
    assert isinstance(broker.ask(A, structs.replace(resume(0), token_hash=a_token(2))), Granted)
    broker.publish(A, addressed(member, 1), released(release, 1))
    broker.say(A, Delivered([(member.room, member.epoch, 7)]))
    (adopt,) = [message for message in broker.told(A) if isinstance(message, Adopt)]
    assert [(each.granted.member, each.granted.offset) for each in adopt.members] == [(member.member, 1)]
    assert broker.core.directory.members[member.member].received() == 1


@pytest.mark.parametrize(("count", "order"), [(9, [B]), (0, [A, B])], ids=["version 2", "another"])
def test_of_gateways_that_wait_for_a_session_only_the_one_with_the_newest_packet_gets_it(
    count: int, order: list[str]
) -> None:
    """Elsewhere its client waits for nothing any more; those of other dialects have datagrams there."""
    broker = Broker(None, "owner", A, B)
    member = broker.create(peer="owner")
    broker.say(A, Request(5, resume(min(count, 8))))
    broker.say(B, Request(6, resume(count)))
    broker.say(B, Request(6, resume(count)))  # repeated
    refused = [message for message in broker.told(A) if isinstance(message, Reply)]
    assert refused == ([Reply(5, Refused(Status.BUSY, ""))] if count else [])
    owners = []
    for _ in order:
        owner = broker.core.directory.members[member.member].gateway
        release = [message for message in broker.told(owner) if isinstance(message, Release)][-1]
        broker.publish(owner, released(release, 1))
        owners.append(broker.core.directory.members[member.member].gateway)
    assert owners == order


@pytest.mark.parametrize("is_lost", [False, True], ids=["late", "lost"])
def test_a_resume_that_is_repeated_before_its_answer_has_come_takes_no_session_back(is_lost: bool) -> None:
    """Of a dialect of version 1; unless the answer is lost with its connection: then the gateway has its datagram."""
    broker = Broker(None, A, B, "third")
    member = broker.create(peer=A)

    def owner() -> str:
        return broker.core.directory.members[member.member].gateway

    broker.say(B, Request(5, resume(0)))
    give_up(broker, A)
    broker.say("third", Request(6, resume(0)))
    if is_lost:
        broker.say(B, Hello(VERSION))
    broker.say(B, Request(5, resume(0)))
    give_up(broker, B)
    assert owner() == "third"
    assert any(isinstance(message, Release) for message in broker.told("third")) == is_lost
    if not is_lost:
        # What its client sends there since is another question.
        broker.say(B, Request(7, resume(0)))
        give_up(broker, "third")
        assert owner() == B


@pytest.mark.parametrize("count", [10, 0], ids=["newer", "not of version 2"])
def test_other_resumes_move_it(broker: Broker, count: int) -> None:
    broker.create(peer=A)
    broker.ask(A, resume(9))
    assert broker.say(B, Request(5, resume(count))) == []
    assert isinstance(broker.told(A)[-1], Release)


@pytest.mark.parametrize(
    ("dialect", "how", "is_served"),
    [
        ("tsudoi-2", "/kick bob", True),
        ("tsudoi-2", "/ban bob", True),
        ("tsudoi-2", "left", False),
        ("tsudoi-2", "idle", False),
        ("tsudoi", "/kick bob", False),
    ],
)
def test_the_session_of_a_member_of_version_2_that_others_removed_has_its_log_to_that_end(
    broker: Broker, dialect: str, how: str, is_served: bool
) -> None:
    alice = broker.create(peer=A)
    bob = broker.ask(A, structs.replace(a_join(), dialect=dialect))
    assert isinstance(bob, Granted)
    if how in ("left", "idle"):
        broker.publish(A, left(bob, LeaveReason.IDLE if how == "idle" else LeaveReason.LEFT))
    else:
        broker.publish(A, Item(EntryKind.COMMANDED, alice.room, alice.member, how, 0))
    (end,) = [entry for entry in broker.log(alice.room) if entry.kind == EntryKind.LEFT]
    broker.publish(A, said(alice, "after that"))
    answer = broker.ask(B, Resume(a_token(2), "192.0.2.1", 0, True, 3))
    if not is_served:
        assert answer == Refused(Status.ROOM_NOT_FOUND, "")
        return
    assert isinstance(answer, Granted)
    assert (answer.member, answer.left, answer.offset) == (bob.member, end.offset, broker.log(alice.room)[-1].offset)
    broker.core.directory.begin_epoch(broker.core.directory.rooms[alice.room])
    assert broker.ask(B, Resume(a_token(2), "192.0.2.1", 0, True, 4)) == Refused(Status.ROOM_NOT_FOUND, "")


def test_the_session_of_a_member_that_was_removed_during_its_handover_has_its_log_to_that_end(broker: Broker) -> None:
    alice = broker.create(peer=A)
    bob = broker.ask(A, structs.replace(a_join(), dialect="tsudoi-2"))
    assert isinstance(bob, Granted)
    broker.say(B, Request(5, Resume(a_token(2), "192.0.2.1", 0, True, 3)))
    broker.publish(A, Item(EntryKind.COMMANDED, alice.room, alice.member, "/kick bob", 0))
    broker.wait(0.5, A, B)
    (answer,) = [each.body for each in broker.told(B) if isinstance(each, Reply) and each.id == 5]
    assert isinstance(answer, Granted)
    assert (answer.member, answer.left) == (bob.member, broker.log(alice.room)[-1].offset)
