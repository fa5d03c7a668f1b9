"""gateway/chat/destination.py, in a whole gateway without I/O."""

import pytest

from gateway.listeners import sockaddr
from tests.gateway.chat.scripting import ALICE, raw, send
from tests.support.fakes import ScriptedGateway, a_grant, address_of, said, token_of
from tsudoi.protocol.backbone import Resume
from tsudoi.protocol.codes import LeaveReason


def test_datagrams_leave_from_the_listener_that_the_members_come_in_at(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(ipv6=(False, False))
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "one"))
    gateway.receive(1, "", ALICE, door=1)
    gateway.news(said(3, 9, "two"))
    assert [(door, payload) for door, _, payload in gateway.outbound.sent] == [(0, b"m9: one"), (1, b"m9: two")]


def test_an_announced_address_counts_until_a_datagram_comes(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    gateway.news(said(2, 9, "one"))
    gateway.receive(1, "", ALICE)
    gateway.core.announce(member, address_of(1, port=6_666), gateway.now)
    gateway.news(said(3, 9, "two"))
    assert gateway.outbound.to(address_of(1, port=5_555)) == [b"m9: one"]
    assert gateway.outbound.to(ALICE) == [b"m9: two"]


def test_an_announced_port_may_stay_whatever_the_datagrams_come_from(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(ipv6=(False, False))
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    gateway.receive(1, "a", address_of(1, port=6_666), door=1)
    gateway.receive(1, "b", address_of(1, port=7_777), door=1)
    assert gateway.said() == ["a", "b"]
    assert (member.address, member.listener) == (address_of(1, port=5_555), 1)
    assert gateway.counters.moved_addresses == 0


def test_a_port_that_would_stay_and_was_never_announced_is_learned(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.receive(1, "a", ALICE)
    assert member.address == ALICE


def test_an_announced_address_takes_the_listener_of_its_family() -> None:
    gateway = ScriptedGateway(ipv6=(False, True, True))
    member = gateway.enter(1, ip="2001:db8::1")
    gateway.core.announce(member, sockaddr.pack("2001:db8::1", 5_555), gateway.now)
    assert member.listener == 1


def test_a_leaving_member_can_not_announce_an_address(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    gateway.core.leave(member, LeaveReason.LEFT, gateway.now)
    gateway.core.announce(member, ALICE, gateway.now)
    assert member.address is None


def test_a_resumed_member_hears_at_its_last_address(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, ""))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, offset=5, address=b"192.0.2.1 20001 0"))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"]


@pytest.mark.parametrize("door", [-1, -9, 9, 10**30])
def test_an_unknown_listener_is_replaced_by_another(gateway: ScriptedGateway, door: int) -> None:
    send(gateway, raw(1, ""))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, offset=5, address=f"192.0.2.1 20001 {door}".encode()))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"]


@pytest.mark.parametrize(
    "written", [b"nonsense", b"", b"192.0.2.1 99999 0", b"192.0.2.1 5 x", b"\xff 5 0", b"host 5 0", b"192.0.2.1 5 0 7"]
)
def test_an_address_that_can_not_be_read_is_none(gateway: ScriptedGateway, written: bytes) -> None:
    send(gateway, raw(1, "hello"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, address=written))
    assert gateway.said() == ["hello"]
    assert gateway.members.by_token[token_of(1)].address == ALICE


@pytest.mark.parametrize(("written", "door"), [(b"192.0.2.1 5 2", 2), (b"192.0.2.1 5 1", 0), (b"2001:db8::1 5 9", 1)])
def test_a_restored_address_takes_its_listener_if_the_family_fits(written: bytes, door: int) -> None:
    gateway = ScriptedGateway(ipv6=(False, True, False))
    member = gateway.core.enter(a_grant(1, address=written), token_of(1), gateway.now)
    assert member.listener == door
