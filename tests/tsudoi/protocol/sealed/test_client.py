"""The client of version 2 against a model server, through a seeded bad network in pure time."""

import os

import pytest

from tests.tsudoi.protocol.sealed.bad_network import Weather, World

SEEDS = int(os.environ.get("SEALED_SEEDS", "40"))

ALL = ("restart", "freeze", "move", "rebind", "trim", "reset", "mute", "again")
WEATHERS = {
    "loss alone": Weather(),
    "heavy loss": Weather(loss=0.3, doubling=0.3, jitter_s=0.2),
    "restarts": Weather(faults=("restart", "freeze"), fault_count=4, gateways=2),
    "addresses": Weather(faults=("move", "rebind"), fault_count=5),
    "trims": Weather(faults=("trim", "restart", "rebind"), fault_count=8, gateways=3),
    "refusals": Weather(faults=("mute", "again", "restart"), fault_count=10, jitter_s=0.15, lines=60),
    "resets": Weather(faults=("reset", "restart"), fault_count=3, gateways=2),
    "everything": Weather(faults=ALL, fault_count=8, gateways=3, jitter_s=0.1),
    "plain": Weather(faults=ALL, fault_count=3, suite="plain"),
}


@pytest.mark.parametrize("name", WEATHERS)
def test_nothing_is_lost_doubled_or_out_of_order(name: str) -> None:
    for seed in range(SEEDS):
        world = World(seed, WEATHERS[name])
        try:
            world.play()
            world.check()
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}: {exc}") from exc


def test_delivery_at_ten_percent_loss_is_at_most_a_round_trip_and_0_3_s_late() -> None:
    latencies = []
    for seed in range(20):
        world = World(seed, Weather(lines=60, lasts_s=30.0, jitter_s=0.01, sizes=(1, 30, 200)))
        world.play()
        latencies += world.latencies
    latencies.sort()
    round_trip = 2 * 0.02 + 0.01
    assert latencies[int(0.99 * len(latencies))] <= round_trip + 0.3
