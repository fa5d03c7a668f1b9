"""Members of version 2 under faults, by a seed: each hears its room once and in order, and each kept line is said once.

The network loses, doubles and reorders, and lets no UDP pass for a while; gateways are killed, frozen and cut off from
the broker, which is killed; clients change addresses.
"""

import json
from dataclasses import replace

import pytest

from gateway.listeners.ping_lane import SHORTER
from tests.gateway.sealed.people import Network, People, Person, nothing
from tests.support.fakes import Node, Weather, World
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.client_events import Back, Delivered, Ended, Gap, Told
from tsudoi.protocol.sealed.client_path import is_tcp
from tsudoi.protocol.sealed.client_seeking import TIMES
from tsudoi.protocol.sealed.packets import Kind

BAD = Network(loss=0.1, doubling=0.1, delay_s=0.01, jitter_s=0.04)


def check(world: World, people: People, everyone: list[Person]) -> None:
    """Compare what was seen with the log."""
    (room,) = {person.client.name: world.broker.core.directory.by_name["den"] for person in everyone[:1]}.values()
    log = world.broker.log(room.id)
    for person in everyone:
        assert person.losses() == []
        own = [entry for entry in log if entry.offset > person.begun]
        hidden = {EntryKind.ANSWERED, EntryKind.WHISPERED}
        expected = [
            entry.offset for entry in own if entry.kind not in hidden or person.member in (entry.member, entry.peer)
        ]
        assert person.offsets() == expected
        texts = [entry.text for entry in log if entry.member == person.member and entry.kind == EntryKind.SAID]
        messages = {number: text for number, text in person.said.items() if not text.startswith("/")}
        assert texts == [messages[number] for number in sorted(messages) if number in person.kept()]
        assert person.kept() | person.refused() == set(person.said)


def resumes(world: World) -> int:
    """Return how many runs all gateways have begun."""
    return sum(node.gateway.counters.sealed_resumes for node in world.nodes)


def start(
    seed: int, weather: Weather | None = None, network: Network | None = None, nodes: int = 2, *, has_tcp: bool = False
) -> People:
    world = World(seed, weather)
    people = People(world, network, has_tcp=has_tcp)
    for _ in range(nodes):
        people.attach(world.start_gateway())
    return people


def test_a_quiet_network_needs_no_repetition() -> None:
    people = start(1)
    node = people.world.nodes[0]
    everyone = people.gather(*"abc")
    for number in range(20):
        people.say(everyone[number % 3], f"line {number}")
        people.run(0.05)
    people.run(1.0)
    check(people.world, people, everyone)
    counters = node.gateway.counters
    assert counters.sealed_wants == 0
    assert counters.sealed_dropped == dict.fromkeys(counters.sealed_dropped, 0)
    assert counters.sealed_resumes == counters.sealed_retries == 3
    # The broker knows the counts of their packets, so that it can tell a Resume that comes late.
    assert all(member.resumed > 0 for member in people.world.broker.core.directory.members.values())


@pytest.mark.parametrize("suite", ["aes-128-gcm", "chacha20-poly1305", "plain"])
def test_a_bad_network_loses_nothing(suite: str) -> None:
    people = start(2, network=BAD)
    everyone = [people.enter(people.world.nodes[n % 2], "den", f"p{n}", suite) for n in range(4)]
    for number in range(60):
        people.say(everyone[number % 4], f"line {number} " + "x" * (number * 40))
        people.run(0.03)
    people.settle()
    check(people.world, people, everyone)


def test_a_kept_line_is_not_refused_because_its_room_has_closed_since() -> None:
    people = start(5)
    host, guest = people.gather("p0", "p1", spread=True)
    people.world.weather = Weather(dropped_news=1.0)  # so the gateway does not see that the line is kept
    people.say(guest, "my last line")
    people.run(0.05)
    people.say(host, "/leave")
    people.run(1.0)  # the line is repeated, and the broker is asked about it
    assert guest.refused() == set()
    people.world.settle()
    people.run_until(lambda: any(isinstance(event, Ended) for event in guest.events))
    assert guest.refused() == set()


def test_commands_and_whispers_keep_their_places() -> None:
    people = start(3, network=BAD)
    everyone = [people.enter(people.world.nodes[n % 2], "den", f"p{n}") for n in range(3)]
    for number in range(30):
        for person, text in zip(everyone, (f"line {number}", "/msg p0 psst", "/me waves"), strict=True):
            people.say(person, text)
        people.run(0.3)
    people.settle()
    check(people.world, people, everyone)
    assert all(person.refused() == set() for person in everyone)


