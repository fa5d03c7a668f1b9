"""gateway/sealed/sender.py: the last body of a burst comes twice more, and later if the gateway is late"""

from itertools import pairwise

import pytest

from gateway.sealed.sender import MOST_LATE_S, REPEAT_S
from tests.gateway.sealed.test_recalls import served
from tests.support.fakes import ScriptedGateway, address_of, said


def repeats_at(late_s: float) -> list[float]:
    """Return after how many seconds a body comes again from a gateway whose timers come late."""
    gateway = ScriptedGateway()
    served(gateway, 1)
    sender = gateway.core.sealed_sender
    while sender.repeat(gateway.now):  # what the join brings
        gateway.now += REPEAT_S
    gateway.news(said(2, 9, "hello"))
    sender.flush()
    begun, wait_s, found = gateway.now, REPEAT_S, []
    while wait_s:
        gateway.now += wait_s + late_s
        before = gateway.counters.sealed_repeats
        wait_s = sender.repeat(gateway.now)
        found += [gateway.now - begun] * (gateway.counters.sealed_repeats - before)
    assert len(gateway.outbound.to(address_of(1))) >= 3
    return found


def test_the_last_body_comes_twice_more() -> None:
    assert repeats_at(0.0) == pytest.approx([0.09, 0.18])


def test_it_comes_later_from_a_gateway_that_is_late() -> None:
    at = [repeats_at(late_s) for late_s in (0.0, 0.01, 0.05, MOST_LATE_S, 2 * MOST_LATE_S)]
    assert at == sorted(at)
    first, second = repeats_at(0.05)
    assert (first, second) == pytest.approx((0.29, 0.68))


def test_it_does_not_wait_for_ever() -> None:
    apart = [second - first for first, second in pairwise(repeats_at(1.0))]
    assert apart == pytest.approx([3 * (REPEAT_S + MOST_LATE_S + 1.0)])
