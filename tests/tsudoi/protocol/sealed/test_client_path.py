"""The client of version 2 where UDP does not pass, passes again, or comes and goes; in pure time."""

from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tests.tsudoi.protocol.sealed.bad_network import Person, Weather, World
from tsudoi.protocol.sealed.client import SealedClient
from tsudoi.protocol.sealed.client_events import Away, Back, Rerouted
from tsudoi.protocol.sealed.client_link import Datagram
from tsudoi.protocol.sealed.client_path import CONFIRM_S, LAST_PROBE_S, PROBE_S, Path, by_tcp, is_tcp, server_of
from tsudoi.protocol.sealed.grant import Grant

ROUND_TRIP_S = 0.05


class TcpWorld(World):
    """Clients that can send by TCP too; UDP passes only while `passes` says so."""

    def __init__(self, seed: int, weather: Weather, passes: Callable[[float], bool] = lambda now: True) -> None:
        self.begun = 1_000.0
        self.passes = passes
        self.tcp_passes: Callable[[float], bool] = lambda now: True
        self.connections: dict[str, tuple[str, int, float]] = {}
        """Connection → person, way, and when the last of what was sent on it arrives."""
        self.largest = 1_200
        """Bytes of a datagram that UDP carries."""
        self.dead = ""
        """A connection that carries nothing any more."""
        self.opened = 0
        self.by_tcp = self.by_udp = 0
        """Datagrams up."""
        super().__init__(seed, weather)

    def _new_client(self, grant: Grant) -> SealedClient:
        return SealedClient(grant, self.now, self.dice, len(self.broker.gateways), 0, has_tcp=True)

    def _carry_up(self, person: Person, datagram: Datagram) -> None:
        if not is_tcp(datagram.server):
            self.by_udp += 1
            if self.passes(self.now - self.begun) and len(datagram.data) <= self.largest:
                super()._carry_up(person, datagram)
            return
        self.by_tcp += 1
        connection = self._connection(person, datagram)
        gateway = self.broker.gateways[server_of(datagram.server)]
        self._in_order(connection, partial(gateway.receive, datagram.data, connection))

    def _connection(self, person: Person, datagram: Datagram) -> str:
        for name, (who, way, _) in list(self.connections.items()):
            if (who, way) == (person.name, datagram.server):
                if not datagram.is_fresh:
                    return name
                del self.connections[name]
        self.opened += 1
        name = f"tcp {self.opened}"
        self.connections[name] = person.name, datagram.server, self.now + ROUND_TRIP_S
        return name

    def _in_order(self, connection: str, act: Callable[[], None]) -> None:
        """A lost segment is sent again by TCP, and holds up those behind it."""
        if connection == self.dead or not self.tcp_passes(self.now - self.begun):
            return
        who, way, before = self.connections[connection]
        delay_s = ROUND_TRIP_S / 2 + (0.2 if self.dice.random() < self.weather.loss else 0.0)
        at = max(self.now + delay_s, before)
        self.connections[connection] = who, way, at
        self.later(at - self.now, act)

    def _sender(self, gateway: int) -> Callable[[str, bytes], None]:
        by_udp = super()._sender(gateway)

        def send(address: str, data: bytes) -> None:
            if address in self.connections:
                self._in_order(address, partial(self._arrive_by_tcp, address, data))
            elif not address.startswith("tcp") and self.passes(self.now - self.begun) and len(data) <= self.largest:
                by_udp(address, data)

        return send

    def _arrive_by_tcp(self, connection: str, data: bytes) -> None:
        if connection in self.connections:
            name, way, _ = self.connections[connection]
            self.people[name].client.receive(data, self.now, way)
            self._flush(self.people[name])

    def are_by_tcp(self) -> list[bool]:
        return [is_tcp(person.client.way) for person in self.people.values()]


def events_of(world: World, *kinds: type) -> list[object]:
    return [event for person in world.people.values() for event in person.events if isinstance(event, kinds)]


CALM = Weather(loss=0.0, doubling=0.0, jitter_s=0.0, clients=2)
PASSES: dict[str, Callable[[float], bool]] = {
    "always": lambda now: True,
    "never": lambda now: False,
    "not from the beginning": lambda now: now > 8,
    "not after 5 s": lambda now: now < 5,
    "3 s of 6": lambda now: now % 6 < 3,
    "1 s of 2": lambda now: now % 2 < 1,
    "not for a while": lambda now: not 5 < now < 9,
}


