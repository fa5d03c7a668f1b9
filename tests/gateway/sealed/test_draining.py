"""gateway/sealed/draining.py"""

import pytest

from gateway.sealed.draining import ASK_S
from tests.gateway.sealed.people import Network, People, Person
from tests.gateway.sealed.test_lives import check
from tests.support.fakes import World


def gather(nodes: int, network: Network | None = None) -> tuple[People, list[Person]]:
    """Return people who are all served by the first of some gateways."""
    people = People(World(1), network)
    for _ in range(nodes):
        people.attach(people.world.start_gateway())
    everyone = people.gather(*"abcdef")
    return people, everyone


@pytest.mark.parametrize("network", [Network(), Network(loss=0.2, doubling=0.1, delay_s=0.01, jitter_s=0.02)])
def test_members_go_to_the_other_gateway_and_lose_nothing(network: Network) -> None:
    people, everyone = gather(2, network)
    draining = people.world.nodes[0].gateway.core.draining
    left = [draining.ask(4.0, ())]
    for number in range(20):
        people.say(everyone[number % 6], f"line {number}")
        people.run(ASK_S)
        left.append(draining.ask(max(4.0 - number * ASK_S, 0.1), ()))
    # Where packets are lost, some have tried the second one at the beginning already.
    assert left[0] == 6 if not network.loss else left[0] > 2
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert len(set(left)) > 2
    assert [person.client.server for person in everyone] == [1] * 6
    people.settle()
    check(people.world, people, everyone)


def test_those_that_have_nowhere_to_go_are_asked_once_and_served_on() -> None:
    people, everyone = gather(1)
    gateway = people.world.nodes[0].gateway
    draining, before = gateway.core.draining, gateway.counters.sealed_resumes
    for _ in range(10):
        assert draining.ask(1.0, ()) == 6
        people.run(ASK_S)
    assert gateway.counters.sealed_resumes - before == 6
    people.say(everyone[0], "still here")
    people.settle()
    check(people.world, people, everyone)
