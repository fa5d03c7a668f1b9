"""gateway/chat/handover.py, in a whole gateway without I/O; also grants whose answers come late or twice."""

import pytest

from gateway.chat.members import DISPLACED
from gateway.link.routes import PATIENCE_S
from gateway.listeners import sockaddr
from gateway.listeners.sockaddr import unpack
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, BOB, answer_all, release, replayed, texts
from tests.support.fakes import ScriptedGateway, a_grant, said, token_of
from tsudoi.protocol.backbone import (
    Accepted,
    Adopt,
    Adoption,
    Downward,
    Granted,
    Item,
    Positions,
    Reconcile,
    Reconciled,
    Release,
    Replay,
    Reply,
    Resume,
    RoomPositions,
)
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import TSUDOI_2, WEB
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.names import hash_token

WRITTEN = b"192.0.2.1 40001 0"


def a_datagram(number: int) -> bytes:
    name = a_grant(number).room_name.encode()
    return bytes((len(name), 32)) + name + token_of(number)


def reconcile(gateway: ScriptedGateway, *granted: Granted) -> None:
    """Let it ask which members are its own, and tell it of one that it does not know."""
    gateway.tick()
    (request,) = gateway.asked(Reconcile)
    gateway.answer(Adopt([Adoption(each, hash_token(token_of(each.member))) for each in granted]))
    gateway.reply(request.id, Reconciled([], []))
    for again in gateway.asked(Reconcile):
        gateway.reply(again.id, Reconciled([], []))


def test_a_second_grant_of_a_question_asked_twice_is_reconciled() -> None:
    gateway = ScriptedGateway()
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    gateway.reply(request.id, a_grant(1))
    reconcile(gateway)
    assert list(gateway.members.rooms[1].members) == [1]
    # It went elsewhere and, as the question came a second time, it is ours again.
    gateway.answer(Release(1, 1, "broker.1", False))
    assert gateway.members.rooms == {}
    gateway.reply(request.id, a_grant(1, offset=3, address=WRITTEN))
    reconcile(gateway, a_grant(1, offset=3, address=WRITTEN))
    assert list(gateway.members.rooms[1].members) == [1]
    gateway.news(last=3)
    gateway.news(said(4, 9, "hello"))
    assert len(gateway.outbound.sent) == 1
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    assert gateway.asked(Resume) == []


def test_a_grant_that_comes_too_late_is_reconciled() -> None:
    gateway = ScriptedGateway()
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    request = gateway.asked(Resume)[0]
    assert request.body == Resume(hash_token(token_of(1)), "192.0.2.1", 30_000)
    gateway.wait(PATIENCE_S + 1)
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], []))
    gateway.reply(request.id, a_grant(1, address=WRITTEN))
    reconcile(gateway, a_grant(1, address=WRITTEN))
    assert list(gateway.members.rooms[1].members) == [1]


def test_after_a_lost_resume_the_gateway_reconciles() -> None:
    gateway = ScriptedGateway()
    gateway.enter(9)
    assert gateway.asked(Reconcile) == []
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    gateway.wait(PATIENCE_S + 0.25)
    (request,) = {request.id: request for request in gateway.asked(Reconcile)}.values()
    # Each call that is not answered is followed by another.
    gateway.wait(PATIENCE_S + 1)
    again = gateway.asked(Reconcile)[-1]
    assert again.id != request.id
    gateway.answer(Adopt([Adoption(a_grant(1, address=WRITTEN), hash_token(token_of(1)))]))
    gateway.reply(again.id, Reconciled([], []))
    # One came in meanwhile: may it be another's by now?
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], []))
    assert sorted(gateway.members.rooms[1].members) == [1, 9]
    gateway.wait(PATIENCE_S + 1)
    assert gateway.asked(Reconcile) == []


def test_a_released_member_hears_up_to_its_release_and_no_further(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(said(2, 9, "2"))
    gateway.published()
    gateway.answer(release(1))
    assert gateway.published() == [Item(EntryKind.RELEASED, 1, 1, "h1", 2)]
    gateway.news(said(3, 9, "3"))
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], ["2", "3"])
    assert token_of(1) not in gateway.members.by_token