@pytest.mark.parametrize(("round_trip_s", "lines_per_s"), [(0.14, 20), (0.3, 10)])
def test_lines_are_at_most_0_3_s_late_at_a_loss_of_a_tenth(round_trip_s: float, lines_per_s: int) -> None:
    """Beyond the round trip, at the 99th percentile: losses in a row, up or down, must not cost round trips."""
    people = start(4, network=Network(delay_s=round_trip_s / 2), nodes=1)
    world = people.world
    alice, bob = people.gather("alice", "bob")
    people.run(1.0)
    people.network.loss = 0.1
    said_at: list[float] = []
    late_s: list[float] = []
    until = world.now + 42.0
    while world.now < until:
        if len(said_at) < 40 * lines_per_s and world.now >= until - 42.0 + len(said_at) / lines_per_s:
            people.say(alice, f"line {len(said_at)}")
            said_at.append(world.now)
        people.step()
        heard = sum(isinstance(event, Delivered) for event in bob.events) - (bob.begun < alice.begun)
        late_s += [world.now - at - round_trip_s for at in said_at[len(late_s) : heard]]
    assert len(late_s) == len(said_at)
    assert sorted(late_s)[int(0.99 * len(late_s))] <= 0.3
    people.settle()
    check(world, people, [alice, bob])


def test_lines_go_again_with_the_next_ones_only_where_some_were_missed() -> None:
    people = start(5)
    node = people.world.nodes[0]
    everyone = people.gather(*"ab")

    def talk() -> int:
        """Return the size of the largest packet down, with a line each 0.06 s."""
        people.wire_down.clear()
        for number in range(20):
            people.say(everyone[0], f"line {number}")
            people.run(0.06)
        return max(map(len, people.wire_down))

    alone = talk()
    people.loses = lambda address, data: True
    people.say(everyone[0], "this is missed")
    people.run(0.03)
    people.loses = nothing
    assert talk() > alone + 100
    assert node.gateway.counters.sealed_wants > 0
    people.settle()
    check(people.world, people, everyone)


def some_fault(people: People, node: Node) -> None:
    world = people.world
    match world.dice.choice(("kill", "freeze", "broker", "move", "move", "commands", "news", "cut", "udp")):
        case "kill":
            world.kill(node)
            people.attach(world.start_gateway())
            for person in people.people.values():
                alive = [at for at, each in enumerate(world.nodes) if not each.is_dead]
                person.client.go_to(world.dice.choice(alive), len(world.nodes), world.now)
                person.note_deadline()
        case "freeze":
            node.is_frozen = True
            people.run(world.dice.uniform(0.5, 3.0))
            node.is_frozen = False
        case "broker":
            world.restart_broker()
        case "move":
            people.move(world.dice.choice(list(people.people.values())))
        case "commands":
            world.break_commands(node)
        case "news":
            world.break_news(node)
        case "cut":
            node.cut_until = world.now + world.dice.uniform(0.5, 6.0)
        case "udp":
            people.network = replace(people.network, passes_udp=False)
            people.run(world.dice.uniform(0.5, 4.0))
            people.network = replace(people.network, passes_udp=True)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_or_doubled_whatever_fails(seed: int) -> None:
    life(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 1_100, 50))  # fewer tests: every run collects the slow ones too
def test_a_thousand_lives(first: int, subtests: pytest.Subtests) -> None:
    for seed in range(first, first + 50):
        with subtests.test(seed=seed):
            life(seed)


def life(seed: int) -> None:
    people = start(seed, Weather(delay_s=0.01, dropped_news=0.02), BAD, has_tcp=seed % 2 == 1)
    world = people.world
    everyone = [people.enter(world.nodes[n % 2], "den", f"p{n}") for n in range(3)]
    for number in range(40):
        if world.dice.random() < 0.15:
            some_fault(people, world.dice.choice([node for node in world.nodes if not node.is_dead]))
        people.say(world.dice.choice(everyone), f"line {number}")
        people.run(world.dice.uniform(0.01, 0.3))
    people.settle()
    check(world, people, everyone)


