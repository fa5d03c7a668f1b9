"""gateway/chat/address_moves.py: two members at one address, of which one may be what an ended client left behind."""

from typing import Literal

import msgspec
import pytest

from gateway.listeners import sockaddr
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, BOB, ELSEWHERE, answer_all, answer_replay
from tests.support.fakes import WALL_MS, ScriptedGateway, a_grant, address_of, said, token_of
from tsudoi.protocol.backbone import Entry, Granted, Item
from tsudoi.protocol.codes import EntryKind, LeaveReason


def closed(offset: int) -> Entry:
    return Entry(offset, EntryKind.CLOSED, 9, "m9", "", LeaveReason.HOST_LEFT, WALL_MS)


def left(offset: int, member: int, reason: LeaveReason) -> Entry:
    return Entry(offset, EntryKind.LEFT, member, f"m{member}", "", reason, WALL_MS)


def without_its_name(number: int, ip: str = "192.0.2.1") -> Granted:
    granted = a_grant(number, name="alice#2", ip=ip)
    granted.wished = "alice"
    return granted


def claims(gateway: ScriptedGateway) -> list[Item]:
    return [item for item in gateway.published() if item.kind == EntryKind.CLAIMED]


# --- claiming the name --------------------------------------------------------------------------------------------


def test_the_first_datagram_of_a_member_without_its_wished_name_claims_it(gateway: ScriptedGateway) -> None:
    gateway.core.enter(without_its_name(1), token_of(1), gateway.now)
    assert claims(gateway) == []
    gateway.receive(1, "", ALICE)
    assert claims(gateway) == [Item(EntryKind.CLAIMED, 1, 1, "192.0.2.1 20001 0", 0)]
    gateway.receive(1, "hello", ALICE)
    gateway.receive(1, "moved", address_of(1, 30_000))
    assert claims(gateway) == []


def test_an_announced_port_claims_nothing_until_a_datagram_comes_from_it(gateway: ScriptedGateway) -> None:
    member = gateway.core.enter(without_its_name(1), token_of(1), gateway.now)
    gateway.core.announce(member, ALICE, gateway.now)
    assert claims(gateway) == []
    gateway.receive(1, "", ALICE)
    assert len(claims(gateway)) == 1


def test_a_source_that_may_be_forged_claims_nothing() -> None:
    gateway = ScriptedGateway(Settings(check_ip="off"))
    gateway.core.enter(without_its_name(1), token_of(1), gateway.now)
    gateway.receive(1, "", ELSEWHERE)
    assert claims(gateway) == []


def test_a_member_with_its_wished_name_costs_nothing(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    assert claims(gateway) == []


# --- one room -----------------------------------------------------------------------------------------------------


def test_a_client_that_is_two_members_of_a_room_hears_all_once(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=ALICE)
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"]


def test_a_member_that_was_displaced_hears_again_when_it_is_heard(gateway: ScriptedGateway) -> None:
    """Two who share an address one after the other, behind a NAT: the first one has got another port meanwhile."""
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=ALICE)
    gateway.news(said(2, 9, "one"))
    gateway.receive(1, "here", BOB)
    gateway.news(said(3, 9, "two"))
    answer_replay(gateway, said(2, 9, "one"), said(3, 9, "two"), after=1)
    assert gateway.outbound.to(BOB) == [b"m9: one", b"m9: two"]


def test_a_member_that_is_displaced_while_it_waits_for_the_log_is_sent_nothing_before_it_is_heard(
    gateway: ScriptedGateway,
) -> None:
    gateway.enter(1)
    log = [said(2, 9, "two"), said(3, 9, "three")]
    gateway.news(*log)
    gateway.receive(1, "", ALICE)
    gateway.enter(2, address=ALICE, offset=3)
    answer_replay(gateway, *log, after=1)
    log.append(said(4, 9, "four"))
    gateway.news(log[-1])
    gateway.tick()
    assert answer_all(gateway, log) == 0
    assert gateway.outbound.to(ALICE) == [b"m9: four"]
    gateway.receive(1, "", BOB)
    while answer_all(gateway, log):
        pass
    assert gateway.outbound.to(BOB) == [b"m9: two", b"m9: three", b"m9: four"]


def test_two_living_members_with_one_socket_hear_both_once_both_are_heard(gateway: ScriptedGateway) -> None:
    one, two = gateway.enter(1, address=ALICE), gateway.enter(2, address=ALICE)
    gateway.receive(1, "", ALICE)
    gateway.receive(2, "", ALICE)
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"] * 2
    assert one.recipients is two.recipients is not None


def test_an_announced_port_displaces_nobody(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.core.announce(gateway.enter(2), ALICE, gateway.now)
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"] * 2


def test_a_forged_source_displaces_nobody(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, ip="198.51.100.7")
    gateway.wait(gateway.settings.move_after_s)
    gateway.receive(2, "", ALICE)
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"] * 2


@pytest.mark.parametrize("check_ip", ["strict", "off"])
def test_a_forged_source_displaces_nobody_at_the_next_gateway_either(check_ip: Literal["strict", "off"]) -> None:
    """The directory has the address to which the member has moved, and the host of its handshake."""
    gateway = ScriptedGateway(Settings(check_ip=check_ip))
    gateway.enter(1, address=ALICE)
    moved = without_its_name(2, ip="198.51.100.7")
    gateway.core.enter(msgspec.structs.replace(moved, address=b"192.0.2.1 20001 0"), token_of(2), gateway.now)
    gateway.receive(2, "", ALICE)
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(ALICE) == [b"m9: hi"] * 2
    assert claims(gateway) == []


# --- closing words ------------------------------------------------------------------------------------------------


def test_no_closing_words_reach_a_client_that_is_another_member_by_now(gateway: ScriptedGateway) -> None:
    for room in (1, 2):
        gateway.enter(room, address=ALICE, room=room)
        gateway.enter(10 + room, address=address_of(10 + room), room=room)
        gateway.enter(20 + room, address=ALICE, room=3)
    gateway.news(left(2, 1, LeaveReason.IDLE), room=1)
    gateway.news(closed(2), room=2)
    assert gateway.outbound.to(ALICE) == []
    assert len(gateway.outbound.to(address_of(12))) == 2


def test_a_client_in_two_rooms_that_is_heard_in_both_gets_the_closing_words_of_both(gateway: ScriptedGateway) -> None:
    for room in (1, 2):
        gateway.enter(room, address=ALICE, room=room)
    for room in (1, 2):
        gateway.receive(room, "", ALICE)
    for room in (1, 2):
        gateway.news(said(2, 9, "hi"), room=room)
        gateway.news(closed(3), room=room)
    assert gateway.outbound.to(ALICE) == [b"m9: hi", *gateway.outbound.to(ALICE)[1:3]] * 2


def test_the_index_of_addresses_forgets_those_who_move_and_leave(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.receive(1, "", BOB)
    assert list(gateway.members.at_address) == [BOB]
    gateway.news(left(2, 1, LeaveReason.LEFT))
    assert gateway.members.at_address == {}


def test_a_local_address_makes_no_other_client() -> None:
    gateway = ScriptedGateway(wildcard=True)
    gateway.enter(1, address=ALICE + bytes((10, 0, 0, 1)))
    gateway.enter(2, address=ALICE + bytes((10, 0, 0, 2)))
    gateway.news(said(2, 9, "hi"))
    assert [payload for _, to, payload in gateway.outbound.sent if sockaddr.peer(to) == ALICE] == [b"m9: hi"]
