"""A seeded bad network between clients of version 2 and the model server, in pure time; and what must hold after it."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random

from tests.tsudoi.protocol.sealed.model_server import Broker, Gateway, Member
from tsudoi.protocol.sealed.client import SealedClient
from tsudoi.protocol.sealed.client_events import ClientEvent, Delivered, Kept
from tsudoi.protocol.sealed.client_link import Datagram
from tsudoi.protocol.sealed.grant import Grant
from tsudoi.protocol.sealed.suites import AES_128_GCM, CHECK_KEY_SIZE


@dataclass
class Weather:
    """How bad the network is, and what is said."""

    loss: float = 0.1
    doubling: float = 0.1
    delay_s: float = 0.02
    jitter_s: float = 0.03
    gateways: int = 1
    clients: int = 3
    lines: int = 30
    lasts_s: float = 8.0
    sizes: tuple[int, ...] = (1, 1, 1, 30, 600, 1_200)


@dataclass
class Person:
    """A client and what it has seen."""

    name: str
    client: SealedClient
    address: str
    member: Member
    said: dict[int, str] = field(default_factory=dict)
    events: list[ClientEvent] = field(default_factory=list)
    next_tick: float | None = None


class World:
    """One run."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.dice = Random(seed)
        self.weather = weather
        self.now = 1_000.0
        self._calendar: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self.broker = Broker()
        self.people: dict[str, Person] = {}
        self._addresses: dict[str, str] = {}
        """Address → name of the person that has it."""
        self._new_address = count()
        self.down_nonces: set[bytes] = set()
        self.up_nonces: set[bytes] = set()
        for index in range(weather.gateways):
            self.broker.gateways.append(
                Gateway(self.broker, self.dice, self.later, self._sender(index), self.down_nonces)
            )
        for at in range(weather.clients):
            self._enter(f"person-{at}", at + 1)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._calendar, (self.now + seconds, next(self._order), act))

    # --- the network ---

    def _carry(self, act: Callable[[], None]) -> None:
        weather = self.weather
        for _ in range(1 + (self.dice.random() < weather.doubling)):
            if self.dice.random() >= weather.loss:
                self.later(weather.delay_s + self.dice.random() ** 3 * weather.jitter_s, act)

    def _sender(self, gateway: int) -> Callable[[str, bytes], None]:
        def send(address: str, data: bytes) -> None:
            assert len(data) <= 1_200
            self._carry(lambda: self._arrive(address, data, gateway))

        return send

    def _arrive(self, address: str, data: bytes, gateway: int) -> None:
        if (name := self._addresses.get(address)) is not None:
            person = self.people[name]
            person.client.receive(data, self.now, gateway)
            self._flush(person)

    def _flush(self, person: Person) -> None:
        for datagram in person.client.datagrams_to_send():
            assert len(datagram.data) <= 1_200
            assert datagram.data[2:30] not in self.up_nonces, "a nonce repeats"
            self.up_nonces.add(datagram.data[2:30])
            self._carry_up(person, datagram)
        for event in person.client.events():
            person.events.append(event)
        self._plan_tick(person)

    def _carry_up(self, person: Person, datagram: Datagram) -> None:
        gateway, address = self.broker.gateways[datagram.server], person.address
        self._carry(partial(gateway.receive, datagram.data, address))

    def _new_client(self, grant: Grant) -> SealedClient:
        return SealedClient(grant, self.now, self.dice, len(self.broker.gateways), 0)

    def _plan_tick(self, person: Person) -> None:
        at = person.client.deadline
        if at is None or (person.next_tick is not None and self.now <= person.next_tick <= at):
            return
        assert at > self.now - 1e-9 or person.next_tick != at, "the client asks for a time that is over, again"
        person.next_tick = max(at, self.now)

        def tick(planned: float = person.next_tick) -> None:
            if person.next_tick == planned:
                person.next_tick = None
                person.client.tick(self.now)
                self._flush(person)

        self.later(person.next_tick - self.now, tick)

    # --- people ---

    def _enter(self, name: str, member: int) -> None:
        session, up, down, check = (self.dice.randbytes(size) for size in (16, 16, 16, CHECK_KEY_SIZE))
        grant = Grant(session, AES_128_GCM, up, down, check, name, member, self.broker.epoch, self.broker.last)
        self.broker.members[session] = of = Member(grant)
        client = self._new_client(grant)
        person = self.people[name] = Person(name, client, "", of)
        self.take_address(person)
        client.tick(self.now)
        self._flush(person)

    def take_address(self, person: Person) -> None:
        self._addresses.pop(person.address, None)
        person.address = f"{person.name}@{next(self._new_address)}"
        self._addresses[person.address] = person.name

    def say(self, person: Person, text: str) -> int:
        number = person.client.say(text, self.now)
        person.said[number] = text
        self._flush(person)
        return number

    def leave(self, person: Person) -> None:
        person.client.leave(self.now)
        self._flush(person)

    # --- the run ---

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end = self.now + seconds
        while self._calendar and self._calendar[0][0] <= end and not until():
            self.now, _, act = heapq.heappop(self._calendar)
            act()
        if not until():
            self.now = end

    def play(self) -> None:
        """Let people talk through the weather, then wait until all is settled."""
        weather, dice = self.weather, self.dice
        for at, person in enumerate(self.people.values()):
            for number in range(weather.lines):
                size = dice.choice(weather.sizes)
                text = f"<{at}/{number}>" + "語x"[number % 2] * size
                self.later(dice.uniform(0.1, weather.lasts_s), partial(self.say, person, text))
        self.run(weather.lasts_s + 0.1)
        self.run(120.0, self.is_settled)

    def is_settled(self) -> bool:
        return all(
            person.client.waiting == 0 and person.client.position == (self.broker.epoch, self.broker.last)
            for person in self.people.values()
        )

    def check(self) -> None:
        """All lines are kept, and heard by all, once and in their order."""
        assert self.is_settled(), [(p.name, p.client.waiting, p.client.position) for p in self.people.values()]
        for person in self.people.values():
            assert [each.line for each in person.events if isinstance(each, Delivered)] == [
                entry.encode() for entry in self.broker.log
            ]
            own = [entry for entry in self.broker.log if entry.member == person.member.grant.member]
            assert {entry.number: entry.text for entry in own} == person.said
            kept = [event for event in person.events if isinstance(event, Kept)]
            assert kept == [Kept(entry.number, entry.offset) for entry in own]
