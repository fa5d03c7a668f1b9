"""Members of version 2 whose broker is given an earlier store: they hear all that is said from then on."""

from broker.store.memory import MemoryStore
from tests.gateway.chat.test_restored_store import copy_of
from tests.gateway.sealed.people import People, Person
from tests.support.fakes import World
from tsudoi.protocol.sealed.client_events import Delivered, Reset


def heard_since_reset(person: Person) -> list[int]:
    (at,) = [at for at, event in enumerate(person.events) if isinstance(event, Reset)]
    return [event.offset for event in person.events[at:] if isinstance(event, Delivered)]


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
