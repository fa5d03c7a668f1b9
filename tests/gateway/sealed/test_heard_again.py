"""After faults in any order, each member hears its room within seconds, also one that only listens: no ping tells it.

Broker and gateways stand still or are killed for a while, clients change addresses without knowing it, go elsewhere,
and stand still themselves, so questions and answers cross in many orders.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.gateway.sealed.people import Network, People, Person
from tests.support.fakes import Weather, World

HEARD_S = 9.0
"""After the last fault: a gateway must greet, reconcile and recall; a client waits 2 s between two `resume`."""


@dataclass
class Faults:
    """What fails in one life, and what is over later."""

    people: People
    everyone: list[Person]
    dice: random.Random
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.people.world

    def one(self) -> None:
        """Let one thing fail."""
        world, dice, person = self.world, self.dice, self.dice.choice(self.everyone)
        node = dice.choice(world.nodes)
        match dice.choice(
            ("address", "address", "broker", "broker", "stall", "gateway", "resume", "elsewhere", "link")
        ):
            case "address":
                self.people.leave_network(person)
                self.people.join_network(person)
            case "broker" if not world.broker_is_down:
                self._stop_broker(is_killed=dice.random() < 0.5)
            case "stall":
                self.people.clients_go_on_at = world.now + dice.choice((0.1, 0.3, 0.7, 1.5))
            case "gateway":
                node.is_frozen = True
                self._at(dice.choice((0.3, 1.0, 2.5, 4.0)), lambda: setattr(node, "is_frozen", False))
            case "resume":
                person.client.resume(world.now)
                person.note_deadline()
            case "elsewhere":
                person.client.go_to(world.nodes.index(node), len(world.nodes), world.now)
                person.note_deadline()
            case "link":
                world.break_commands(node)
                world.break_news(node)

    def _stop_broker(self, *, is_killed: bool) -> None:
        world = self.world
        if is_killed:
            world.stop_broker()
            self._at(self.dice.choice((0.1, 2.0, 5.0, 10.0)), world.restart_broker)
        else:
            world.broker_is_down = True
            self._at(self.dice.choice((0.1, 0.45, 1.5, 3.0)), lambda: setattr(world, "broker_is_down", False))

    def _at(self, after_s: float, act: Callable[[], None]) -> None:
        self._later.append((self.world.now + after_s, act))

    def run(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            self.people.step()
            for each in [each for each in self._later if each[0] <= self.world.now]:
                self._later.remove(each)
                each[1]()

    def end(self) -> None:
        while self._later:
            self.run(0.1)


def life(seed: int) -> None:
    dice = random.Random(seed)
    world = World(seed, Weather(delay_s=dice.choice((0.005, 0.02, 0.2))))
    people = People(world, Network(delay_s=0.002, jitter_s=0.01))
    for _ in range(dice.choice((1, 2, 3))):
        people.attach(world.start_gateway())
    everyone = [people.enter(dice.choice(world.nodes), "den", f"p{number}") for number in range(3)]
    faults = Faults(people, everyone, dice)
    for number in range(dice.randint(10, 40)):
        for person in everyone:
            if dice.random() < 0.4:
                people.say(person, f"line {number}")
        if dice.random() < 0.5:
            faults.one()
        faults.run(dice.choice((0.01, 0.05, 0.3, 0.7)))
    faults.end()
    people.network, world.weather = Network(delay_s=0.002), Weather(delay_s=0.005)
    for person in everyone:
        # A server can not know a client's new address before it has sent something from there.
        person.client.resume(world.now)
        person.note_deadline()
    people.run(dice.choice((0.0, 0.1, 0.5, 2.0)))
    # The others may have nothing to say any more.
    speaker, until = everyone[0], world.now + HEARD_S
    while world.now < until:
        people.say(speaker, f"at {world.now}")
        people.run(1.5)
    people.run(1.0)
    last = world.broker.core.directory.by_name["den"].last
    for person in everyone:
        assert person.losses() == []
        assert person.offsets()[-1] == last, f"{person.client.name} hears nothing at gateway {person.client.server}"


@pytest.mark.parametrize("seed", [*range(8), 1_479])
def test_who_only_listens_hears_its_room_again_after_any_faults(seed: int) -> None:
    life(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2_000, 4_000, 50))  # fewer tests: every run collects the slow ones too
def test_two_thousand_lives(first: int, subtests: pytest.Subtests) -> None:
    for seed in range(first, first + 50):
        with subtests.test(seed=seed):
            life(seed)
