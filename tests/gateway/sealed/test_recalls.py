"""gateway/sealed/recalls.py and taking_over.py: clients that only listen are told that they must resume."""

from collections.abc import Callable

import pytest

from gateway.chat.members import Member
from gateway.sealed.recalls import AT_ONCE, WAITS_S, Recalls
from gateway.sealed.sender import REPEAT_S
from tests.gateway.sealed.people import People, Person
from tests.gateway.sealed.test_lives import check
from tests.support.fakes import FakeGateway, Node, ScriptedGateway, Weather, World, a_grant, address_of, said
from tsudoi.protocol import backbone
from tsudoi.protocol.names import hash_token
from tsudoi.protocol.sealed.packets import NO_RUN, Kind, parse_untrusted
from tsudoi.protocol.sealed.suites import AES_128_GCM, PLAIN

SOON_S = 3.0
"""A gateway that is gone is noticed after 2 s; then come two round trips."""


# --- whom, and when ---


def served(gateway: ScriptedGateway, number: int, suite: str = AES_128_GCM) -> bytes:
    """Let a member enter by the handshake of version 2, and return its session."""
    keys = gateway.keys
    session = keys.new(suite, 0, 0)
    member = gateway.core.enter(a_grant(number, "tsudoi-2"), keys.token(session).encode(), gateway.now)
    gateway.core.link_session(member, session)
    assert member.sealed is not None
    member.sealed.bind(0, address_of(number), 1)
    gateway.core.streams.attach(member, member.sealed, gateway.now)
    gateway.core.streams.begin(member, 1, gateway.now)
    return session


def retries_to(gateway: ScriptedGateway, address: bytes) -> list[bytes]:
    """Return the sessions of the retries that went to an address."""
    packets = [parse_untrusted(payload) for payload in gateway.outbound.to(address)]
    return [packet.session for packet in packets if packet.kind == Kind.RETRY]


def repeat(gateway: ScriptedGateway, seconds: float) -> None:
    until = gateway.now + seconds
    while gateway.now < until:
        gateway.now += REPEAT_S
        gateway.repeat(gateway.now)


def adopt(gateway: ScriptedGateway, number: int, session: bytes, written: str) -> None:
    token_hash = hash_token(gateway.keys.token(session).encode())
    granted = a_grant(number, "tsudoi-2", address=written.encode())
    gateway.answer(backbone.Adopt([backbone.Adoption(granted, token_hash)]))


def test_a_client_is_told_until_it_has_resumed() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    link = gateway.members.by_session[session].sealed
    assert link is not None
    gateway.core.sealed_sender.recall(link)
    repeat(gateway, sum(WAITS_S[:2]) + 2 * REPEAT_S)
    assert retries_to(gateway, address_of(1)) == [session] * 2
    link.bind(0, address_of(1), 2)
    repeat(gateway, sum(WAITS_S) + 1)
    assert retries_to(gateway, address_of(1)) == [session] * 2
    assert not gateway.repeats, "the timer goes on"


def test_a_client_that_does_not_come_is_told_four_times() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    link = gateway.members.by_session[session].sealed
    assert link is not None
    gateway.core.sealed_sender.recall(link)
    gateway.core.sealed_sender.recall(link)
    repeat(gateway, sum(WAITS_S) + 5)
    assert len(retries_to(gateway, address_of(1))) == len(WAITS_S) == 4
    assert gateway.counters.sealed_recalls == 4


def test_of_many_clients_so_many_a_second_are_told_and_each_once_before_any_twice() -> None:
    gateway = ScriptedGateway()
    recalls = Recalls()
    links = [gateway.members.by_session[served(gateway, number)].sealed for number in range(1, 3 * AT_ONCE)]
    for link in links:
        assert link is not None
        link.unbind()
        recalls.add(link, [(0, link.address)])
    told = [[*recalls.due(at * REPEAT_S)] for at in range(3)]
    assert [len(each) for each in told] == [AT_ONCE, AT_ONCE, AT_ONCE - 1]
    assert [link for each in told for link, _ in each] == links
    assert [*recalls.due(WAITS_S[1] - 0.01)] == []
    assert [*recalls.due(WAITS_S[1])] == told[0]


# --- sessions that the directory gives to a gateway ---


