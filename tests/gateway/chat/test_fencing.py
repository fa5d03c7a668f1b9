"""gateway/chat/fencing.py, in a whole gateway without I/O."""

from tests.gateway.chat.scripting import ALICE, BOB, answer_all, texts
from tests.support.fakes import ScriptedGateway, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Positions, Reconcile, Reconciled, Replay, RoomPositions


def test_a_gateway_without_a_lease_delivers_nothing_before_it_has_reconciled(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    gateway.news(said(2, 9, "2"))
    assert gateway.outbound.sent == []
    assert gateway.counters.fenced == 1
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    request = gateway.asked(Reconcile)[-1]
    assert isinstance(request.body, Reconcile)
    assert sorted(request.body.members) == [1, 2]
    gateway.reply(request.id, Reconciled([2], []))
    gateway.tick()
    while answer_all(gateway, [said(2, 9, "2")]):
        pass
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], [])
    assert list(gateway.members.rooms[1].members) == [1]


def test_members_that_come_in_while_reconciling_are_asked_for_too(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    first = gateway.asked(Reconcile)[-1]
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


def test_entries_missed_while_fenced_are_replayed(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], []))
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
