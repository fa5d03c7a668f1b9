"""gateway/chat/fencing.py, in a whole gateway without I/O."""

import pytest

from tests.gateway.chat.scripting import ALICE, BOB, answer_all, texts
from tests.support.fakes import ScriptedGateway, a_grant, address_of, said, token_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Positions, Reconcile, Reconciled, Replay, Request, Resume, RoomPositions
from tsudoi.protocol.codes import LeaveReason
from tsudoi.protocol.names import hash_token


def cut_off(gateway: ScriptedGateway) -> None:
    """Let its lease end."""
    gateway.asked(Resume)
    gateway.canaries_come_back = False
    gateway.wait(3.0)


def connect(gateway: ScriptedGateway) -> Request:
    """Connect it again; return its question which members are not its own."""
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    return gateway.asked(Reconcile)[-1]


def test_a_gateway_without_a_lease_delivers_nothing_before_it_has_reconciled(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    cut_off(gateway)
    gateway.news(said(2, 9, "2"))
    assert gateway.outbound.sent == []
    assert gateway.counters.fenced == 1
    request = connect(gateway)
    assert isinstance(request.body, Reconcile)
    assert sorted(request.body.members) == [1, 2]
    gateway.reply(request.id, Reconciled([2], []))
    gateway.tick()
    while answer_all(gateway, [said(2, 9, "2")]):
        pass
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], [])
    assert list(gateway.members.rooms[1].members) == [1]


def test_a_gateway_that_stays_fenced_is_unhealthy_although_canaries_come_back(gateway: ScriptedGateway) -> None:
    fencing = gateway.core.fencing
    gateway.enter(1, address=ALICE)
    cut_off(gateway)
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(3.0)
    assert fencing.unhealthy_reason(gateway.now) == ""
    gateway.wait(2.0)
    assert fencing.unhealthy_reason(gateway.now) == "the broker answers too slowly, and nothing is delivered"
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], []))
    gateway.tick()
    assert fencing.unhealthy_reason(gateway.now) == ""


def test_members_that_come_in_while_reconciling_are_asked_for_too(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    cut_off(gateway)
    first = connect(gateway)
    # The answer to a question of long ago: the member may be another's by now.
    gateway.enter(2, address=BOB)
    gateway.reply(first.id, Reconciled([], []))
    second = gateway.asked(Reconcile)[-1]
    assert isinstance(second.body, Reconcile)
    assert sorted(second.body.members) == [1, 2]
    gateway.news(said(2, 9, "2"))
    assert gateway.outbound.sent == []
    gateway.reply(second.id, Reconciled([2], []))
    gateway.tick()
    while answer_all(gateway, [said(2, 9, "2")]):
        pass
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], [])