@pytest.mark.parametrize("suite", [AES_128_GCM, PLAIN])
def test_an_adopted_session_is_recalled_where_the_directory_has_it(suite: str) -> None:
    before, gateway = ScriptedGateway(), ScriptedGateway()
    session = served(before, 1, suite)
    before.published()
    link = before.members.by_session[session].sealed
    assert link is not None
    written = link.kept_address()
    assert session.hex() not in written
    adopt(gateway, 1, session, written)
    repeat(gateway, REPEAT_S)
    assert retries_to(gateway, address_of(1)) == [session]


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: "",
        lambda text: text.replace("=", ""),
        lambda text: text.replace("=", "=00"),
        lambda text: text[:-2] + ("00" if text[-2:] != "00" else "11"),
        lambda text: text.replace("=", "=x"),
        lambda text: "192.0.2.1 20001 0",
    ],
)
def test_a_record_without_a_session_of_this_service_recalls_none(broken: Callable[[str], str]) -> None:
    before, gateway = ScriptedGateway(), ScriptedGateway()
    session = served(before, 1)
    link = before.members.by_session[session].sealed
    assert link is not None
    adopt(gateway, 1, session, broken(link.kept_address()))
    repeat(gateway, 1.0)
    assert gateway.outbound.sent == []
    assert 1 in gateway.members.rooms[1].members


def test_a_session_that_comes_back_ends_its_run_and_is_recalled_there_and_where_the_directory_has_it() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    link = gateway.members.by_session[session].sealed
    assert link is not None
    adopt(gateway, 1, session, f"192.0.2.77 4000 0 ={gateway.keys.cover(session).hex()}")
    assert link.run == NO_RUN
    repeat(gateway, REPEAT_S)
    assert [address for _, address, payload in gateway.outbound.sent if payload[1] == Kind.RETRY] == [
        address_of(0, 4_000, "192.0.2.77"),
        address_of(1),
    ]


def test_no_member_takes_the_session_of_another() -> None:
    """A client knows its own pad; with a gateway's key it could have any session kept as its own."""
    gateway = ScriptedGateway()
    mallory, victim = gateway.keys.new(AES_128_GCM, 0, 0), served(gateway, 2)
    covered = bytes(a ^ b ^ c for a, b, c in zip(gateway.keys.cover(mallory), mallory, victim, strict=True))
    adopt(gateway, 1, mallory, f"192.0.2.77 4000 0 ={covered.hex()}")
    assert gateway.members.by_session[victim].id == 2
    repeat(gateway, 1.0)
    assert gateway.outbound.sent == []


@pytest.mark.parametrize("newer", [False, True])
def test_a_run_that_began_while_the_adopt_was_on_its_way_goes_on(newer: bool) -> None:
    """The directory has granted it by the newest `resume` that it knows; a newer one has gone to another gateway."""
    people = People(World(1))
    world = people.world
    node = people.attach(world.start_gateway())
    (bob,) = people.gather("bob")
    people.run(0.5)
    member = world.broker.core.directory.members[bob.member]
    assert member.live
    member.resumed += newer
    run = node.gateway.members.rooms[member.room.id].members[bob.member].sealed
    assert run is not None
    head = run.head
    world.broker.core.directory.set_live(member, live=False)
    node.gateway.link.requests.in_doubt = True  # a Resume was answered twice: it took more than a second
    people.run(1.0)
    assert member.live
    assert (run.head == head) is not newer
    assert bob.client.is_resumed


def test_a_session_that_comes_back_to_its_own_address_is_recalled_there_once() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    link = gateway.members.by_session[session].sealed
    assert link is not None
    adopt(gateway, 1, session, link.kept_address())
    repeat(gateway, REPEAT_S)
    assert retries_to(gateway, address_of(1)) == [session]


def test_a_session_by_tcp_leaves_no_address_behind() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    link = gateway.members.by_session[session].sealed
    assert link is not None
    assert link.kept_address()
    link.bind(gateway.core.sealed_sender.carried.listener, b"a connection", 2)
    assert link.kept_address() == ""


def test_nothing_is_sent_twice_over_tcp() -> None:
    gateway = ScriptedGateway()
    link = gateway.members.by_session[served(gateway, 1)].sealed
    assert link is not None
    link.unbind()
    carried = gateway.core.sealed_sender.carried.listener
    link.bind(carried, b"a connection", 2)
    link.member.listener = carried
    gateway.core.streams.attach(link.member, link, gateway.now)
    gateway.core.streams.begin(link.member, 1, gateway.now)
    gateway.news(said(2, 9, "hello"))
    gateway.listen()
    repeat(gateway, 0.5)
    assert len(gateway.outbound.to(b"a connection")) == 1


