"""gateway/sealed/saying.py: lines that come in one packet."""

import msgspec
import pytest

from gateway.sealed.group import MAX_COLLECTED
from gateway.settings import Settings
from tests.gateway.sealed.people import Network, People, Person
from tests.gateway.sealed.test_attacks import sealed
from tests.gateway.sealed.test_lives import BAD, check, start
from tests.support.fakes import Node, Weather, World, hash_of
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.client_events import Delivered, Told


def texts(first: int, count: int) -> list[str]:
    return [f"line {number}" for number in range(first, first + count)]


def alone(settings: Settings | None = None) -> tuple[People, Node, Person]:
    people = People(World(1, settings=settings))
    node = people.attach(people.world.start_gateway())
    (alice,) = people.gather("alice")
    return people, node, alice


def test_lines_of_one_packet_are_one_item() -> None:
    people, node, alice = alone()
    publisher = node.gateway.link.publisher
    added = publisher.added
    people.say(alice, *texts(0, 8))
    people.run_until(lambda: publisher.added > added)
    assert (publisher.added, publisher.lines) == (added + 1, 8)
    people.settle()
    assert publisher.lines == 0
    assert len(alice.kept()) == 8
    check(people.world, people, [alice])
    assert node.gateway.counters.accepted_messages == 8


def test_a_limit_within_a_packet_lets_the_first_lines_pass_and_refuses_the_next() -> None:
    people, node, alice = alone(Settings(rate=1.0, burst=3.0))
    people.say(alice, *texts(0, 5))
    people.run_until(lambda: node.gateway.counters.accepted_messages > 0)
    assert node.gateway.counters.accepted_messages == 3
    assert node.gateway.counters.rate_limited == 1
    people.settle()  # its client says the others again, later
    check(people.world, people, [alice])
    assert alice.kept() == set(range(1, 6))


def test_an_empty_text_between_others_is_refused_alone() -> None:
    people, _, alice = alone()
    people.say(alice, "one", "two", " ", "three", "four")
    people.settle()
    check(people.world, people, [alice])
    assert alice.refused() == {3}
    assert alice.kept() == {1, 2, 4, 5}


def test_what_is_said_without_a_number_is_ignored_and_a_number_without_a_text_too() -> None:
    people, node, alice = alone()
    core, now = node.gateway.core, people.world.now
    answers = []
    for body in (
        b'{"say":"x"}\n{"number":1}',
        b'{"ping":1}\n{"say":"first","number":1}\n{"say":"second","number":2}\n{"say":"x"}',
    ):
        sent = len(node.gateway.outbound.sent)
        core.handle_datagrams(0, sealed(alice, body), now)
        core.sealed_sender.flush()
        answers.append(len(node.gateway.outbound.sent) - sent)
    assert answers == [0, 1]  # the pong
    assert node.gateway.counters.accepted_messages == 2


def test_a_command_between_others_keeps_its_place() -> None:
    people, _, alice = alone()
    people.say(alice, "one", "two", "/me waves", "three", "/nick ann", "four")
    people.settle()
    check(people.world, people, [alice])
    room = people.world.broker.core.directory.by_name["den"]
    said = [entry.text for entry in people.world.broker.log(room.id) if entry.member == alice.member]
    assert [text for text in said if text] == ["one", "two", "waves", "three", "ann", "four"]


def test_a_command_between_others_holds_none_up_until_its_client_repeats_them() -> None:
    people, _, alice = alone()
    people.say(alice, "one", "/me waves", "three")
    people.run(0.5)
    assert alice.kept() == {1, 2, 3}


COMMANDS = {
    "/topic tea": ["topic"],
    "/topic": ["answer"],
    "/kick zoe": ["answer"],
    "/who": ["who"],
    "/rooms": ["rooms"],
    "/bans": ["bans"],
    "/history 5": ["answer"],
    "/help": ["help", "help"],
    "/time": ["answer"],
    "/dance": ["answer"],
    "/mute bob": ["muted", "answer"],
    "/unmute bob": ["unmuted"],
    "/msg bob psst": ["whispered"],
    "/me waves": ["acted"],
    "/password moon": ["locked"],
    "/nick ann": ["renamed"],
    "/host bob": ["host"],
    "/kick bob": ["answer"],
    "/bans 1": ["answer"],
    "/password sun": ["answer"],
}
"""What comes of each, in the order in which they are given."""


def test_what_comes_of_a_command_names_its_line_to_the_member_that_gave_it() -> None:
    people, node, alice = alone()
    bob = people.enter(node, "den", "bob")
    people.run_until(lambda: bob.client.is_resumed)
    for command in COMMANDS:
        people.say(alice, command)
        people.run(1.0)
    people.settle()
    assert alice.refused() == set()
    come: dict[int | None, list[str]] = {}
    for event in alice.events:
        if isinstance(event, Delivered | Told) and event.line.startswith(b"{"):
            come.setdefault(event.cause, []).append(msgspec.json.decode(event.line)["notice"])
    assert come.pop(None) == ["joined"]
    assert come == dict(enumerate(COMMANDS.values(), 1))
    assert {event.cause for event in bob.events if isinstance(event, Delivered | Told)} == {None}