def test_an_answer_to_a_question_of_before_the_fencing_ends_it_not(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.core.routes.reconnected("tcp://10.0.0.1:9003")
    gateway.wait(0.5)
    (before,) = gateway.asked(Reconcile)
    gateway.canaries_come_back = False
    gateway.wait(2.0)  # the lease ends, and no question is given up
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(0.5)
    gateway.reply(before.id, Reconciled([], []))
    gateway.news(said(2, 9, "2"))
    assert gateway.outbound.sent == []
    gateway.wait(0.5)
    after = gateway.asked(Reconcile)[-1]
    assert after.id != before.id
    gateway.reply(after.id, Reconciled([1], []))
    assert gateway.members.rooms == {}


def test_entries_missed_while_fenced_are_replayed(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    cut_off(gateway)
    gateway.reply(connect(gateway).id, Reconciled([], []))
    request = gateway.asked(Positions)[-1]
    assert request.body == Positions([(1, 1, 1, 0)])
    gateway.reply(request.id, RoomPositions([(1, 1, 3)]))
    while answer_all(gateway, [said(2, 9, "2"), said(3, 9, "3")]):
        pass
    assert texts(gateway, ALICE) == ["2", "3"]


def test_a_lost_canary_makes_it_ask_where_rooms_stand(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.asked(Positions)
    gateway.canaries_come_back = False
    gateway.wait(0.25)
    gateway.canaries_come_back = True
    gateway.wait(0.25)
    (request,) = gateway.asked(Positions)
    gateway.reply(request.id, RoomPositions([(1, 1, 1)]))
    assert gateway.asked(Replay) == []


WENT_ELSEWHERE = address_of(2, port=30_002)


def test_another_connection_makes_it_ask_which_members_are_its_own(gateway: ScriptedGateway) -> None:
    """Its broker may have given it some over the last one, and not have noticed that this has ended."""
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    gateway.asked(Reconcile)
    gateway.wait(3.0)
    assert gateway.asked(Reconcile) == []
    gateway.core.routes.reconnected("tcp://10.0.0.1:9003")
    gateway.wait(1.0)
    (question,) = gateway.asked(Reconcile)
    assert isinstance(question.body, Reconcile)


@pytest.fixture
def came_back(gateway: ScriptedGateway) -> ScriptedGateway:
    """A gateway in whose fence a member came back from one that is gone; it has asked for the member."""
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    cut_off(gateway)
    gateway.receive(2, "", BOB)
    gateway.reply(connect(gateway).id, Reconciled([2], [], [2]))
    return gateway


def test_a_member_that_came_back_from_a_gateway_that_is_gone_is_asked_for(came_back: ScriptedGateway) -> None:
    (request,) = came_back.asked(Resume)
    assert request.body == Resume(hash_token(token_of(2)), "192.0.2.1", 30_000)
    # Nothing is sent to it before the directory has granted it.
    came_back.news(said(2, 9, "2"))
    assert texts(came_back, BOB) == []
    # The gateway that is gone heard it from another port, or never told where it is.
    came_back.reply(request.id, a_grant(2, address=b"192.0.2.1 30002 0"))
    while answer_all(came_back, [said(2, 9, "2")]):
        pass
    came_back.news(said(3, 9, "3"))
    assert (texts(came_back, BOB), texts(came_back, WENT_ELSEWHERE)) == (["2", "3"], [])
    came_back.receive(2, "it is heard", BOB)
    assert came_back.said() == ["it is heard"]
    assert came_back.members.unproven == {}


@pytest.mark.parametrize("kept", [b"", b"192.0.2.1 30002 0"], ids=["no address", "another address"])
def test_what_went_to_the_address_of_such_a_member_is_sent_again_if_it_is_elsewhere(
    came_back: ScriptedGateway, kept: bytes
) -> None:
    came_back.reply(came_back.asked(Resume)[0].id, a_grant(2, address=kept))
    came_back.news(said(2, 9, "2"))
    while answer_all(came_back, [said(2, 9, "2")]):
        pass
    assert texts(came_back, BOB) == ["2"]
    came_back.receive(2, "", WENT_ELSEWHERE)
    while answer_all(came_back, [said(2, 9, "2")]):
        pass
    assert texts(came_back, WENT_ELSEWHERE) == ["2"]


def test_such_a_member_is_sent_what_it_missed_while_it_was_displaced(came_back: ScriptedGateway) -> None:
    came_back.news(said(2, 9, "2"), said(3, 9, "3"))
    came_back.reply(came_back.asked(Resume)[0].id, a_grant(2, offset=3, address=b"192.0.2.1 30002 0 !1"))
    while answer_all(came_back, [said(2, 9, "2"), said(3, 9, "3")]):
        pass
    assert texts(came_back, BOB) == ["2", "3"]


def test_datagrams_of_such_a_member_wait_for_the_grant(came_back: ScriptedGateway) -> None:
    came_back.receive(2, "before the grant", BOB)
    (request,) = came_back.asked(Resume)
    came_back.reply(request.id, a_grant(2))
    assert came_back.said() == ["before the grant"]


@pytest.mark.parametrize(
    ("is_heard", "has_left", "answer"),
    [
        (False, False, Reconciled([2], [], [2])),
        (True, True, Reconciled([2], [], [2])),
        (True, False, Reconciled([2], [])),
    ],
    ids=["not heard here", "has left", "its gateway lives"],
)
def test_other_members_of_other_gateways_are_not_asked_for(
    gateway: ScriptedGateway, is_heard: bool, has_left: bool, answer: Reconciled
) -> None:
    gateway.enter(1, address=ALICE)
    member = gateway.enter(2, address=BOB)
    cut_off(gateway)
    if is_heard:
        gateway.receive(2, "", BOB)
    if has_left:
        gateway.core.leaving.leave(member, LeaveReason.LEFT, gateway.now)
    gateway.reply(connect(gateway).id, answer)
    assert gateway.asked(Resume) == []
    assert list(gateway.members.rooms[1].members) == [1]
