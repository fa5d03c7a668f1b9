"""gateway/chat/address_moves.py, in a whole gateway without I/O."""

import json

import pytest

from gateway.chat.address_moves import MOVES
from gateway.chat.dropped_log import Drop
from gateway.chat.rate_limits import MOVED_TOO_OFTEN, WARN_S
from gateway.listeners import sockaddr
from gateway.listeners.flood_filter import PATIENCE
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, BOB, ELSEWHERE, LOOPBACK, answer_replay, raw, send
from tests.support.fakes import ScriptedGateway, a_grant, address_of, said, token_of
from tsudoi.protocol.backbone import Replay, Resume
from tsudoi.protocol.codes import EntryKind, LeaveReason


def test_moves_are_limited() -> None:
    gateway = ScriptedGateway()
    member = gateway.enter(1, address=ALICE)
    ports = [address_of(1, port) for port in range(5_000, 5_000 + int(MOVES) + 10)]
    for source in ports:
        gateway.receive(1, "x", source)
    assert len(gateway.said()) == MOVES
    assert member.address == ports[int(MOVES) - 1]
    assert (gateway.counters.moved_addresses, gateway.counters.moves_limited) == (MOVES, 10)
    gateway.receive(1, "at home", ports[int(MOVES) - 1])
    gateway.now += 1.0
    gateway.receive(1, "moved", ALICE)
    assert (gateway.said(), member.address) == (["at home", "moved"], ALICE)
    # Whoever goes on is silenced like others.
    gateway.core.handle_datagrams(
        0, [(raw(1, "x"), address_of(1, 5_000 + number % 2)) for number in range(2 * PATIENCE + 100)], gateway.now
    )
    assert gateway.counters.silenced == 1


def test_a_member_that_moves_too_often_is_told_where_it_is_now() -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, "tsudoi", address=ALICE)
    gateway.enter(2, "classic", address=address_of(2))
    ports = [address_of(1, port) for port in range(5_000, 5_000 + int(MOVES) + 3)]
    for source in ports:
        gateway.receive(1, "x", source)
    told = [gateway.outbound.to(source) for source in ports]
    assert [len(each) for each in told] == [0] * int(MOVES) + [1, 0, 0]
    assert json.loads(told[int(MOVES)][0]) == {"notice": "slow", "text": MOVED_TOO_OFTEN}
    # An empty datagram says nothing that could be lost, and a datagram from elsewhere may be a thief's.
    gateway.wait(WARN_S)
    for number in range(int(MOVES)):
        gateway.receive(1, "", address_of(1, 7_000 + number))
    gateway.receive(1, "", address_of(1, 8_000))
    gateway.receive(1, "x", address_of(1, 8_000, network="198.51.100.7"))
    assert gateway.outbound.to(address_of(1, 8_000)) == []
    assert gateway.outbound.to(address_of(1, 8_000, network="198.51.100.7")) == []
    for number in range(int(MOVES) + 1):
        gateway.receive(2, "x", address_of(2, 9_000 + number))
    assert gateway.outbound.to(address_of(2, 9_000 + int(MOVES))) == []