@pytest.mark.parametrize("name", PASSES)
def test_nothing_is_lost_doubled_or_out_of_order(name: str) -> None:
    world = TcpWorld(1, Weather(loss=0.05, clients=3, lines=40, lasts_s=20.0, gateways=2), PASSES[name])
    world.play()
    world.check()


def test_without_udp_a_session_is_served_by_tcp_within_two_seconds_and_is_never_away() -> None:
    world = TcpWorld(1, CALM, PASSES["never"])
    world.run(1.4)
    assert world.opened == 0
    world.run(0.6)
    assert world.are_by_tcp() == [True, True]
    world.play()
    world.check()
    assert not events_of(world, Away, Back)
    assert world.opened == 2


@pytest.mark.parametrize("lines", [(600,), (1, 1, 600)], ids=["up and down", "beside small ones"])
def test_where_udp_carries_small_packets_only_all_goes_on_by_tcp_and_stays_there(lines: tuple[int, ...]) -> None:
    world = TcpWorld(1, Weather(loss=0.05, sizes=lines, lines=20))
    world.run(5.0)
    world.largest = 548
    world.play()
    world.check()
    assert all(world.are_by_tcp())
    assert not events_of(world, Away)
    opened = world.opened
    world.run(LAST_PROBE_S / 2)
    assert world.opened == opened
    assert all(world.are_by_tcp())


def test_a_line_that_is_refused_for_now_again_and_again_is_no_reason_to_leave_udp() -> None:
    world = TcpWorld(2, CALM)
    world.run(1.0)
    world.broker.gateways[0].again = 30
    world.say(world.people["person-0"], "patience")
    world.run(25.0)
    assert world.opened == 0


def test_a_connection_is_never_opened_while_udp_answers() -> None:
    world = TcpWorld(1, Weather(loss=0.1, lasts_s=60.0, lines=200))
    world.play()
    assert world.opened == 0
    assert not events_of(world, Rerouted)


def test_udp_that_stops_to_pass_is_left_before_the_server_counts_as_away() -> None:
    world = TcpWorld(1, CALM, lambda now: now < 5)
    world.run(6.0)
    alice = next(iter(world.people.values()))
    world.say(alice, "is it blocked?")
    world.run(5.0)
    assert world.are_by_tcp()[0]
    assert world.is_settled() or not events_of(world, Away)
    assert alice.client.waiting == 0
    assert not events_of(world, Away)


def test_the_session_goes_back_to_udp_after_two_answered_probes() -> None:
    world = TcpWorld(1, CALM, lambda now: now > 10)
    world.run(10.0)
    assert world.are_by_tcp() == [True, True]
    sent = world.by_udp
    world.run(1.1 * PROBE_S - 7.0)
    assert world.by_udp - sent == 2
    assert world.are_by_tcp() == [True, True]
    world.run(CONFIRM_S + 3.0)
    assert world.are_by_tcp() == [False, False]
    assert not events_of(world, Away, Back)
    assert events_of(world, Rerouted) == [Rerouted(True), Rerouted(False)] * 2
    world.play()
    world.check()


def silent_server(now: float) -> bool:
    """UDP, where the server's process is started again from 5 s to 13 s; its other process answers by TCP."""
    return not 5 < now < 13


def test_a_server_that_is_started_again_is_no_network_that_lets_no_udp_pass() -> None:
    world = TcpWorld(1, CALM, silent_server)
    world.run(6.0)
    for person in world.people.values():
        world.say(person, "anybody?")
    world.run(5.5)
    assert world.are_by_tcp() == [True, True]  # so that nothing waits
    assert all(person.client.waiting == 0 for person in world.people.values())
    # The first probe is still without an answer, or comes when UDP passes again.
    world.run(40.0)
    assert world.are_by_tcp() == [False, False]
    assert not events_of(world, Away, Back)
    world.play()
    world.check()


def test_if_udp_passes_again_at_the_first_probe_the_user_is_told_nothing() -> None:
    world = TcpWorld(1, CALM, lambda now: not 5 < now < 12)
    world.run(6.0)
    for person in world.people.values():
        world.say(person, "anybody?")
    world.run(5.5)
    assert world.are_by_tcp() == [True, True]
    world.run(20.0)
    assert world.are_by_tcp() == [False, False]
    assert not events_of(world, Rerouted)


