"""A seeded bad network between clients of version 2 and the model server, in pure time; and what must hold after it."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random

import msgspec

from tests.tsudoi.protocol.sealed.model_server import Broker, Gateway, Member
from tsudoi.protocol.sealed.client import SealedClient
from tsudoi.protocol.sealed.client_events import (
    Away,
    Back,
    ClientEvent,
    Delivered,
    Ended,
    Gap,
    Kept,
    LineRefused,
    Reset,
)
from tsudoi.protocol.sealed.client_link import Datagram
from tsudoi.protocol.sealed.grant import Grant
from tsudoi.protocol.sealed.suites import CHECK_KEY_SIZE, KEY_SIZES, PLAIN


@dataclass
class Weather:
    """How bad the network is, and what else happens."""

    loss: float = 0.1
    doubling: float = 0.1
    delay_s: float = 0.02
    jitter_s: float = 0.03
    gateways: int = 1
    clients: int = 3
    lines: int = 30
    lasts_s: float = 8.0
    sizes: tuple[int, ...] = (1, 1, 1, 30, 600, 1_200)
    faults: tuple[str, ...] = ()
    """Kinds to draw from: restart, freeze, move, rebind, trim, reset, mute, again."""
    fault_count: int = 0
    suite: str = "aes-128-gcm"


@dataclass
class Person:
    """A client and what it has seen."""

    name: str
    client: SealedClient
    address: str
    member: Member
    said: dict[int, tuple[str, float]] = field(default_factory=dict)
    events: list[tuple[float, ClientEvent]] = field(default_factory=list)
    next_tick: float | None = None


class World:
    """One run."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.dice = Random(seed)
        self.weather = weather
        self.now = 1_000.0
        self._calendar: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.broker = Broker()
        self.people: dict[str, Person] = {}
        self._addresses: dict[str, str] = {}
        """Address → name of the person that has it."""
        self._new_address = count()
        self.down_nonces: set[bytes] = set()
        self.up_nonces: set[bytes] = set()
        self.said_at: dict[str, float] = {}
        self.latencies: list[float] = []
        self.is_calm = False
        for index in range(weather.gateways):
            self.broker.gateways.append(
                Gateway(self.broker, self.dice, self.later, self._sender(index), self.down_nonces)
            )
        for at in range(weather.clients):
            self._enter(f"person-{at}", at + 1)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._calendar, (self.now + seconds, next(self._order), act))

    # --- the network ---

    def _carry(self, act: Callable[[], None]) -> None:
        weather = self.weather
        for _ in range(1 + (not self.is_calm and self.dice.random() < weather.doubling)):
            if self.is_calm or self.dice.random() >= weather.loss:
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
            person.events.append((self.now, event))
            if isinstance(event, Delivered) and event.number is None:
                line = msgspec.json.decode(event.line)
                text = line[2] if isinstance(line, list) else line.get("text")
                if text in self.said_at:
                    self.latencies.append(self.now - self.said_at[text])
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
        suite, dice = self.weather.suite, self.dice
        size, check = KEY_SIZES[suite], 0 if suite == PLAIN else CHECK_KEY_SIZE
        up, down = dice.randbytes(size), dice.randbytes(size)
        session = dice.randbytes(16)
        grant = Grant(
            session, suite, up, down, dice.randbytes(check), name, member, self.broker.epoch, self.broker.last
        )
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

    def _say(self, person: Person, text: str) -> None:
        self.say(person, text)

    def say(self, person: Person, text: str) -> int:
        self.said_at[text] = self.now
        number = person.client.say(text, self.now)
        person.said[number] = text, self.now
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
                self.later(dice.uniform(0.1, weather.lasts_s), partial(self._say, person, text))
        for _ in range(weather.fault_count):
            kind = dice.choice(weather.faults)
            self.later(dice.uniform(0.2, weather.lasts_s), partial(self.fault, kind))
        self.run(weather.lasts_s + 0.1)
        for gateway in self.broker.gateways:
            gateway.thaw()
        self.run(120.0, self.is_settled)

    def is_settled(self) -> bool:
        return all(
            person.client.waiting == 0 and person.client.position == (self.broker.epoch, self.broker.last)
            for person in self.people.values()
        )

    def fault(self, kind: str) -> None:
        dice = self.dice
        gateway = dice.choice(self.broker.gateways)
        person = dice.choice(list(self.people.values()))
        match kind:
            case "restart":
                gateway.start()
            case "freeze":
                gateway.freeze()
                self.later(dice.uniform(0.1, 6.0), gateway.thaw)
            case "move":
                self.take_address(person)
                person.client.move(self.now)
                self._flush(person)
            case "rebind":
                self.take_address(person)
            case "trim":
                self.broker.trim(dice.randrange(6))
            case "reset":
                self.broker.reset(dice.randrange(5))
                self.broker.append(0, "", "the room goes on")
                for each in self.broker.gateways:
                    each.deliver()
            case "mute":
                waits = [text for number, (text, at) in person.said.items() if self.now - at < 0.3]
                person.member.muted_texts.update(waits[-2:])
            case "again":
                gateway.again = 2

    # --- what must hold ---

    def check(self) -> None:
        """Check the events of all people against the logs."""
        assert self.is_settled(), [(p.name, p.client.waiting, p.client.position) for p in self.people.values()]
        for person in self.people.values():
            self._check_down(person)
            self._check_up(person)

    def _check_down(self, person: Person) -> None:
        epoch, at = person.member.grant.epoch, person.member.grant.offset
        is_away = False
        resets = [event for _, event in person.events if isinstance(event, Reset)]
        for _, event in person.events:
            match event:
                case Delivered(offset, raw):
                    assert offset == at + 1, f"{person.name}: {offset} comes after {at}"
                    at = offset
                    if not resets:
                        assert raw == self.broker.logs[epoch][offset - 1].encode()
                case Gap(first, last):
                    assert first == at + 1, f"{person.name}: a gap from {first} after {at}"
                    assert last < self.broker.first or resets, "what is in the log was reported as lost"
                    at = last
                case Reset():
                    # The positions of epochs between may have been reported in part; what follows is checked again.
                    at = self._next_offset(person, event) - 1
                case Away():
                    assert not is_away
                    is_away = True
                case Back():
                    assert is_away
                    is_away = False
                case Ended():
                    raise AssertionError(event)
                case _:
                    pass
        assert at == self.broker.last
        assert not is_away
        if not resets:
            assert at == len(self.broker.logs[epoch])

    def _next_offset(self, person: Person, reset: Reset) -> int:
        place = next(at for at, (_, event) in enumerate(person.events) if event is reset)
        for _, event in person.events[place + 1 :]:
            if isinstance(event, Delivered):
                return event.offset
            if isinstance(event, Gap):
                return event.first
        return self.broker.last + 1

    def _check_up(self, person: Person) -> None:
        kept = {event.number: event.offset for _, event in person.events if isinstance(event, Kept)}
        refused = [event.number for _, event in person.events if isinstance(event, LineRefused)]
        settled = [event.number for _, event in person.events if isinstance(event, Kept)]
        assert settled == sorted(set(settled)), "kept twice, or out of order"
        assert sorted([*settled, *refused]) == list(person.said)
        member = person.member.grant.member
        for epoch, log in self.broker.logs.items():
            mine = [entry for entry in log if entry.member == member]
            numbers = [entry.number for entry in mine]
            assert numbers == sorted(set(numbers)), f"doubled or out of order: {numbers}"
            for entry in mine:
                assert person.said[entry.number][0] == entry.text
                assert entry.number not in refused
            if len(self.broker.logs) == 1:
                assert numbers == settled, "a line is kept that the log does not have, or the other way round"
                for entry in mine:
                    assert kept[entry.number] in (entry.offset, None)
                    if not any(isinstance(event, Gap) for _, event in person.events):
                        assert kept[entry.number] == entry.offset, epoch
