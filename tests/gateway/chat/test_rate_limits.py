"""gateway/chat/rate_limits.py, in a whole gateway without I/O."""

import msgspec

from gateway.chat.rate_limits import CROWD, MUTE_S
from gateway.config import Settings
from gateway.listeners import sockaddr
from tests.gateway.chat.scripting import ALICE, BOB, LOOPBACK
from tests.support.fakes import ScriptedGateway, address_of


def test_a_member_has_a_burst_and_a_rate() -> None:
    gateway = ScriptedGateway(Settings(rate=10.0, burst=3.0))
    gateway.enter(1)
    gateway.enter(2)
    for number in range(5):
        gateway.receive(1, str(number), ALICE)
    gateway.receive(2, "another", BOB)
    assert gateway.said() == ["0", "1", "2", "another"]
    assert gateway.counters.rate_limited == 2
    gateway.now += 0.2
    for number in range(5):
        gateway.receive(1, str(number), ALICE)
    assert gateway.said() == ["0", "1"]
    # Silence, registering and leaving cost nothing.
    gateway.now += MUTE_S
    for _ in range(9):
        gateway.receive(1, "", ALICE)
    assert gateway.counters.rate_limited == 5


def test_a_muted_member_may_still_leave() -> None:
    gateway = ScriptedGateway(Settings(rate=100.0, burst=1.0))
    gateway.enter(1, "tcrp-json")
    for _ in range(3):
        gateway.receive(1, "x", ALICE)
    gateway.now += MUTE_S / 2
    gateway.receive(1, "y", ALICE)
    assert (gateway.said(), gateway.counters.rate_limited) == (["x"], 3)
    gateway.receive(1, "/exit", ALICE)
    assert gateway.members.rooms[1].members[1].leaving


def test_the_rate_falls_in_a_crowd() -> None:
    gateway = ScriptedGateway(Settings(rate=10.0, burst=8.0))
    for number in range(1, 4 * CROWD + 1):
        gateway.enter(number)
    for _ in range(5):
        gateway.receive(1, "a", ALICE)
    assert gateway.said() == ["a"] * 2
    gateway.now += 0.4
    gateway.receive(1, "b", ALICE)
    gateway.receive(1, "c", ALICE)
    gateway.receive(2, "d", BOB)
    assert gateway.said() == ["b", "d"]


def test_a_room_has_a_rate() -> None:
    gateway = ScriptedGateway(Settings(room_rate=2.0))
    for number in range(1, 4):
        gateway.enter(number)
    gateway.enter(9, room=2)
    for _ in range(2):
        for number in range(1, 4):
            gateway.receive(number, "x", address_of(number))
    gateway.receive(9, "elsewhere", address_of(9))
    assert gateway.said() == ["x"] * 4 + ["elsewhere"]
    assert (gateway.counters.room_limited, gateway.counters.rate_limited) == (2, 0)
    gateway.now += 0.5
    gateway.receive(1, "y", ALICE)
    gateway.receive(1, "z", ALICE)
    assert gateway.said() == ["y"]


def test_an_address_has_a_rate_for_all_of_its_members() -> None:
    gateway = ScriptedGateway(Settings(address_messages=2.0))
    for number in range(1, 4):
        gateway.enter(number, room=number, ip="192.0.2.1")
    gateway.enter(9, room=1, ip="192.0.2.9")
    gateway.enter(10, room=1, ip="127.0.0.1")
    for _ in range(3):
        for number in range(1, 4):
            gateway.receive(number, f"of {number}", address_of(number))
        gateway.receive(9, "another's", sockaddr.pack("192.0.2.9", 4000))
    for _ in range(9):
        gateway.receive(10, "this machine's", LOOPBACK)
    said = gateway.said()
    assert [text for text in said if text.startswith("of")] == ["of 1", "of 2", "of 3", "of 1"]
    assert (said.count("another's"), said.count("this machine's")) == (3, 9)
    assert (gateway.counters.address_limited, gateway.counters.room_limited) == (3, 0)
    assert gateway.counters.rate_limited == 2  # of those who had just been dropped
    gateway.now += 0.5
    gateway.receive(2, "again", address_of(2))
    assert gateway.said() == ["again"]


def test_a_member_that_is_too_fast_is_warned_once_a_second() -> None:
    gateway = ScriptedGateway(Settings(rate=0.1, burst=1.0))
    gateway.enter(1, "tsudoi")
    gateway.enter(2, "tcrp")
    for _ in range(9):
        gateway.receive(1, "x", ALICE)
        gateway.receive(2, "x", BOB)
    assert gateway.outbound.to(BOB) == []
    (told,) = gateway.outbound.to(ALICE)
    assert msgspec.json.decode(told) == {"notice": "slow", "text": "Too fast: what you said was dropped."}
    gateway.now += 1.0
    gateway.receive(1, "x", ALICE)
    gateway.receive(1, "x", ALICE)
    assert len(gateway.outbound.to(ALICE)) == 2
    assert gateway.counters.told_to_slow_down == 2