def test_an_address_is_learned_from_the_first_datagram(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    known = [member.address]
    gateway.receive(1, "", ALICE)
    assert [*known, member.address] == [None, ALICE]
    (located,) = gateway.published()
    assert (located.kind, located.room, located.member) == (EntryKind.ADDRESSED, 1, 1)
    assert located.text.split() == ["192.0.2.1", "20001", "0"]


def test_another_port_of_the_same_host_moves_a_member_at_once(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, address=ALICE)
    moved = address_of(1, port=40_000)
    gateway.receive(1, "hello", moved)
    assert member.address == moved
    assert gateway.counters.moved_addresses == 1
    assert gateway.said() == ["hello"]
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(moved) == [b"m9: hi"]
    assert gateway.outbound.to(ALICE) == []


def test_another_host_is_accepted_only_after_nothing_has_come_from_the_old_one_for_a_while(
    gateway: ScriptedGateway,
) -> None:
    member = gateway.enter(1, address=ALICE)
    gateway.wait(gateway.settings.move_after_s - 1)
    gateway.receive(1, "stolen?", ELSEWHERE)
    assert gateway.counters.wrong_addresses == 1
    assert gateway.outbound.dropped == [(ELSEWHERE, Drop.OTHER_ADDRESS, b"")]
    assert member.address == ALICE
    gateway.receive(1, "still here", ALICE)
    gateway.wait(gateway.settings.move_after_s - 1)
    gateway.receive(1, "stolen?", ELSEWHERE)
    assert gateway.said() == ["still here"]
    # What is refused does not count as a sign of life.
    gateway.wait(1.0)
    gateway.receive(1, "moved", ELSEWHERE)
    assert member.address == ELSEWHERE
    assert gateway.said() == ["moved"]
    gateway.receive(1, "too late", ALICE)
    assert gateway.counters.wrong_addresses == 3


def test_the_first_datagram_must_come_from_the_host_of_the_handshake_too(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    gateway.receive(1, "hello", ELSEWHERE)
    assert member.address is None
    gateway.wait(gateway.settings.move_after_s)
    gateway.receive(1, "hello", ELSEWHERE)
    assert member.address == ELSEWHERE


def test_any_host_may_send_if_that_is_not_checked() -> None:
    gateway = ScriptedGateway(Settings(check_ip="off"))
    member = gateway.enter(1, address=ALICE)
    gateway.receive(1, "moved", ELSEWHERE)
    assert member.address == ELSEWHERE
    assert gateway.said() == ["moved"]


def test_loopback_addresses_count_as_one_host() -> None:
    gateway = ScriptedGateway(ipv6=(False, True))
    member = gateway.enter(1, ip="::1")
    gateway.receive(1, "a", LOOPBACK)
    gateway.receive(1, "b", sockaddr.pack("127.9.9.9", 4001))
    gateway.receive(1, "c", sockaddr.pack("::1", 4002), listener=1)
    assert gateway.said() == ["a", "b", "c"]
    assert member.listener == 1


def test_a_port_that_stays_moves_to_another_host_with_its_member(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    gateway.receive(1, "a", ELSEWHERE)
    assert gateway.said() == []
    gateway.wait(gateway.settings.move_after_s)
    gateway.receive(1, "b", ELSEWHERE)
    assert gateway.said() == ["b"]
    assert member.address == sockaddr.with_port(ELSEWHERE, 5_555)


def test_a_member_that_comes_back_may_change_its_port_where_it_was_last(gateway: ScriptedGateway) -> None:
    """Not where its handshake was: it has moved since."""
    gateway.core.enter(a_grant(1, address=b"198.51.100.7 20001 0"), token_of(1), gateway.now)
    gateway.receive(1, "hello", address_of(1, port=30_000, network="198.51.100.7"))
    assert gateway.said() == ["hello"]


# --- where datagrams to a member go -----------------------------------------------------------------------------------


def test_datagrams_leave_from_the_listener_that_the_members_come_in_at(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(ipv6=(False, False))
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "one"))
    gateway.receive(1, "", ALICE, listener=1)
    gateway.news(said(3, 9, "two"))
    assert [(listener, payload) for listener, _, payload in gateway.outbound.sent] == [(0, b"m9: one"), (1, b"m9: two")]


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
    gateway.receive(1, "a", address_of(1, port=6_666), listener=1)
    gateway.receive(1, "b", address_of(1, port=7_777), listener=1)
    assert gateway.said() == ["a", "b"]
    assert (member.address, member.listener) == (address_of(1, port=5_555), 1)
    assert gateway.counters.moved_addresses == 0


def test_a_port_that_would_stay_and_was_never_announced_is_learned(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.receive(1, "a", ALICE)
    assert member.address == ALICE


def test_a_guessed_address_counts_like_an_announced_one_if_the_guess_is_right(gateway: ScriptedGateway) -> None:
    gateway.core.announce(gateway.enter(1), ALICE, gateway.now, is_guess=True)
    gateway.news(said(2, 9, "one"))
    gateway.receive(1, "", ALICE)
    gateway.news(said(3, 9, "two"))
    assert gateway.outbound.to(ALICE) == [b"m9: one", b"m9: two"]
    assert gateway.asked(Replay) == []
    gateway.receive(1, "", BOB)
    assert gateway.asked(Replay) == []


def test_what_went_to_a_wrong_guess_is_sent_again(gateway: ScriptedGateway) -> None:
    gateway.core.announce(gateway.enter(1), ALICE, gateway.now, is_guess=True)
    gateway.news(said(2, 9, "one"))
    gateway.receive(1, "", BOB)
    answer_replay(gateway, said(2, 9, "one"), after=1)
    gateway.news(said(3, 9, "two"))
    assert gateway.outbound.to(BOB) == [b"m9: one", b"m9: two"]


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


# --- a listener on all addresses of its host --------------------------------------------------------------------------

HERE, THERE = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def test_datagrams_leave_from_the_address_that_the_member_sent_to_last() -> None:
    gateway = ScriptedGateway(wildcard=True)
    member = gateway.enter(1, address=ALICE + HERE)
    gateway.receive(1, "x", ALICE + THERE)
    assert (gateway.said(), member.address) == (["x"], ALICE + THERE)
    assert gateway.counters.moved_addresses == 0
    gateway.news(said(2, 9, "hi"))
    assert gateway.outbound.to(ALICE + THERE) == [b"m9: hi"]


def test_a_member_that_sends_to_two_addresses_of_this_host_in_turn_loses_nothing() -> None:
    gateway = ScriptedGateway(wildcard=True)
    gateway.enter(1, address=ALICE + HERE)
    for number in range(3 * int(MOVES)):
        gateway.receive(1, str(number), ALICE + (HERE, THERE)[number % 2])
    assert gateway.said() == [str(number) for number in range(3 * int(MOVES))]
    located = [item for item in gateway.published() if item.kind == EntryKind.ADDRESSED]
    assert len(located) <= MOVES


def test_the_directory_keeps_the_address_that_the_member_sent_to() -> None:
    gateway = ScriptedGateway(wildcard=True)
    gateway.enter(1, address=ALICE + HERE)
    (located,) = (item for item in gateway.published() if item.kind == EntryKind.ADDRESSED)
    for wildcard, expected in ((True, ALICE + HERE), (False, ALICE)):
        # A listener on one address needs no other.
        after = ScriptedGateway(wildcard=wildcard)
        after.core.enter(a_grant(1, address=located.text.encode()), token_of(1), after.now)
        after.news(last=1)
        after.news(said(2, 9, "hi"))
        assert after.outbound.to(expected) == [b"m9: hi"]


def test_an_announced_port_is_reached_from_the_address_that_the_client_connected_to() -> None:
    gateway = ScriptedGateway(wildcard=True)
    member = gateway.enter(1)
    gateway.core.announce(member, ALICE + THERE, gateway.now)
    assert member.address == ALICE + THERE


def test_a_client_that_sends_from_another_socket_than_it_announced_may_send_at_any_rate(
    gateway: ScriptedGateway,
) -> None:
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    for number in range(2 * int(MOVES)):
        gateway.receive(1, str(number), address_of(1, port=6_666))
    assert len(gateway.said()) == 2 * MOVES


@pytest.mark.parametrize("listener", [-1, -9, 9, 10**30])
def test_an_unknown_listener_is_replaced_by_another(gateway: ScriptedGateway, listener: int) -> None:
    send(gateway, raw(1, ""))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, offset=5, address=f"192.0.2.1 20001 {listener}".encode()))
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


@pytest.mark.parametrize(
    ("written", "listener"), [(b"192.0.2.1 5 2", 2), (b"192.0.2.1 5 1", 0), (b"2001:db8::1 5 9", 1)]
)
def test_a_restored_address_takes_its_listener_if_the_family_fits(written: bytes, listener: int) -> None:
    gateway = ScriptedGateway(ipv6=(False, True, False))
    member = gateway.core.enter(a_grant(1, address=written), token_of(1), gateway.now)
    assert member.listener == listener