def test_long_lines_that_were_missed_come_soon_although_their_parts_overtake_each_other() -> None:
    people = start(3, nodes=1)
    alice, bob = people.gather("alice", "bob")
    people.leave_network(bob)
    for number in range(100):
        people.say(alice, f"{number} " + "x" * 3_600)
        people.run(0.02)
    people.run_until(lambda: not alice.client.waiting)
    people.network = Network(doubling=0.1, delay_s=0.01, jitter_s=0.04)
    people.join_network(bob)
    people.move(bob)
    people.run_until(lambda: len(bob.offsets()) == 100, patience_s=2.0)
    check(people.world, people, [alice, bob])


@pytest.mark.parametrize(("delay_s", "nodes"), [(0.2, 3), (0.4, 1), (0.4, 2), (0.6, 3), (0.8, 1)])
def test_a_client_that_repeats_its_resume_before_the_answer_has_come_is_served_in_one_run(
    delay_s: float, nodes: int
) -> None:
    """On a slow network, or by a gateway that is slow: with a run for each `resume` that comes late, it begins anew."""
    people = start(1, nodes=nodes, network=Network(delay_s=delay_s))
    world = people.world

    everyone = people.gather(*"abc")
    for person in everyone:
        people.say(person, "hello")
    people.run(8.0)
    assert resumes(world) == len(everyone)
    for number in range(6):
        people.say(everyone[number % 3], f"line {number}")
        people.run(0.5)
    people.move(everyone[0])
    people.run(8.0)
    assert resumes(world) == len(everyone) + 1
    check(world, people, everyone)


@pytest.mark.parametrize("delay_s", [0.4, 0.6, 0.8])
def test_a_client_whose_address_has_changed_shows_one_of_the_cookies_that_it_is_sent(delay_s: float) -> None:
    """It does not know of the change, so it repeats its line, and each repetition is answered with a *retry*."""
    people = start(1, nodes=1, network=Network(delay_s=delay_s))
    node = people.world.nodes[0]
    alice, bob = people.gather("alice", "bob")
    people.run(5.0)
    people.leave_network(alice)
    people.join_network(alice)
    retries, opened = node.gateway.counters.sealed_retries, len(people.wire)
    people.say(alice, "hello")
    people.run_until(lambda: not alice.client.waiting)
    assert node.gateway.counters.sealed_retries - retries >= 3
    # The line four times in the old run and in the new one, and a `resume` between.
    assert len(people.wire) - opened <= 4 + 1 + 4
    check(people.world, people, [alice, bob])


def test_who_lacked_the_answer_to_its_resume_is_told_the_same_gap_and_what_followed_it() -> None:
    people = start(1, nodes=1, network=Network(delay_s=0.4))
    (node,), broker = people.world.nodes, people.world.broker
    alice, bob = people.gather("alice", "bob")
    people.run(8.0)
    people.leave_network(bob)
    before = bob.client.position[1]
    for number in range(5):  # each is a turn of its own: a log is trimmed by turns
        people.say(alice, f"line {number}")
        people.run_until(lambda: not alice.client.waiting)
    broker.core.trimmed(broker.store.trim(keep=2, before_ms=0))
    resumes = node.gateway.counters.sealed_resumes

    def is_first_body(address: bytes, data: bytes) -> bool:
        if address != bob.address or data[1] != Kind.BODY:
            return False
        people.loses = nothing
        return True

    people.loses = is_first_body
    people.join_network(bob)
    people.move(bob)
    people.run(8.0)
    assert bob.losses() == [Gap(before + 1, before + 3)]
    assert bob.offsets()[-2:] == [before + 4, before + 5]
    assert node.gateway.counters.sealed_resumes == resumes + 1


def test_a_gateway_whose_first_answers_are_lost_is_asked_again_soon_beside_one_that_is_gone() -> None:
    people = start(1)
    alice, bob = people.gather("alice", "bob")
    people.run(1.0)
    lost: list[bytes] = []

    def is_one_of_two_retries(address: bytes, data: bytes) -> bool:
        is_lost = address == alice.address and data[1] == Kind.RETRY and len(lost) < 2
        lost.extend([data] * is_lost)
        return is_lost

    people.loses = is_one_of_two_retries
    people.world.kill(people.world.nodes[0])
    people.say(alice, "hello")
    people.run_until(lambda: not alice.client.waiting, patience_s=5.5)
    assert len(lost) == 2
    people.run_until(lambda: bob.client.position == alice.client.position)
    check(people.world, people, [alice, bob])


