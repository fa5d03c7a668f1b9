"""Clients of version 2, the SDK's own, in a World: real cores of broker and gateways, and a bad network between."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from gateway.listeners import sockaddr
from tests.support.fakes import FakeGateway, Node, World
from tsudoi.protocol.backbone import Answer, Create, Granted, Join, place_of
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.names import RoomName, hash_token
from tsudoi.protocol.sealed.client import SealedClient
from tsudoi.protocol.sealed.client_events import ClientEvent, Delivered, Ended, Gap, Kept, LineRefused, Reset
from tsudoi.protocol.sealed.client_link import Datagram
from tsudoi.protocol.sealed.client_path import is_tcp, server_of
from tsudoi.protocol.sealed.grant import Grant
from tsudoi.protocol.sealed.lines import member_number

OPTIONS = int(MemberOptions.COMMANDS | MemberOptions.NOTICES)


@dataclass
class Network:
    """How bad it is, as chances of each datagram."""

    loss: float = 0.0
    doubling: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    passes_udp: bool = True


@dataclass
class Connection:
    """A TCP connection that carries packets: nothing is lost or overtaken, and what the network loses comes later."""

    person: "Person"
    way: int
    address: bytes
    is_dead: bool = False
    """It carries nothing any more, and neither end knows."""
    due: float = 0.0
    """When the last of what it carries arrives."""


@dataclass
class Person:
    """A client, and what it has seen."""

    client: SealedClient
    member: int
    address: bytes
    begun: int
    """The offset after which its entries begin."""
    events: list[ClientEvent] = field(default_factory=list)
    said: dict[int, str] = field(default_factory=dict)
    due: float | None = None
    """When its client is to be called; kept, because to ask it at each step took a third of the time."""

    def note_deadline(self) -> None:
        """Ask the client when it is due; also needed after a call of the client itself."""
        self.due = self.client.deadline

    def offsets(self) -> list[int]:
        return [event.offset for event in self.events if isinstance(event, Delivered)]

    def kept(self) -> set[int]:
        return {event.number for event in self.events if isinstance(event, Kept)}

    def refused(self) -> set[int]:
        return {event.number for event in self.events if isinstance(event, LineRefused)}

    def losses(self) -> list[ClientEvent]:
        return [event for event in self.events if isinstance(event, Gap | Reset | Ended)]


def nothing(address: bytes, data: bytes) -> bool:
    return False


class People:
    """All clients of a world. Servers are its gateways, by their places in `nodes`."""

    def __init__(self, world: World, network: Network | None = None, *, has_tcp: bool = False) -> None:
        self.world, self.network = world, network or Network()
        self.has_tcp = has_tcp
        self.connections: dict[bytes, Connection] = {}
        """By the addresses of their clients' ends."""
        self.people: dict[bytes, Person] = {}
        """By address."""
        self.nonces: set[bytes] = set()
        """Session, run and count of each packet that was sealed, and its direction."""
        self.wire: list[bytes] = []
        """All packets on their way up, for attackers."""
        self.wire_down: list[bytes] = []
        self.slow: dict[int, float] = {}
        """Gateway → how much later than others each datagram comes there, and from there."""
        self.loses: Callable[[bytes, bytes], bool] = nothing
        """Whether the network loses a datagram down, by its address and its bytes."""
        self.clients_go_on_at = 0.0
        """Until then their programs stand still."""
        self._under_way: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._ports = count(), count(30_000)

    def attach(self, node: Node) -> Node:
        """Let a gateway's datagrams go over this network."""
        node.gateway.outbound.on_send = partial(self._down, node)
        return node

    def enter(self, node: Node, room: str, name: str, suite: str = "aes-128-gcm") -> Person:
        """Create or join a room, as the TCP listener does."""
        keys = FakeGateway.keys
        session = keys.new(suite, place_of(RoomName(room)), 0)
        token = keys.token(session).encode()
        kind = Join if room in self.world.broker.core.directory.by_name else Create
        body = kind(room, name, None, hash_token(token), "tsudoi-2", "127.0.0.1", 100_000, options=OPTIONS)
        found: list[Granted] = []

        def answered(answer: Answer | None, now: float) -> None:
            assert isinstance(answer, Granted)
            node.gateway.core.link_session(node.gateway.core.enter(answer, token, now), session)
            found.append(answer)

        node.gateway.link.ask(body, self.world.now, answered)
        self.world.flush(node)
        self.world.run_until(lambda: bool(found))
        granted = found[0]
        up, down, check = keys.keys(session).up, keys.keys(session).down, keys.check_key(session)
        about = (granted.user, member_number(granted.member), granted.epoch, granted.offset)
        grant = Grant(session, suite, up, down, check, *about)
        nodes = self.world.nodes
        dice = random.Random(granted.member)
        client = SealedClient(grant, self.world.now, dice, len(nodes), nodes.index(node), has_tcp=self.has_tcp)
        person = Person(client, granted.member, self._new_address(), granted.offset)
        self.people[person.address] = person
        self._up(person)
        return person

    def gather(self, *names: str, spread: bool = False) -> list[Person]:
        """Let some enter a room at the first gateway, or spread over all; return them when all are served."""
        nodes = self.world.nodes if spread else self.world.nodes[:1]
        everyone = [self.enter(nodes[at % len(nodes)], "den", name) for at, name in enumerate(names)]
        self.run_until(lambda: all(person.client.is_resumed for person in everyone))
        return everyone

    def _new_address(self) -> bytes:
        return sockaddr.pack("127.0.0.1", next(self._ports))

    def leave_network(self, person: Person) -> None:
        """Let a client neither send nor hear anything."""
        del self.people[person.address]
        for connection in self.connections.values():
            connection.is_dead |= connection.person is person

    def join_network(self, person: Person) -> None:
        """Let a client that has left come back with another address, of which it does not know."""
        person.address = self._new_address()
        self.people[person.address] = person

    def move(self, person: Person) -> None:
        """Give a client another address."""
        self.leave_network(person)
        self.join_network(person)
        person.client.move(self.world.now)
        self._up(person)

    def say(self, person: Person, *texts: str) -> int:
        """Say lines that go in one packet, and return the last one's number."""
        *before, last = texts
        for text in before:
            person.said[person.client._up.add(text, not text.startswith("/"), self.world.now)] = text
        number = person.client.say(last, self.world.now, is_command=last.startswith("/"))
        person.said[number] = last
        self._up(person)
        return number

    # --- the network ------------------------------------------------------------------------------------------------

    def _carry(self, act: Callable[[], None], server: int) -> None:
        network, dice = self.network, self.world.dice
        for _ in range(1 + (dice.random() < network.doubling)):
            if dice.random() >= network.loss and network.passes_udp:
                due = self.world.now + self._delay_s(server) + dice.random() ** 3 * network.jitter_s
                heapq.heappush(self._under_way, (due, next(self._order), act))

    def _carry_in_order(self, connection: Connection, act: Callable[[], None]) -> None:
        again_s = 0.2 if self.world.dice.random() < self.network.loss else 0.0
        due = self.world.now + self._delay_s(server_of(connection.way)) + again_s
        connection.due = max(connection.due, due)
        heapq.heappush(self._under_way, (connection.due, next(self._order), act))

    def _delay_s(self, server: int) -> float:
        return self.network.delay_s + self.slow.get(server, 0.0)

    def _connection(self, person: Person, datagram: Datagram) -> Connection:
        """Return the connection for a datagram, which may be a new one."""
        ours = (each for each in self.connections.values() if each.person is person and each.way == datagram.server)
        connection = next(ours, None)
        if connection is not None and datagram.is_fresh:
            self._end(connection)
        if connection is None or datagram.is_fresh:
            connection = Connection(person, datagram.server, self._new_address())
            self.connections[connection.address] = connection
        return connection

    def _end(self, connection: Connection) -> None:
        del self.connections[connection.address]
        node = self.world.nodes[server_of(connection.way)]
        if not connection.is_dead and not node.is_dead:
            node.gateway.core.sealed_sender.detach_all(connection.address)

    def _note(self, data: bytes, direction: bytes) -> None:
        if data[1] > 2:
            return
        nonce = direction + data[2:30]
        assert nonce not in self.nonces, "a key seals two packets with one nonce"
        self.nonces.add(nonce)

    def _down(self, node: Node, listener: int, address: bytes, data: bytes) -> None:
        assert len(data) <= 1_200
        self._note(data, b"down")
        self.wire_down.append(data)
        if self.loses(address, data):
            return
        server = self.world.nodes.index(node)

        def arrive() -> None:
            if (person := self.people.get(address)) is not None:
                person.client.receive(data, self.world.now, server)
                self._up(person)

        def arrive_by_tcp() -> None:
            if address in self.connections and not connection.is_dead:
                connection.person.client.receive(data, self.world.now, connection.way)
                self._up(connection.person)

        if listener != node.gateway.connections:
            self._carry(arrive, server)
        elif address in self.connections:
            connection = self.connections[address]
            self._carry_in_order(connection, arrive_by_tcp)

    def _up(self, person: Person) -> None:
        for datagram in person.client.datagrams_to_send():
            assert len(datagram.data) <= 1_200
            self._note(datagram.data, b"up")
            self.wire.append(datagram.data)
            server = server_of(datagram.server)
            node = self.world.nodes[server]
            if is_tcp(datagram.server):
                connection = self._connection(person, datagram)
                arrive = partial(self._arrive_by_tcp, node, connection, datagram.data)
                self._carry_in_order(connection, arrive)
            else:
                self._carry(partial(self._arrive, node, person.address, datagram.data), server)
        person.events += person.client.events()
        person.note_deadline()

    def _arrive(self, node: Node, address: bytes, data: bytes) -> None:
        if not node.is_dead:
            node.datagrams.append((data, address))
            self.world.receive(node)

    def _arrive_by_tcp(self, node: Node, connection: Connection, data: bytes) -> None:
        if not node.is_dead and not connection.is_dead:
            node.carried.append((data, connection.address))
            self.world.receive(node)

    def _end_connections(self) -> None:
        """End those of gateways that were killed: their clients see it."""
        for connection in list(self.connections.values()):
            if self.world.nodes[server_of(connection.way)].is_dead and not connection.is_dead:
                del self.connections[connection.address]
                connection.person.client.lose(connection.way, self.world.now)
                self._up(connection.person)

    # --- time -------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        self.world.step()
        if self.world.now < self.clients_go_on_at:
            return
        while self._under_way and self._under_way[0][0] <= self.world.now:
            heapq.heappop(self._under_way)[2]()
        self._end_connections()
        for person in list(self.people.values()):
            if person.due is not None and person.due <= self.world.now:
                person.client.tick(self.world.now)
                self._up(person)

    def run(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            self.step()

    def run_until(self, done: Callable[[], bool], patience_s: float = 60.0) -> None:
        until = self.world.now + patience_s
        while not done():
            assert self.world.now < until, "the condition never held"
            self.step()

    def settle(self) -> None:
        """Let the network be good, and all lines be kept or refused."""
        self.network = Network()
        self.world.settle()
        everyone = list(self.people.values())
        self.run_until(lambda: all(person.client.is_resumed and not person.client.waiting for person in everyone))
        # A client that has lost the last body and both its repetitions learns of it with its next ping.
        rooms = self.world.broker.core.directory.rooms
        last = max(room.last for room in rooms.values())
        self.run_until(lambda: all(person.client.position[1] >= last for person in everyone))