def say_and_kill(people: People, node: Node, person: Person, killed_after_s: float, *texts: str) -> None:
    """Let a person say texts and go to the other gateway when its own was killed; wait until all is kept."""
    people.say(person, *texts)
    people.run(killed_after_s)
    people.world.kill(node)
    person.client.go_to(1, 2, people.world.now)
    person.note_deadline()
    people.run_until(lambda: not person.client.waiting)
    people.settle()


@pytest.mark.parametrize("killed_after_s", [0.1, 0.6, 1.1])
def test_a_password_is_set_once_in_its_place_whenever_the_gateway_is_killed(killed_after_s: float) -> None:
    people = People(World(1, Weather(delay_s=0.5)), Network(delay_s=0.02))
    nodes = [people.attach(people.world.start_gateway(name)) for name in ("a", "b")]
    alice = people.enter(nodes[0], "den", "alice")
    people.run_until(lambda: alice.client.is_resumed)
    say_and_kill(people, nodes[0], alice, killed_after_s, "/password moon", "it is moon", "/topic tea")
    room = people.world.broker.core.directory.by_name["den"]
    kinds = [entry.kind for entry in people.world.broker.log(room.id) if entry.member == alice.member]
    assert kinds == [EntryKind.JOINED, EntryKind.LOCKED, EntryKind.SAID, EntryKind.TOPIC]
    assert room.password_hash == hash_of("moon")


@pytest.mark.parametrize("killed_after_s", [0.1, 0.3, 0.5, 0.7, 0.9, 1.1])
def test_a_password_of_one_that_is_no_host_is_refused_once_and_kept_as_a_line(killed_after_s: float) -> None:
    people = People(World(1, Weather(delay_s=0.5)), Network(delay_s=0.02))
    nodes = [people.attach(people.world.start_gateway(name)) for name in ("a", "b")]
    people.enter(nodes[0], "den", "alice")
    bob = people.enter(nodes[0], "den", "bob")
    people.run_until(lambda: bob.client.is_resumed)
    say_and_kill(people, nodes[0], bob, killed_after_s, "/password moon", "it is moon")
    room = people.world.broker.core.directory.by_name["den"]
    entries = [entry for entry in people.world.broker.log(room.id) if entry.member == bob.member]
    assert [entry.kind for entry in entries] == [EntryKind.JOINED, EntryKind.ANSWERED, EntryKind.SAID]
    assert bob.kept() == {1, 2}
    assert room.password_hash == ""


@pytest.mark.parametrize("killed_after_s", [0.1, 0.3, 0.5, 0.7, 0.9, 1.1])
def test_who_may_not_ask_for_bans_is_told_so_beside_the_log_whenever_the_gateway_is_killed(
    killed_after_s: float,
) -> None:
    """In the log the answer stood twice if the gateway was killed before the line was kept."""
    people = People(World(1, Weather(delay_s=0.5)), Network(delay_s=0.02))
    nodes = [people.attach(people.world.start_gateway(name)) for name in ("a", "b")]
    people.enter(nodes[0], "den", "alice")
    bob = people.enter(nodes[0], "den", "bob")
    people.run_until(lambda: bob.client.is_resumed)
    say_and_kill(people, nodes[0], bob, killed_after_s, "/bans")
    people.say(bob, "/bans")
    people.run_until(lambda: any(isinstance(event, Told) and event.cause == 2 for event in bob.events))
    told = [msgspec.json.decode(event.line) for event in bob.events if isinstance(event, Told)]
    assert {(each["code"], each["arg"]) for each in told} == {("not-host", "/bans")}
    people.settle()
    room = people.world.broker.core.directory.by_name["den"]
    kinds = [entry.kind for entry in people.world.broker.log(room.id) if entry.member == bob.member]
    assert kinds == [EntryKind.JOINED]
    assert bob.kept() == {1, 2}


def test_nothing_is_said_behind_a_line_that_leaves() -> None:
    people, _, _ = alone()
    (bob,) = people.gather("bob")
    people.say(bob, "one", "/leave", "two")
    people.run(5.0)
    room = people.world.broker.core.directory.by_name["den"]
    said = [entry.text for entry in people.world.broker.log(room.id) if entry.member == bob.member]
    assert "one" in said
    assert "two" not in said


def test_a_turn_of_more_than_a_group_collects_reaches_each_member_whole() -> None:
    """A body says up to which offset it is complete: not up to the room's position while a part is left."""
    people, node, alice = alone()
    others = people.gather(*"ab")
    for start_at in range(0, 3 * MAX_COLLECTED // 1_000, 30):
        for person in (alice, *others):
            people.say(person, *(each.ljust(1_000, ".") for each in texts(start_at, 30)))
    people.settle()
    check(people.world, people, [alice, *others])
    assert node.gateway.counters.sealed_wants == 0


@pytest.mark.parametrize("seed", range(5))
def test_bursts_are_kept_once_and_in_order_by_a_bad_network(seed: int) -> None:
    people = start(seed, network=BAD)
    dice = people.world.dice
    everyone = people.gather(*"abcd", spread=True)
    first = 0
    for _ in range(20):
        count = dice.randrange(1, 20)
        people.say(dice.choice(everyone), *texts(first, count))
        first += count
        if dice.random() < 0.1:
            people.move(dice.choice(everyone))
        people.run(dice.random() * 0.1)
    people.settle()
    check(people.world, people, everyone)
