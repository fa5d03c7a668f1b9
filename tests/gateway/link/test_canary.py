"""gateway/link/canary.py, in a whole link."""

import pytest

from gateway.link.canary import CANARY_S, HEALTHY_S, LEASE_S
from tests.gateway.link.here import Here
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Accepted, Canary, Unknown, Welcome


def test_health_is_a_canary_that_came_back_lately(here: Here) -> None:
    assert here.link.canary.unhealthy_reason(here.now) == "the broker has not been reached yet"
    here.wait(1.0, canaries_come_back=True)
    assert here.link.canary.unhealthy_reason(here.now) == ""
    # Answers alone do not make it well: news must come too.
    for _ in range(10):
        here.wait(CANARY_S)
        here.handle(Accepted(0))
    assert here.link.canary.unhealthy_reason(here.now) == "nothing came back from the broker for 2.5 s"
    here.wait(CANARY_S, canaries_come_back=True)
    assert here.link.canary.unhealthy_reason(here.now) == ""


def test_a_canary_that_was_not_sent_or_came_before_proves_nothing(here: Here) -> None:
    (canary,) = (message for message in here.tick() if isinstance(message, Canary))
    assert here.link.handle_canary(canary.number + 1, here.now)
    assert here.link.canary.unhealthy_reason(here.now)
    here.link.handle_canary(canary.number, here.now)
    assert not here.link.canary.unhealthy_reason(here.now)
    here.now += HEALTHY_S
    here.link.handle_canary(canary.number, here.now)
    assert here.link.canary.unhealthy_reason(here.now)


def test_the_lease_counts_from_when_a_canary_was_sent(here: Here) -> None:
    assert not here.link.canary.has_lease(here.now)
    sent_at = here.now
    (canary,) = (message for message in here.tick() if isinstance(message, Canary))
    here.now += 1.0
    here.link.handle_canary(canary.number, here.now)
    assert here.link.canary.has_lease(here.now)
    assert here.link.canary.has_lease(sent_at + LEASE_S - 0.01)
    assert not here.link.canary.has_lease(sent_at + LEASE_S)


@pytest.mark.parametrize("message", [Unknown("broker"), Welcome("another", 0, True, 0)])
def test_a_broker_that_does_not_know_us_ends_the_lease(here: Here, message: backbone.Downward) -> None:
    (early,) = (message for message in here.tick() if isinstance(message, Canary))
    here.wait(CANARY_S, canaries_come_back=True)
    assert here.link.canary.has_lease(here.now)
    here.handle(message)
    assert not here.link.canary.has_lease(here.now)
    # A canary from before does not bring it back.
    here.link.handle_canary(early.number, here.now)
    assert not here.link.canary.has_lease(here.now)


def test_a_welcome_of_the_same_broker_leaves_the_lease_alone(here: Here) -> None:
    here.wait(CANARY_S, canaries_come_back=True)
    here.handle(Welcome("broker", 0, True, 0))
    assert here.link.canary.has_lease(here.now)


def test_canaries_that_never_came_back_show_that_news_were_lost(here: Here) -> None:
    first, second, third = (
        next(message.number for message in here.tick() if isinstance(message, Canary)) for _ in range(3)
    )
    assert here.link.handle_canary(first, here.now)
    assert not here.link.handle_canary(third, here.now)
    assert here.link.canary.lost == 1
    assert here.link.handle_canary(second, here.now)
    fourth = next(message.number for message in here.tick() if isinstance(message, Canary))
    assert here.link.handle_canary(fourth, here.now)
