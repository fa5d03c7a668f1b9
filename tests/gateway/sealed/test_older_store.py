"""An older copy of the store is put in its place: members of version 2 are told *reset*, and hear what follows it."""

import copy

import pytest

from broker.store.memory import MemoryStore
from tests.gateway.sealed.people import Network, People
from tests.support.fakes import World
from tsudoi.protocol.sealed.client_events import Delivered, Reset


def copied(store: MemoryStore) -> MemoryStore:
    tables = {name: copy.deepcopy(table) for name, table in vars(store).items() if isinstance(table, dict)}
    older = MemoryStore()
    vars(older).update(tables)
    return older


@pytest.mark.parametrize("delay_s", [0.01, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_each_member_hears_all_that_the_older_store_did_not_have_once(seed: int, delay_s: float) -> None:
    """Also one that comes back after others have said lines in the new epoch, or repeats its `resume` meanwhile."""
    world = World(seed)
    people = People(world, Network(loss=0.1, doubling=0.1, delay_s=delay_s, jitter_s=0.04))
    nodes = [people.attach(world.start_gateway()) for _ in range(2)]
    everyone = [people.enter(nodes[number % 2], "den", f"p{number}") for number in range(4)]
    people.run_until(lambda: all(person.client.is_resumed for person in everyone))

    def talk(topic: str, lines: int) -> None:
        for number in range(lines):
            people.say(everyone[number % 3], f"{topic} {number}")
            people.run(0.1)

    talk("before", 10)
    people.run(1.0)
    older = copied(world.broker.store)
    talk("lost", 10)
    world.stop_broker()
    world.broker.store = older
    people.run(0.5)
    world.restart_broker()
    late = everyone[3]
    people.leave_network(late)
    talk("after", 30)
    people.people[late.address] = late
    people.settle()
    room = world.broker.core.directory.by_name["den"]
    for person in everyone:
        assert person.losses() == [Reset()]
        since = person.events[person.events.index(Reset()) :]
        offsets = [event.offset for event in since if isinstance(event, Delivered)]
        assert offsets == list(range(room.epoch_after + 1, room.last + 1))
