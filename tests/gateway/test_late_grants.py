"""The directory counts on a gateway that it has granted a member, also when nobody waits for that grant any more."""

from tests.support.fakes import ScriptedGateway, a_grant, address_of, said, token_of
from tsudoi.protocol.backbone import Adopt, Adoption, Reconcile, Reconciled, Release, Resume
from tsudoi.protocol.names import hash_token

ALICE = address_of(1)
WRITTEN = b"192.0.2.1 40001 0"


def a_datagram(number: int) -> bytes:
    name = a_grant(number).room_name.encode()
    return bytes((len(name), 32)) + name + token_of(number)


def test_a_question_that_was_asked_twice_may_be_granted_twice() -> None:
    gateway = ScriptedGateway()
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    gateway.reply(request.id, a_grant(1))
    assert list(gateway.members.rooms[1].members) == [1]
    # It went elsewhere and, as the question came a second time, it is ours again.
    gateway.answer(Release(1, 1, "broker.1", False))
    assert gateway.members.rooms == {}
    gateway.reply(request.id, a_grant(1, offset=3, address=WRITTEN))
    assert list(gateway.members.rooms[1].members) == [1]
    gateway.news(last=3)
    gateway.news(said(4, 9, "hello"))
    assert len(gateway.doors.sent) == 1
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    assert gateway.asked(Resume) == []


def test_a_grant_that_comes_too_late_is_taken() -> None:
    gateway = ScriptedGateway()
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    request = gateway.asked(Resume)[0]
    assert request.body == Resume(hash_token(token_of(1)), "192.0.2.1", 30_000)
    gateway.wait(gateway.settings.request_timeout_s + 1)
    gateway.reply(request.id, a_grant(1, address=WRITTEN))
    assert list(gateway.members.rooms[1].members) == [1]


def test_whom_it_may_have_been_granted_without_hearing_of_it_is_asked_for() -> None:
    gateway = ScriptedGateway()
    gateway.enter(9)
    assert gateway.asked(Reconcile) == []
    gateway.core.handle_datagrams(0, [(a_datagram(1), ALICE)], gateway.now)
    gateway.wait(gateway.settings.request_timeout_s + 0.25)
    (request,) = {request.id: request for request in gateway.asked(Reconcile)}.values()
    # Each call that is not answered is followed by another.
    gateway.wait(gateway.settings.request_timeout_s + 1)
    again = gateway.asked(Reconcile)[-1]
    assert again.id != request.id
    gateway.answer(Adopt([Adoption(a_grant(1, address=WRITTEN), hash_token(token_of(1)))]))
    gateway.reply(again.id, Reconciled([]))
    # One came in meanwhile: may it be another's by now?
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([]))
    assert sorted(gateway.members.rooms[1].members) == [1, 9]
    gateway.wait(gateway.settings.request_timeout_s + 1)
    assert gateway.asked(Reconcile) == []