# --- with brokers and clients ---


def start(names: tuple[str, str]) -> tuple[World, People, Person, Person]:
    """Let alice talk at the second of two gateways, and bob listen at the first; each knows both."""
    world = World(1)
    people = People(world)
    for name in names:
        people.attach(world.start_gateway(name))
    alice = people.enter(world.nodes[1], "den", "alice")
    bob = people.enter(world.nodes[0], "den", "bob")
    people.run_until(lambda: alice.client.is_resumed and bob.client.is_resumed)
    people.run(2.0)
    return world, people, alice, bob


def hears(people: People, alice: Person, bob: Person, text: str) -> None:
    """Let alice say a text, which bob must hear soon, and no ping of his can have asked for it."""
    number = people.say(alice, text)
    people.run_until(lambda: number in alice.kept())
    offset = max(alice.offsets())
    people.run_until(lambda: offset in bob.offsets(), SOON_S)


def test_who_only_listens_is_told_by_the_gateway_that_was_started_again() -> None:
    world, people, alice, bob = start(("one", "two"))
    world.kill(world.nodes[0])
    again = people.attach(world.start_gateway("one"))
    _take_place(people, world.nodes[0], again)
    people.run(1.0)
    hears(people, alice, bob, "are you there?")
    check(world, people, [alice, bob])


def test_who_was_not_live_yet_is_told_too() -> None:
    """Its gateway is killed while the member waits for the room's first news there."""
    world = World(1)
    people = People(world)
    for name in ("one", "two"):
        people.attach(world.start_gateway(name))
    alice = people.enter(world.nodes[1], "den", "alice")
    world.weather = Weather(dropped_news=1.0)
    (bob,) = people.gather("bob")
    people.run(0.1)
    (member,) = _members(world.nodes[0].gateway, bob)
    assert member.recipients is None
    world.kill(world.nodes[0])
    world.weather = Weather()
    again = people.attach(world.start_gateway("one"))
    _take_place(people, world.nodes[0], again)
    people.run(1.0)
    hears(people, alice, bob, "are you there?")
    check(world, people, [alice, bob])


def _take_place(people: People, dead: Node, again: Node) -> None:
    """Let a gateway have the address of one that is dead."""
    nodes = people.world.nodes
    nodes.remove(again)
    nodes[nodes.index(dead)] = again


def test_who_only_listens_is_told_when_an_old_question_of_a_cut_gateway_has_moved_its_session() -> None:
    """The session went to another gateway during the cut; then an old resume brings it back to a run of before."""
    world, people, alice, bob = start(("", ""))
    first = world.nodes[0]
    first.cut_until = world.now + 8.0
    people.run(1.0)
    # Its first resume waits in the cut gateway's socket; the client goes on at the other one.
    bob.client.resume(world.now)
    people._up(bob)
    people.run_until(lambda: bob.client.is_resumed and bob.client.server == 1)
    hears(people, alice, bob, "during the cut")
    people.run_until(lambda: world.now >= first.cut_until + 1.5)
    hears(people, alice, bob, "after the cut")
    people.run(1.0)
    hears(people, alice, bob, "later")
    people.settle()
    check(world, people, [alice, bob])


def test_who_only_listens_is_told_although_its_run_is_newer_than_what_the_directory_has() -> None:
    """The broker ends while the member, which has another address, is sent what it missed: it has no news of that."""
    world, people, alice, bob = start(("", ""))
    second = world.nodes[1].gateway
    people.leave_network(bob)
    for number in range(3):
        people.say(alice, f"line {number}")
        people.run(0.3)
    people.join_network(bob)
    world.weather = Weather(delay_s=0.05)
    bob.client.go_to(1, 2, world.now)
    bob.note_deadline()
    people.run_until(lambda: any(member.sealed and member.sealed.head for member in _members(second, bob)))
    world.stop_broker()
    people.run(5.0)
    assert bob.client.is_resumed
    world.restart_broker()
    people.run_until(lambda: not second.link.canary.unhealthy_reason(world.now))
    people.run(1.0)
    hears(people, alice, bob, "are you there?")
    people.settle()
    check(world, people, [alice, bob])


def _members(gateway: FakeGateway, person: Person) -> list[Member]:
    """Return a person's member, if a gateway has it."""
    found = [room.members.get(person.member) for room in gateway.members.rooms.values()]
    return [member for member in found if member is not None]
