"""gateway/chat/delivery_reports.py: reports of how far was delivered reach the directory, whatever becomes of one."""

import pytest

from gateway.chat.delivery_reports import REPORT_S
from tests.gateway.chat.scripting import ALICE
from tests.support.fakes import ScriptedGateway, Weather, World, said
from tsudoi.protocol.backbone import Delivered

WAY_S = 0.2
"""The longest that a frame is under way."""


@pytest.mark.parametrize("later_s", [WAY_S, 5.0])
@pytest.mark.parametrize("seed", range(8))
def test_a_report_that_got_lost_with_the_broker_is_made_again_as_soon_as_it_is_back(seed: int, later_s: float) -> None:
    world = World(seed, Weather(delay_s=WAY_S))
    first, second = world.start_gateway("g"), world.start_gateway("g")
    speaker, listener = world.enter_now(first, "den"), world.enter_now(first, "den")
    world.run(1.0)
    for line in range(5):
        speaker.send(first, f"line {line}")
    world.run_until(lambda: len(listener.offsets()) == 5 and not first.gateway.core.reports._moved)
    world.restart_broker()
    # The room falls silent, and then its gateway is killed: nothing of that may be told again.
    world.run_until(lambda: first.gateway.link._broker == "broker-2")
    world.run(later_s)
    world.kill(first)
    world.run(5.0)
    speaker.send(second, "last")
    world.settle()
    assert len(listener.offsets()) == 6


def reports(gateway: ScriptedGateway) -> list[list[tuple[int, int, int]]]:
    return [message.positions for message in gateway.notified() if isinstance(message, Delivered)]


def test_how_far_was_delivered_is_reported_at_once_and_then_now_and_then(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    reports(gateway)
    gateway.news(said(2, 9, "2"))
    assert reports(gateway) == [[(1, 1, 2)]]
    for offset in range(3, 10):
        gateway.news(said(offset, 9, str(offset)))
    assert reports(gateway) == []
    gateway.now += REPORT_S
    assert reports(gateway) == [[(1, 1, 9)]]
    gateway.wait(5.0)
    assert reports(gateway) == []


def test_datagrams_that_wait_for_the_kernel_are_not_reported(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    reports(gateway)
    gateway.outbound.is_behind = True
    gateway.news(said(2, 9, "2"))
    gateway.wait(1.0)
    assert reports(gateway) == []
    gateway.outbound.is_behind = False
    gateway.wait(1.0)
    assert reports(gateway) == [[(1, 1, 2)]]


@pytest.mark.parametrize("is_killed", [True, False])
def test_what_a_member_was_sent_to_catch_up_is_not_counted_while_it_waits_for_the_kernel(is_killed: bool) -> None:
    world = World(3)
    first, second = world.start_gateway(), world.start_gateway()
    speaker, listener = world.enter_now(first, "den"), world.enter_now(first, "den", register=False)
    for line in range(5):
        speaker.send(first, f"line {line}")
    world.run(1.0)
    outbound = first.gateway.outbound
    on_send, waiting = outbound.on_send, list[tuple[int, bytes, bytes]]()
    assert on_send is not None
    outbound.is_behind, outbound.on_send = True, lambda *datagram: waiting.append(datagram)
    listener.send(first)
    world.run(1.0)
    assert waiting
    if is_killed:
        world.kill(first)
    else:
        outbound.is_behind, outbound.on_send = False, on_send
        for datagram in waiting:
            on_send(*datagram)
        world.run(1.0)
        world.kill(first)
    world.run(5.0)
    listener.send(second)
    world.run(2.0)
    assert listener.offsets() == world.expected(listener)


def test_undelivered_entries_are_not_reported(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    reports(gateway)
    gateway.news(said(5, 9, "5"))
    assert reports(gateway) == []