def test_a_member_at_another_host_is_released_when_nothing_has_come_from_it_for_a_while() -> None:
    for settings, silent_s in ((Settings(), Settings.move_after_s), (Settings(check_ip="off"), 0.0)):
        gateway = ScriptedGateway(settings)
        gateway.enter(1, address=ALICE)
        gateway.published()
        if silent_s:
            gateway.wait(silent_s - 1.0)
            for _ in range(2):
                gateway.answer(release(1, elsewhere=True))
            assert gateway.published() == [Item(EntryKind.KEPT, 1, 1, "h1", 0)] * 2
            gateway.news(said(2, 9, "2"))
            assert texts(gateway, ALICE) == ["2"]
            gateway.wait(1.0)
        gateway.answer(release(1, elsewhere=True))
        assert [item.kind for item in gateway.published()] == [EntryKind.RELEASED]
        assert gateway.members.by_token == {}
        # Of a member that is not here this gateway can not know that.
        gateway.answer(release(7, handover="h7", elsewhere=True))
        assert gateway.published() == [Item(EntryKind.KEPT, 1, 7, "h7", 0)]


def test_earlier_messages_are_published_before_the_release(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    gateway.receive(1, "last", ALICE)
    gateway.answer(release(1))
    assert [item.kind for item in gateway.published()] == [EntryKind.SAID, EntryKind.RELEASED]


def test_a_member_without_an_address_is_released_at_its_cursor(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.published()
    gateway.answer(release(2))
    assert gateway.published() == [Item(EntryKind.RELEASED, 1, 2, "h1", 1)]


def test_a_member_that_catches_up_is_released_with_its_new_address(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.published()
    gateway.receive(2, "", BOB)
    gateway.answer(release(2))
    ip, port = unpack(BOB)
    assert gateway.published() == [
        Item(EntryKind.ADDRESSED, 1, 2, f"{ip} {port} 0", 1),
        Item(EntryKind.RELEASED, 1, 2, "h1", 1),
    ]


def test_an_unknown_member_is_released_without_a_position(gateway: ScriptedGateway) -> None:
    gateway.answer(release(7, room=3))
    assert gateway.published() == [Item(EntryKind.RELEASED, 3, 7, "h1", 0)]


def test_a_handover_is_answered_once(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    for _ in range(3):
        gateway.answer(release(1))
    assert len(gateway.published()) == 1
    gateway.answer(release(1, handover="h2"))
    assert gateway.published() == [Item(EntryKind.RELEASED, 1, 1, "h2", 0)]


def fenced() -> ScriptedGateway:
    """A gateway with a member that has received its room up to 2, and that another gateway may have now."""
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "2"))
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    assert gateway.core.fencing.is_fenced(0, gateway.now)
    gateway.outbound.sent.clear()
    gateway.published()
    return gateway


def come_back(gateway: ScriptedGateway, last: int) -> None:
    """Let the gateway reconcile, and receive its room's log up to an offset."""
    gateway.canaries_come_back = True
    gateway.answer(Accepted(0))
    gateway.wait(1.0)
    for request in gateway.asked(Reconcile):
        gateway.reply(request.id, Reconciled([], []))
    for request in gateway.asked(Positions):
        gateway.reply(request.id, RoomPositions([(1, 1, last)]))
    while answer_all(gateway, [said(offset, 9, str(offset)) for offset in range(2, last + 1)]):
        gateway.tick()


def adoption(offset: int, address: bytes = WRITTEN) -> Adopt:
    return Adopt([Adoption(a_grant(1, offset=offset, address=address), hash_token(token_of(1)))])


@pytest.mark.parametrize("message", [Reply(77, a_grant(1, offset=5)), adoption(5, b"")], ids=["granted", "adopted"])
def test_a_member_goes_on_from_where_another_gateway_has_come_to(message: Downward) -> None:
    gateway = fenced()
    gateway.answer(message)
    gateway.news(said(6, 9, "6"))
    assert gateway.outbound.sent == []
    come_back(gateway, 7)
    gateway.news(said(8, 9, "8"))
    assert texts(gateway, ALICE) == ["6", "7", "8"]
    assert Item(EntryKind.ADDRESSED, 1, 1, "192.0.2.1 20001 0", 5) in gateway.published()


def test_a_member_that_comes_back_keeps_its_position_if_no_other_gateway_has_come_further() -> None:
    gateway = fenced()
    gateway.answer(adoption(1))
    # The directory takes it for a member that catches up.
    assert gateway.published() == [Item(EntryKind.ADDRESSED, 1, 1, "192.0.2.1 20001 0", 2)]
    come_back(gateway, 3)
    assert texts(gateway, ALICE) == ["3"]


def test_a_member_that_comes_back_while_it_waits_for_the_log_is_not_told_what_another_gateway_told(
    gateway: ScriptedGateway,
) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.receive(2, "", BOB)
    (question,) = gateway.asked(Replay)
    gateway.answer(Reply(77, a_grant(2, offset=3)))
    gateway.reply(question.id, replayed(said(2, 9, "2"), said(3, 9, "3")))
    gateway.news(said(4, 9, "4"))
    assert texts(gateway, BOB) == ["4"]


def test_a_member_that_comes_back_is_where_another_gateway_has_heard_it() -> None:
    gateway = fenced()
    gateway.answer(adoption(5, b"192.0.2.1 40001 0"))
    come_back(gateway, 6)
    assert (texts(gateway, ALICE), texts(gateway, sockaddr.pack("192.0.2.1", 40001))) == ([], ["6"])
    # If that is wrong, what went there is sent again.
    gateway.receive(1, "", ALICE)
    answer_all(gateway, [said(6, 9, "6")])
    assert texts(gateway, ALICE) == ["6"]


def test_a_displaced_member_that_comes_back_is_not_heard_by_that() -> None:
    gateway = fenced()
    gateway.members.by_token[token_of(1)].source = DISPLACED
    gateway.core.deliver.catch_up.groups.leave(gateway.members.by_token[token_of(1)])
    gateway.answer(adoption(5))
    come_back(gateway, 6)
    assert gateway.outbound.sent == []


@pytest.mark.parametrize("displaced_at", [b"192.0.2.1 20001 0 !4", b"192.0.2.1 40001 0 !4"])
def test_a_member_that_another_gateway_has_displaced_comes_back_where_that_was(displaced_at: bytes) -> None:
    gateway = fenced()
    gateway.answer(adoption(6, displaced_at))
    come_back(gateway, 7)
    assert gateway.outbound.sent == []
    source = ALICE if b"20001" in displaced_at else BOB
    gateway.receive(1, "", source)
    answer_all(gateway, [said(offset, 9, str(offset)) for offset in range(2, 8)])
    assert texts(gateway, source) == ["5", "6", "7"]


def test_a_member_that_was_displaced_while_it_waits_for_the_log_is_sent_nothing_before_it_is_heard(
    gateway: ScriptedGateway,
) -> None:
    log = [said(2, 9, "2"), said(3, 9, "3")]
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(*log)
    gateway.receive(2, "", BOB)
    gateway.answer(Reply(77, a_grant(2, offset=3, address=b"192.0.2.1 40001 0 !2")))
    for _ in range(3):
        answer_all(gateway, log)
        gateway.tick()
    assert {address for _, address, _ in gateway.outbound.sent} == {ALICE}
    gateway.receive(2, "", BOB)
    while answer_all(gateway, log):
        pass
    assert texts(gateway, BOB) == ["3"]


@pytest.mark.parametrize("dialect", [WEB, TSUDOI_2], ids=["web", "tsudoi-2"])
def test_a_client_that_knows_its_position_goes_on_from_there(gateway: ScriptedGateway, dialect: Dialect) -> None:
    member = gateway.enter(1, dialect.name)
    gateway.answer(adoption(5, b""))
    assert member.cursor == 1
