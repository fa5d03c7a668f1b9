"""How far a gateway has delivered must reach the directory, whatever becomes of one report (gateway/delivery.py)."""

import pytest

from tests.support.fakes import Weather, World


@pytest.mark.parametrize("seed", range(8))
def test_a_report_that_got_lost_with_the_broker_is_made_again(seed: int) -> None:
    world = World(seed, Weather(delay_s=0.2))
    first, second = world.start_gateway("g"), world.start_gateway("g")
    speaker, listener = world.enter_now(first, "den"), world.enter_now(first, "den")
    world.run(1.0)
    delivery = first.gateway.delivery
    for line in range(5):
        speaker.send(first, f"line {line}")
    world.run_until(lambda: len(listener.offsets()) == 5 and not delivery._unreported)
    world.restart_broker()
    # The room falls silent, and much later its gateway is killed: nothing of that may be told again.
    world.run(5.0)
    world.kill(first)
    world.run(5.0)
    speaker.send(second, "last")
    world.settle()
    assert len(listener.offsets()) == 6
