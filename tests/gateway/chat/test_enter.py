"""gateway/chat/enter.py, in a whole gateway without I/O."""

from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, raw, send
from tests.support.fakes import ScriptedGateway, a_grant, said, token_of
from tsudoi.protocol.backbone import Adopt, Adoption, Resume
from tsudoi.protocol.names import hash_token


def test_members_of_an_address_are_bounded() -> None:
    gateway = ScriptedGateway(Settings(address_members=2))
    assert gateway.core.may_enter("2001:db8::1", "den", gateway.now)
    gateway.enter(1, ip="2001:db8::1")
    gateway.enter(2, ip="2001:db8::2")
    assert not gateway.core.may_enter("2001:db8::3", "den", gateway.now)
    assert gateway.core.may_enter("192.0.2.1", "den", gateway.now)
    for number in range(3, 9):
        gateway.enter(number, ip="127.0.0.1")
    assert gateway.core.may_enter("127.0.0.1", "den", gateway.now)
    assert gateway.counters.members_limited == 1
    gateway.core.leaving.drop(gateway.members.rooms[1].members[1])
    gateway.core.leaving.drop(gateway.members.rooms[1].members[3])
    assert gateway.core.may_enter("2001:db8::3", "den", gateway.now)
    assert gateway.members.rate_keys == {"2001:db8::/64": 1}


def test_nonsense_in_a_grant_from_another_gateway_does_no_harm(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "hello"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, "no such dialect", ip="nonsense"))
    gateway.wait(gateway.settings.move_after_s)
    gateway.receive(1, "hello again", ALICE)
    assert "hello again" in gateway.said()


def test_a_known_member_is_not_entered_twice(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    assert gateway.core.enter(a_grant(1), token_of(1), gateway.now) is member
    assert list(member.room.members) == [1]


def adoption(number: int, offset: int = 5) -> Adoption:
    return Adoption(a_grant(number, offset=offset, address=b"192.0.2.1 20001 0"), hash_token(token_of(number)))


def test_an_adopted_member_hears_before_it_has_said_anything(gateway: ScriptedGateway) -> None:
    gateway.answer(Adopt([adoption(1)]))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"]
    assert gateway.counters.adopted == 1
    # Its token is known when it shows it, and the directory need not be asked.
    gateway.receive(1, "hello", ALICE)
    assert gateway.said() == ["hello"]
    assert gateway.asked(Resume) == []


def test_a_member_that_is_adopted_while_it_is_asked_for_is_one_member(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "hello"))
    (request,) = gateway.asked(Resume)
    gateway.answer(Adopt([adoption(1)]))
    gateway.reply(request.id, a_grant(1, offset=5, address=b"192.0.2.1 20001 0"))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.said() == ["hello"]
    assert gateway.outbound.to(ALICE) == [b"m9: hi"]
    assert list(gateway.members.rooms[1].members) == [1]


def test_held_datagrams_of_an_adopted_member_come_before_its_next_ones(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    send(gateway, raw(1, "two"))
    (request,) = gateway.asked(Resume)
    gateway.answer(Adopt([adoption(1)]))
    send(gateway, raw(1, "three"))
    gateway.reply(request.id, a_grant(1, offset=5, address=b"192.0.2.1 20001 0"))
    assert gateway.said() == ["one", "two", "three"]


def test_a_member_that_is_here_is_not_adopted_again(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE, offset=5)
    gateway.answer(Adopt([adoption(1)]))
    gateway.news(said(6, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"]
