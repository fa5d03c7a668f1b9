"""gateway/chat/address_moves.py, in a whole gateway without I/O."""

from gateway.chat.address_moves import MOVES
from gateway.config import Settings
from gateway.listeners import sockaddr
from gateway.listeners.flood_filter import PATIENCE
from tests.gateway.chat.scripting import ALICE, ELSEWHERE, LOOPBACK, raw
from tests.support.fakes import ScriptedGateway, a_grant, address_of, said, token_of
from tsudoi.protocol.codes import EntryKind


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
    gateway.receive(1, "c", sockaddr.pack("::1", 4002), door=1)
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
