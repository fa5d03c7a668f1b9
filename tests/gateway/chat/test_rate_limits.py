"""gateway/chat/rate_limits.py, in a whole gateway without I/O."""

import msgspec
import pytest

from gateway.chat.rate_limits import CROWD, MUTE_S
from gateway.listeners import sockaddr
from gateway.settings import Settings
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


def test_a_room_has_a_rate_that_its_members_share() -> None:
    gateway = ScriptedGateway(Settings(room_rate=2.0))
    for number in range(1, 4):
        gateway.enter(number)
    gateway.enter(9, room=2)
    for turn in range(4):
        for number in range(1, 4):
            gateway.receive(number, f"{number} {turn}", address_of(number))
        gateway.now += MUTE_S
    gateway.receive(9, "elsewhere", address_of(9))
    # Four at once, then two for the first that is refused, and one for each of the others.
    assert gateway.said() == ["1 0", "2 0", "3 0", "1 1", "2 1", "3 1", "1 2", "elsewhere"]
    assert (gateway.counters.room_limited, gateway.counters.rate_limited) == (5, 0)


def test_an_address_has_a_rate_that_its_members_share() -> None:
    gateway = ScriptedGateway(Settings(address_messages=2.0))
    for number in range(1, 4):
        gateway.enter(number, room=number, ip="192.0.2.1")
    gateway.enter(9, room=1, ip="192.0.2.9")
    gateway.enter(10, room=1, ip="127.0.0.1")
    for turn in range(4):
        for number in range(1, 4):
            gateway.receive(number, f"of {number} {turn}", address_of(number))
        gateway.receive(9, "another's", sockaddr.pack("192.0.2.9", 4000))
        gateway.now += MUTE_S
    for _ in range(9):
        gateway.receive(10, "this machine's", LOOPBACK)
    said = gateway.said()
    assert [text for text in said if text.startswith("of")] == [
        "of 1 0",
        "of 2 0",
        "of 3 0",
        "of 1 1",
        "of 2 1",
        "of 3 1",
        "of 1 2",
    ]
    assert (said.count("another's"), said.count("this machine's")) == (4, 9)
    assert (gateway.counters.address_limited, gateway.counters.room_limited) == (5, 0)


@pytest.mark.parametrize("shared", ["address", "room"])
def test_a_flood_of_many_members_costs_a_classmate_nothing(shared: str) -> None:
    limits = Settings(rate=10_000.0, burst=10_000.0)
    setattr(limits, {"address": "address_messages", "room": "room_rate"}[shared], 100.0)
    gateway = ScriptedGateway(limits)
    for number in range(1, 14):
        room = number if shared == "address" else 1
        gateway.enter(number, room=room, ip="192.0.2.1" if shared == "address" else f"192.0.2.{number}")
    said: list[str] = []
    for step in range(600):  # of 10 ms
        for number in range(1, 13):
            host = "192.0.2.1" if shared == "address" else f"192.0.2.{number}"
            for _ in range(3):
                gateway.receive(number, "flood", sockaddr.pack(host, 20_000 + number))
        if step % 20 == 0:
            host = "192.0.2.1" if shared == "address" else "192.0.2.13"
            gateway.receive(13, f"ann {step}", sockaddr.pack(host, 20_013))
        said += gateway.said()
        gateway.now += 0.01
    assert sum(text != "flood" for text in said) == 30
    assert len(said) <= 6 * 100 + 2 * 200  # the rate, the burst, and as much that is owed


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
