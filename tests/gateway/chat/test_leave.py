"""gateway/chat/leave.py, in a whole gateway without I/O."""

from gateway.chat.leave import LEAVING_S
from tests.gateway.chat.scripting import ALICE
from tests.support.fakes import ScriptedGateway, entry
from tsudoi.protocol.backbone import Item
from tsudoi.protocol.codes import EntryKind, LeaveReason


def test_an_idle_member_leaves_through_the_broker_and_is_told(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    gateway.wait(99.0)
    assert gateway.published() == []
    gateway.wait(2.0)
    assert gateway.published() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.IDLE)]
    assert gateway.outbound.to(ALICE) == []
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.IDLE))
    assert gateway.outbound.to(ALICE) == [b"Timeout!"]
    assert gateway.members.rooms == {}
    assert gateway.outbound.topics == []


def test_any_accepted_datagram_counts_as_a_sign_of_life(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    for _ in range(5):
        gateway.wait(60.0)
        gateway.receive(1, "", ALICE)
    assert gateway.published() == []


def test_a_member_that_leaves_and_that_the_broker_does_not_know_is_dropped(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, address=ALICE)
    gateway.core.leave(member, LeaveReason.LEFT, gateway.now)
    gateway.wait(LEAVING_S + 1)
    assert gateway.members.by_token == {}
    assert gateway.members.rooms == {}