@pytest.mark.parametrize(("delay_s", "nodes"), [(1.2, 1), (4.5, 3)])
def test_a_client_on_a_slow_network_does_not_resume_each_time_that_it_asks_something(
    delay_s: float, nodes: int
) -> None:
    """Nor does it go to another gateway because that one's answer has come late."""
    people = start(1, nodes=nodes, network=Network(delay_s=delay_s))
    world = people.world

    alice, bob = people.gather("alice", "bob")
    people.run(4 * delay_s)
    before = resumes(world)
    for number in range(4):
        people.say(alice, f"line {number}")
        people.run(5.0)
    people.run_until(lambda: not alice.client.waiting)
    assert resumes(world) == before
    check(people.world, people, [alice, bob])


@pytest.mark.parametrize("seed", [1, 3, 4, 6])
def test_sessions_do_not_go_to_and_fro_where_the_broker_is_slow(seed: int) -> None:
    """While it was away each client has asked all gateways; each answer moves the session, and comes after a second.

    Who then asked the gateway that has just lost the session took it back from the one that was to answer next.
    """
    people = start(seed, Weather(delay_s=0.5), Network(delay_s=0.02), nodes=3)
    world = people.world
    everyone = [people.enter(node, "den", f"p{number}") for number, node in enumerate(world.nodes)]
    people.run(1.0)
    world.stop_broker()
    for to in range(3):
        for person in everyone:
            person.client.go_to(to, 3, world.now)
            people.say(person, f"from {to}")
        people.run(1.0)
    world.restart_broker()
    for number in range(40):
        people.say(everyone[number % 3], f"line {number}")
        people.run(0.25)
    room = world.broker.core.directory.by_name["den"]
    people.run_until(lambda: all(person.client.position[1] >= room.last for person in everyone), patience_s=3.0)
    assert sum(node.gateway.counters.sealed_resumes for node in world.nodes) <= 12
    people.settle()
    check(world, people, everyone)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_late_answer_of_a_slow_gateway_does_not_take_its_members_back(seed: int) -> None:
    """They have gone on at another one, and asked the slow one before: what it answers then is no news."""
    people = start(seed, network=Network(delay_s=0.02))
    world = people.world
    everyone = [people.enter(world.nodes[0], "den", f"p{number}") for number in range(3)]
    people.run(1.0)
    people.slow[0] = 2.0
    resumes = [node.gateway.counters.sealed_resumes for node in world.nodes]
    for number in range(120):
        people.say(everyone[number % 3], f"line {number}")
        people.run(0.25)
    assert [node.gateway.counters.sealed_resumes - resumes[at] for at, node in enumerate(world.nodes)] == [0, 3]
    people.slow.clear()
    people.settle()
    check(world, people, everyone)


def test_a_member_that_only_listens_is_told_that_the_broker_is_away_and_back() -> None:
    """Its pings are answered meanwhile."""
    people = start(1)
    person = people.enter(people.world.nodes[0], "den", "alice")
    people.run(1.0)
    people.world.stop_broker()
    people.run(30.0)
    people.world.restart_broker()
    people.run(5.0)
    told = [json.loads(event.line)["notice"] for event in person.events if isinstance(event, Told)]
    assert told == ["away", "back"]
    assert people.world.nodes[0].gateway.counters.sealed_resumes == 1


def notices_of(person: Person) -> list[str]:
    told = [event for event in person.events if isinstance(event, Told | Back)]
    return ["Back" if isinstance(event, Back) else json.loads(event.line)["notice"] for event in told]


def test_a_member_that_the_broker_serves_again_is_not_told_that_it_is_away() -> None:
    """Its gateway has just been answered, also if the canary has not come back yet."""
    people = start(1)
    person = people.enter(people.world.nodes[0], "den", "alice")
    people.run(1.0)
    people.world.stop_broker()
    people.say(person, "hello")
    people.run(30.0)
    people.world.restart_broker()
    people.run(5.0)
    assert notices_of(person) == ["away", "Back", "back"]


def test_a_member_that_speaks_is_told_when_another_gateway_reaches_the_room() -> None:
    """Its own told it that it does not, and answers no ping that asks for that: the member went on before."""
    people = start(1)
    world = people.world
    alice = people.enter(world.nodes[0], "den", "alice")
    people.run(1.0)
    world.nodes[0].cut_until = world.now + 60.0
    for number in range(40):
        people.say(alice, f"line {number}")
        people.run(0.25)
    assert notices_of(alice) == ["away", "Back"]
    check(world, people, [alice])


