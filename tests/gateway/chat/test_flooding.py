"""gateway/chat/flooding.py, in a whole gateway without I/O."""

import msgspec
import pytest

from gateway.chat.rate_limits import MUTE_S
from gateway.listeners.flood_filter import PATIENCE
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, BOB, ELSEWHERE, raw
from tests.support.fakes import ScriptedGateway


def test_a_flooding_member_is_ignored_for_longer_each_time() -> None:
    gateway = ScriptedGateway(Settings(rate=100.0, burst=1.0))
    gateway.enter(1, "tsudoi")
    gateway.enter(2)
    for seconds in (1, 2, 4):
        for _ in range(PATIENCE + 3):
            gateway.receive(1, "x", ALICE)
        assert gateway.outbound.filter
        gateway.receive(1, "y", ALICE)
        gateway.receive(2, "another", BOB)
        assert gateway.said() == ["x", "another"]
        member, length = gateway.outbound.floods[-1]
        assert (member.id, length) == (1, seconds)
        gateway.wait(seconds - 0.1)
        gateway.receive(1, "z", ALICE)
        assert gateway.said() == []
        assert gateway.outbound.filter
        gateway.wait(0.2)
        assert not gateway.outbound.filter
    assert gateway.counters.silenced == 3
    # It was told so, unless it had been told less a moment before; and after a silence it may say its rate.
    words = [msgspec.json.decode(told)["text"] for told in gateway.outbound.to(ALICE)]
    assert words[0] == "Too fast: what you said was dropped."
    gateway.receive(1, "again", ALICE)
    assert gateway.said() == ["again"]


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        pytest.param(raw(1, "x", room=b"another"), "wrong_rooms", id="another room"),
        pytest.param(raw(1), "datagrams", id="nothing"),
        pytest.param(raw(1, "m1: "), "datagrams", id="nothing but a name"),
    ],
)
def test_a_flood_of_empty_or_misdirected_datagrams_counts_too(data: bytes, counter: str) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)  # what only says where it is the first time is none of these
    before = getattr(gateway.counters, counter)
    gateway.core.handle_datagrams(0, [(data, ALICE)] * (PATIENCE + 1), gateway.now)
    assert getattr(gateway.counters, counter) == before + PATIENCE + 1
    assert gateway.counters.silenced == 1
    gateway.receive(1, "hello", ALICE)
    assert (gateway.said(), bool(gateway.outbound.filter)) == ([], True)


def test_datagrams_from_other_hosts_have_no_member_ignored() -> None:
    gateway = ScriptedGateway(Settings(rate=100.0, burst=1.0))
    gateway.enter(1, address=ALICE)
    for _ in range(2):
        gateway.receive(1, "x", ALICE)
    for data in (raw(1), raw(1, "x"), raw(1, "x", room=b"another")):
        gateway.core.handle_datagrams(0, [(data, ELSEWHERE)] * (2 * PATIENCE), gateway.now)
    gateway.now += MUTE_S
    gateway.core.handle_datagrams(0, [(raw(1), ELSEWHERE)] * (2 * PATIENCE), gateway.now)
    assert (gateway.counters.silenced, gateway.counters.wrong_addresses) == (0, 2 * PATIENCE)
    gateway.receive(1, "hello", ALICE)
    assert gateway.said() == ["x", "hello"]
