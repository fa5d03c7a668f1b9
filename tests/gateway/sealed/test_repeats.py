"""The last body of a burst is repeated soon, and not while the event loop is behind."""

import pytest

from gateway.sealed.farewells import AT_TICKS
from gateway.sealed.sender import LATE_S, MOST_LATE, REPEAT_S
from tests.gateway.sealed.test_endings import bodies_to
from tests.gateway.sealed.test_recalls import repeat, served
from tests.support.fakes import ScriptedGateway, address_of, said


def ticks_until_repeats(each_s: float) -> list[int]:
    """Return at which calls of `repeat` a body is sent again, when they come so far apart."""
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    gateway.news(last=1)
    repeat(gateway, 1.0)
    gateway.news(said(2, 9, "hello"))
    gateway.core.sealed_sender.flush()
    gateway.repeat(gateway.now)
    ticks: list[int] = []
    tick, sent = 1, len(bodies_to(gateway, session, address_of(1)))
    while gateway.repeats:
        tick += 1
        gateway.now += each_s
        gateway.repeat(gateway.now)
        if (now_sent := len(bodies_to(gateway, session, address_of(1)))) > sent:
            ticks, sent = [*ticks, tick], now_sent
    return ticks


@pytest.mark.parametrize("each_s", [REPEAT_S, 1.4 * REPEAT_S])
def test_a_last_body_is_repeated_at_two_ticks(each_s: float) -> None:
    assert ticks_until_repeats(each_s) == [*AT_TICKS]


def test_of_late_ticks_one_in_four_counts() -> None:
    late = MOST_LATE + 1
    assert ticks_until_repeats(1.1 * LATE_S) == [1 + late * (tick - 1) for tick in AT_TICKS]


def test_after_a_rest_the_first_tick_is_not_late() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    gateway.news(last=1)
    repeat(gateway, 1.0)
    for offset in (2, 3):
        gateway.now += 3 * LATE_S
        gateway.outbound.sent.clear()
        gateway.news(said(offset, 9, "hello"))
        gateway.core.sealed_sender.flush()
        repeat(gateway, (AT_TICKS[0] + 0.5) * REPEAT_S)
        assert len(bodies_to(gateway, session, address_of(1))) == 2
        repeat(gateway, AT_TICKS[1] * REPEAT_S)