def test_a_member_that_only_listens_goes_on_where_the_room_is_reached() -> None:
    """Its own gateway answers pings, but nothing that is said comes there."""
    people = start(1)
    world = people.world
    bob, alice = (people.enter(node, "den", name) for node, name in zip(world.nodes, ("bob", "alice"), strict=True))
    people.run(1.0)
    world.nodes[0].cut_until = world.now + 30.0
    for number in range(20):
        people.say(alice, f"line {number}")
        people.run(1.0)
    check(world, people, [alice, bob])
    assert Back(0) in bob.events
    people.run(15.0)
    people.say(alice, "and on")
    people.run(1.0)
    check(world, people, [alice, bob])
    assert [node.gateway.counters.sealed_resumes for node in world.nodes] == [1, 2]


@pytest.mark.parametrize("passes_udp", [True, False], ids=["UDP", "TCP"])
@pytest.mark.parametrize("seed", range(2))
def test_a_member_that_only_listens_goes_on_within_seconds_although_packets_are_lost(
    seed: int, passes_udp: bool
) -> None:
    """It need not wait for its next ping because a step was lost, and it does so where UDP does not pass too."""
    people = start(seed, network=Network(loss=0.15, delay_s=0.02, passes_udp=passes_udp), has_tcp=True)
    world = people.world
    listeners = [people.enter(world.nodes[0], "den", f"p{number}") for number in range(6)]
    alice = people.enter(world.nodes[1], "den", "alice")
    people.run(30.0)
    assert all(is_tcp(person.client.way) != passes_udp for person in listeners)
    world.nodes[0].cut_until = world.now + 60.0
    people.run(2.0)
    for person in listeners:
        person.client._link.ping(world.now)
        person.note_deadline()
    people.run(5.0)
    assert [person.client.server for person in listeners] == [1] * 6
    people.network = Network(passes_udp=passes_udp)
    people.say(alice, "hello")
    people.run_until(lambda: not alice.client.waiting)
    people.run(1.0)
    check(world, people, [*listeners, alice])


def test_who_listens_asks_elsewhere_less_and_less_often_while_no_gateway_reaches_the_room() -> None:
    people = start(1)
    world = people.world
    everyone = [people.enter(node, "den", f"p{number}") for number, node in enumerate(world.nodes)]
    people.run(1.0)
    before = len(people.wire)
    world.stop_broker()
    people.run(200.0)
    pings, asked = 200 / 20, 4
    assert len(people.wire) - before <= len(everyone) * (pings + TIMES * asked)
    world.restart_broker()
    people.run(5.0)
    people.say(everyone[0], "hello")
    people.run(1.0)
    check(world, people, everyone)
    assert sum(node.gateway.counters.sealed_resumes for node in world.nodes) == len(everyone)


def test_who_waits_for_a_late_answer_asks_less_and_less_often() -> None:
    """A gateway that is behind would get further behind."""
    people = start(1, nodes=1, network=Network(delay_s=3.0))
    people.gather("bob")
    people.run(40.0)
    before = len(people.wire)
    people.run(100.0)
    assert 3 <= len(people.wire) - before <= 100 / 20 * 5
    assert people.world.nodes[0].gateway.counters.sealed_resumes == 1


def test_a_herd_is_served_by_a_gateway_whose_socket_holds_its_packets_for_longer_than_it_is_patient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine has so little time for it that the clients repeat their `resume` as fast as it reads packets.

    With cookies that held for 10 s each was too old when it was read.
    """
    people = start(6, network=Network(delay_s=0.01), nodes=1)
    world, node = people.world, people.world.nodes[0]
    everyone = [people.enter(node, "den", f"p{number}") for number in range(40)]
    people.run(45.0)  # until clients ask for other cookies than those with which they entered
    resumes, reads_at = node.gateway.counters.sealed_resumes, world.now + 3.0  # all are silent for too long

    def receive_slowly(node: Node) -> None:
        nonlocal reads_at
        node.is_frozen = world.now < reads_at
        if not node.is_frozen:
            node.datagrams.sort(key=lambda each: len(each[0]) >= SHORTER)  # pings have a socket of their own
            some, node.datagrams = node.datagrams[:8], node.datagrams[8:]
            reads_at = world.now + 0.04 * len(some)
            node.gateway.core.handle_datagrams(0, some, world.now)
            world.flush(node)

    with monkeypatch.context() as patch:
        patch.setattr(world, "receive", receive_slowly)
        for person in everyone:
            people.say(person, "hello")
        people.run_until(lambda: not any(person.client.waiting for person in everyone))
    node.is_frozen = False
    assert node.gateway.counters.sealed_resumes == resumes + len(everyone)
    people.settle()
    check(world, people, everyone)