def test_if_udp_does_not_pass_any_more_the_user_is_told_when_the_first_probe_has_failed() -> None:
    world = TcpWorld(1, CALM, PASSES["not after 5 s"])
    world.run(6.0)
    for person in world.people.values():
        world.say(person, "anybody?")
    world.run(15.0)
    assert world.are_by_tcp() == [True, True]
    assert events_of(world, Rerouted) == [Rerouted(True)] * 2


def test_a_server_that_is_started_for_a_moment_does_not_make_a_client_connect() -> None:
    world = TcpWorld(1, CALM, lambda now: not 5 < now < 8.4)
    world.run(5.1)
    for person in world.people.values():
        world.say(person, "anybody?")
    world.run(10.0)
    assert world.opened == 0


def test_probes_that_fail_become_rare() -> None:
    world = TcpWorld(1, CALM, PASSES["never"])
    world.run(60.0)
    sent = world.by_udp
    world.run(3_600.0)
    assert 2 * 3 * 5 <= world.by_udp - sent <= 2 * 3 * 12
    world.passes = PASSES["always"]
    world.run(1.2 * LAST_PROBE_S + 15.0)
    assert world.are_by_tcp() == [False, False]


def test_a_network_on_which_udp_comes_and_goes_is_left_to_tcp_for_longer_and_longer() -> None:
    world = TcpWorld(1, CALM, lambda now: now % 120 > 60)
    changes: list[float] = []
    is_by_tcp = False
    for _ in range(3_600):
        world.run(1.0)
        if world.are_by_tcp()[0] != is_by_tcp:
            is_by_tcp = not is_by_tcp
            changes.append(world.now - world.begun)
    assert len(changes) < 20
    assert not events_of(world, Away)
    by_tcp_s = [back - gone for gone, back in zip(changes[::2], changes[1::2], strict=False)]
    assert by_tcp_s[-1] > 4 * by_tcp_s[0]


def test_where_udp_has_passed_a_server_that_is_away_is_asked_by_tcp_less_and_less_often() -> None:
    world = TcpWorld(1, CALM)
    world.run(5.0)
    world.passes = world.tcp_passes = lambda now: False
    for person in world.people.values():
        world.say(person, "anybody?")
    world.run(300.0)
    assert 2 * 8 <= world.opened <= 2 * 16
    world.passes = world.tcp_passes = lambda now: True
    world.run(6.0)
    assert world.are_by_tcp() == [False, False]
    assert all(person.client.waiting == 0 for person in world.people.values())


def test_a_connection_that_ends_is_replaced_at_once() -> None:
    world = TcpWorld(1, CALM, PASSES["never"])
    world.run(5.0)
    alice = next(iter(world.people.values()))
    assert world.opened == 2
    world.connections.pop(next(name for name, (who, _, _) in world.connections.items() if who == alice.name))
    alice.client.lose(alice.client.way, world.now)
    world._flush(alice)
    world.run(1.0)
    assert alice.client.is_resumed
    assert world.opened == 3


def test_a_connection_that_is_dead_without_a_word_is_replaced_within_five_seconds() -> None:
    world = TcpWorld(1, CALM, PASSES["never"])
    world.run(5.0)
    alice = next(iter(world.people.values()))
    dead = next(name for name, (who, _, _) in world.connections.items() if who == alice.name)
    world.tcp_passes = lambda now: False
    world.say(alice, "hello?")
    world.run(1.0)
    world.tcp_passes = lambda now: True
    world.dead = dead
    world.run(4.5)
    assert alice.client.is_resumed
    assert alice.client.waiting == 0
    assert not events_of(world, Away)


def test_a_client_without_tcp_stays_with_udp() -> None:
    path = Path(Random(1), has_tcp=False)
    path.begin(0.0)
    assert path.deadline() is None
    assert not path.tries(100.0)


@pytest.mark.parametrize("server", [0, 1, 7])
def test_ways(server: int) -> None:
    assert not is_tcp(server)
    assert is_tcp(by_tcp(server))
    assert server_of(by_tcp(server)) == server_of(server) == server
