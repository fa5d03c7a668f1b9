"""An older copy of the store is put in its place: members of version 2 are told *reset*, and hear what follows it."""

import pytest

from broker.store.memory import MemoryStore
from tests.gateway.chat.test_restored_store import copy_of
from tests.gateway.sealed.people import Network, People, Person
from tests.support.fakes import World
from tsudoi.protocol.sealed.client_events import Delivered, Reset


def heard_since_reset(person: Person) -> list[int]:
    (at,) = [at for at, event in enumerate(person.events) if isinstance(event, Reset)]
    return [event.offset for event in person.events[at:] if isinstance(event, Delivered)]


@pytest.mark.parametrize("delay_s", [0.01, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_each_member_hears_all_that_the_older_store_did_not_have_once(seed: int, delay_s: float) -> None:
    """Also one that comes back after others have said lines in the new epoch, or repeats its `resume` meanwhile."""
    world = World(seed)
    people = People(world, Network(loss=0.1, doubling=0.1, delay_s=delay_s, jitter_s=0.04))
    for _ in range(2):
        people.attach(world.start_gateway())
    everyone = people.gather(*"abcd", spread=True)

    def talk(topic: str, lines: int) -> None:
        for number in range(lines):
            people.say(everyone[number % 3], f"{topic} {number}")
            people.run(0.1)

    talk("before", 10)
    people.run(1.0)
    assert isinstance(world.broker.store, MemoryStore)
    older = copy_of(world.broker.store, new_epochs=False)
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
        assert heard_since_reset(person) == list(range(room.epoch_after + 1, room.last + 1))


def test_a_member_that_resumes_later_than_others_hears_what_these_have_said_in_the_new_epoch() -> None:
    world = World(1)
    people = People(world)
    node = people.attach(world.start_gateway())
    alice, bob = (people.enter(node, "den", name) for name in ("alice", "bob"))
    people.say(alice, "before")
    people.settle()
    assert isinstance(world.broker.store, MemoryStore)
    backup = copy_of(world.broker.store, new_epochs=True)
    people.say(alice, "lost to the store")
    people.settle()
    ((_, begun),) = backup.load().ends.values()
    people.leave_network(bob)
    world.stop_broker()
    world.broker.store = backup
    world.restart_broker()
    people.run_until(lambda: any(isinstance(event, Reset) for event in alice.events))
    people.say(alice, "one", "two", "three")
    people.run_until(lambda: not alice.client.waiting)
    people.join_network(bob)
    bob.client.move(world.now)
    people._up(bob)
    people.settle()
    said = [*range(begun + 1, begun + 4)]
    assert heard_since_reset(alice) == said
    assert heard_since_reset(bob) == said


def test_a_member_that_had_lost_lines_before_the_copy_was_made_hears_them_too() -> None:
    """Its own position counts, not how far its gateway has sent."""
    world = World(1)
    people = People(world)
    node = people.attach(world.start_gateway())
    alice, bob = (people.enter(node, "den", name) for name in ("alice", "bob"))
    people.settle()
    _, heard = bob.client.position
    people.leave_network(bob)
    people.say(alice, "one", "two", "three")
    people.run_until(lambda: not alice.client.waiting)
    assert isinstance(world.broker.store, MemoryStore)
    backup = copy_of(world.broker.store, new_epochs=True)
    ((_, begun),) = backup.load().ends.values()
    world.stop_broker()
    world.broker.store = backup
    world.restart_broker()
    people.run_until(lambda: any(isinstance(event, Reset) for event in alice.events))
    people.say(alice, "four")
    people.run_until(lambda: not alice.client.waiting)
    people.join_network(bob)
    bob.client.move(world.now)
    people._up(bob)
    people.settle()
    assert heard_since_reset(bob) == [*range(heard + 1, begun + 2)]
