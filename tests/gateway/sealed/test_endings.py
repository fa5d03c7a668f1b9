"""Members of version 2 hear all that comes before the end of their membership, or which of it they lack."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.sealed.farewells import AT_TICKS
from gateway.sealed.sender import REPEAT_S
from tests.gateway.sealed.people import People, Person, nothing
from tests.gateway.sealed.test_lives import BAD, start
from tests.gateway.sealed.test_recalls import repeat, served
from tests.support.fakes import ScriptedGateway, address_of, entry, said
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.sealed.client_events import Delivered, Ended, Gap
from tsudoi.protocol.sealed.lines import Covered, DownLine, SaidLine, parse_down_untrusted
from tsudoi.protocol.sealed.packets import HEADER_SIZE, RUN_AT, Kind, parse_untrusted
from tsudoi.protocol.sealed.suites import AES_128_GCM, cipher

# --- what a gateway sends ---


def lines_to(gateway: ScriptedGateway, session: bytes, address: bytes) -> list[Any]:
    """Return the lines that went to a client, in their order."""
    return [line for body in bodies_to(gateway, session, address) for line in body]


def bodies_to(gateway: ScriptedGateway, session: bytes, address: bytes) -> list[list[Any]]:
    """Return the lines of each body that went to a client, in their order."""
    opens = cipher(AES_128_GCM, gateway.keys.keys(session).down)
    packets = [each for each in gateway.outbound.to(address) if parse_untrusted(each).kind == Kind.BODY]
    assert len({each[:HEADER_SIZE] for each in packets}) == len(packets), "a nonce was used twice"
    bodies = [opens.decrypt(each[RUN_AT:HEADER_SIZE], each[HEADER_SIZE:], each[:HEADER_SIZE]) for each in packets]
    return [[line for line, _ in parse_down_untrusted(body)] for body in bodies]


@pytest.mark.parametrize(
    "end", [entry(42, EntryKind.CLOSED, 9), entry(42, EntryKind.LEFT, 1, LeaveReason.KICKED)], ids=["closed", "kicked"]
)
def test_the_end_comes_behind_what_its_turn_has_before_it(end: object) -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    gateway.news(*(said(offset, 9, f"line {offset}") for offset in range(2, 42)), end)  # type: ignore[arg-type]
    gateway.core.sealed_sender.flush()
    *before, last = lines_to(gateway, session, address_of(1))
    assert [line.n for line in before if isinstance(line, SaidLine)] == [*range(2, 42)]
    assert (last.ended is not None, last.last) == (True, 41)


def test_the_end_covers_entries_that_the_member_does_not_get_but_not_the_end_itself() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    gateway.news(said(2, 9, "hello"), entry(3, EntryKind.ANSWERED, 9), entry(4, EntryKind.CLOSED, 9))
    gateway.core.sealed_sender.flush()
    *before, last = lines_to(gateway, session, address_of(1))
    assert max(line.to for line in before if isinstance(line, Covered)) == last.last == 3


def test_the_end_is_told_three_times() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    gateway.news(entry(2, EntryKind.CLOSED, 9))
    repeat(gateway, 1.0)
    told = [line for line in lines_to(gateway, session, address_of(1)) if isinstance(line, DownLine)]
    assert [line.last for line in told if line.ended] == [1, 1, 1]
    assert not gateway.repeats, "the timer goes on"


def test_a_member_that_goes_while_its_first_bodies_are_repeated_is_sent_no_more_of_them() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    link = gateway.members.by_session[session].sealed
    assert link is not None
    gateway.news(last=1)
    repeat(gateway, (AT_TICKS[0] - 1.5) * REPEAT_S)
    gateway.core.sealed_sender.detach(link)
    gateway.outbound.sent.clear()
    repeat(gateway, 1.0)
    assert gateway.outbound.to(address_of(1)) == []


def test_there_is_one_timer_though_what_was_to_be_repeated_is_gone() -> None:
    gateway = ScriptedGateway()
    link = gateway.members.by_session[served(gateway, 1)].sealed
    assert link is not None
    gateway.news(last=1)
    repeat(gateway, 1.0)
    assert not gateway.repeats
    for number in (2, 3):
        gateway.news(said(number, 9, "hello"))
        gateway.core.sealed_sender.flush()
        gateway.core.sealed_sender.detach(link)  # its group has no member more
        link.bind(0, address_of(1), number)
        gateway.core.streams.attach(link.member, link, gateway.now)
        gateway.core.streams.begin(link.member, number, gateway.now)


def test_an_end_whose_log_is_gone_names_no_last_entry() -> None:
    gateway = ScriptedGateway()
    session = served(gateway, 1)
    gateway.core.deliver.closed_rooms.log_is_gone(gateway.members.rooms[1])
    (ended,) = lines_to(gateway, session, address_of(1))
    assert (ended.ended, ended.last) == ("closed", 0)


# --- what clients see ---


def ends(person: Person) -> list[Ended]:
    return [event for event in person.events if isinstance(event, Ended)]


def miss_what_comes(people: People, person: Person, lines: int, speaker: Person) -> None:
    """Let a speaker say some lines, of which one person hears nothing."""
    people.loses = lambda address, data: address == person.address
    for number in range(lines):
        people.say(speaker, f"line {number}")
    people.run(0.02)
    people.loses = nothing


def two_who_chat(nodes: int = 1) -> tuple[People, Person, Person]:
    people = start(6, nodes=nodes)
    host, guest = people.gather("host", "guest")
    people.run(1.0)
    return people, host, guest


def host_room(people: People) -> int:
    (room_id,) = people.world.broker.core.directory.rooms
    return room_id


def restarted(people: People) -> None:
    people.world.restart_broker()


def trimmed(people: People) -> None:
    """Let the room's log have nothing of before."""
    directory = people.world.broker.core.directory
    directory.note_trimmed({host_room(people): directory.rooms[host_room(people)].last + 1})


def talk_and_leave(people: People, host: Person, size_of: Callable[[int], int]) -> int:
    """Let a host say twelve lines and then close its room; return the room."""
    numbers = [people.say(host, f"line {number} " + "x" * size_of(number)) for number in range(12)]
    people.run_until(lambda: {*numbers} <= host.kept())
    people.say(host, "/leave")
    return host_room(people)


def check_heard(people: People, person: Person, room: int) -> None:
    """Check that a person has heard all lines of a room, in their order."""
    texts = [each.offset for each in people.world.broker.log(room) if each.kind == EntryKind.SAID]
    assert [offset for offset in person.offsets() if offset in texts] == texts


@pytest.mark.parametrize("seed", range(8))
def test_all_hear_a_room_to_its_end_at_a_loss_of_a_tenth(seed: int) -> None:
    people = start(seed, network=BAD)
    world = people.world
    everyone = people.gather(*"abcdef", spread=True)
    people.run(1.0)
    host, *guests = everyone
    room = talk_and_leave(people, host, lambda number: 300)
    begun_at = world.now
    people.run_until(lambda: all(ends(person) for person in everyone))
    assert world.now - begun_at < 5.0, "some learned of the end by their next ping"
    for person in guests:
        assert [end.reason for end in person.losses() if isinstance(end, Ended)] == ["closed"]
        assert len(person.losses()) == 1, person.losses()
        check_heard(people, person, room)


@pytest.mark.parametrize("seed", range(24))
def test_a_member_that_comes_back_to_a_closed_room_hears_its_long_lines_too(seed: int) -> None:
    people = start(seed, network=BAD)
    host, guest = people.gather("host", "guest", spread=True)
    people.run(1.0)
    people.leave_network(guest)
    room = talk_and_leave(people, host, lambda number: 3700 * (number in (3, 7)))
    people.run(0.3 * (seed % 5))
    people.join_network(guest)
    people.run_until(lambda: bool(ends(guest)))
    assert [type(event) for event in guest.losses()] == [Ended]
    check_heard(people, guest, room)


def said_to(person: Person) -> int:
    """Return how many of the lines of `miss_what_comes` a person has heard."""
    return sum(b'"line ' in event.line for event in person.events if isinstance(event, Delivered))


def test_a_member_that_is_removed_hears_all_before_that() -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, guest, 5, host)
    people.say(host, "/kick guest")
    people.run_until(lambda: bool(ends(guest)), 2.0)
    assert (ends(guest)[0].reason, ends(guest)[0].is_whole) == ("kicked", True)
    assert (len(guest.losses()), said_to(guest)) == (1, 5)


@pytest.mark.parametrize("node", [0, 1])
@pytest.mark.parametrize("command", ["kick", "ban"])
def test_a_member_that_was_away_hears_why_it_was_removed(command: str, node: int) -> None:
    people, host, guest = two_who_chat(nodes=2)
    miss_what_comes(people, guest, 5, host)
    people.leave_network(guest)
    people.say(host, f"/{command} guest")
    people.run(0.5)
    miss_what_comes(people, guest, 5, host)
    people.run(20.0)
    people.join_network(guest)
    guest.client.go_to(node, 2, people.world.now)
    people.move(guest)
    people.run_until(lambda: bool(ends(guest)), 3.0)
    assert ends(guest)[0].reason == {"kick": "kicked", "ban": "banned"}[command]
    assert (len(guest.losses()), said_to(guest)) == (1, 5)
    people.run(1.0)
    assert [len(each.gateway.members) for each in people.world.nodes] == [1, 0]


def test_a_removed_member_hears_nothing_that_came_after_wherever_it_claims_to_be() -> None:
    people, host, guest = two_who_chat()
    people.leave_network(guest)
    people.say(host, "/kick guest")
    people.run(0.5)
    for number in range(5):
        people.say(host, f"line {number}")
        people.run(0.1)
    people.join_network(guest)
    guest.client._down.offset = people.world.nodes[0].gateway.members.rooms[host_room(people)].position
    people.move(guest)
    people.run(0.5)
    people.say(host, "line 6")
    people.run_until(lambda: bool(ends(guest)), 3.0)
    assert said_to(guest) == 0
    assert ends(guest)[0].reason == "kicked"


@pytest.mark.parametrize("forgets", [restarted, trimmed])
def test_a_removed_member_is_told_which_entries_it_lacks(forgets: Callable[[People], None]) -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, guest, 5, host)
    before = guest.client.position[1]
    people.say(host, "/kick guest")
    people.run_until(lambda: guest.client._ended is not None)
    forgets(people)
    people.run_until(lambda: bool(ends(guest)), 5.0)
    *heard, gap, end = guest.events
    assert gap == Gap(before + 1, before + 5)
    assert isinstance(end, Ended)
    assert (end.reason, end.is_whole) == ("kicked", False)
    assert all(isinstance(event, Delivered) for event in heard)


def test_a_client_that_leaves_has_left_although_the_word_of_it_is_lost() -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, guest, 1, host)
    people.say(host, "the next one")
    people.run_until(lambda: guest.client._down.deadline() is not None)
    people.loses = lambda address, data: address == guest.address and parse_untrusted(data).kind == Kind.BODY
    guest.client.leave(people.world.now)
    people._up(guest)
    people.run_until(lambda: bool(ends(guest)), 5.0)
    assert guest.losses() == [Ended("left", "")]


def test_a_client_without_an_answer_tells_after_a_while_what_it_lacks() -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, guest, 5, host)
    people.say(host, "/leave")
    people.run_until(lambda: guest.client._ended is not None)
    people.world.kill(people.world.nodes[0])
    people.run_until(lambda: bool(ends(guest)), 11.0)
    assert [type(event) for event in guest.losses()] == [Gap, Ended]
    assert ends(guest)[0].reason == "closed"


def lose_long_lines(people: People, person: Person, until: float) -> None:
    """Let no part of a long line reach a person before a time."""

    def is_part(address: bytes, data: bytes) -> bool:
        return address == person.address and people.world.now < until and parse_untrusted(data).kind == Kind.PART

    people.loses = is_part


def test_a_line_before_the_end_is_waited_for_as_long_as_the_server_tells_the_end() -> None:
    people, host, guest = two_who_chat()
    lose_long_lines(people, guest, people.world.now + 15.0)
    people.say(host, "line 0 " + "x" * 3700)
    people.say(host, "/leave")
    people.run_until(lambda: bool(ends(guest)), 30.0)
    assert len(guest.losses()) == 1, guest.losses()
    assert (ends(guest)[0].is_whole, said_to(guest)) == (True, 1)


def test_it_is_waited_for_a_minute_at_most() -> None:
    people, host, guest = two_who_chat()
    lose_long_lines(people, guest, people.world.now + 1000.0)
    people.say(host, "line 0 " + "x" * 3700)
    people.say(host, "/kick guest")
    people.run_until(lambda: bool(ends(guest)), 61.0)
    assert [type(event) for event in guest.losses()] == [Gap, Ended]


def test_a_member_of_a_closed_room_that_was_away_hears_it_to_its_end() -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, guest, 5, host)
    people.leave_network(guest)
    people.say(host, "/leave")
    people.run(20.0)
    people.join_network(guest)
    people.move(guest)
    people.run_until(lambda: bool(ends(guest)), 3.0)
    assert ends(guest)[0].reason == "closed"
    assert len(guest.losses()) == 1
    assert said_to(guest) == 5


def test_a_member_that_heard_all_of_a_closed_room_but_its_end_is_told_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = start(6)
    host, guest, other = people.gather("host", "guest", "other")
    people.run(1.0)
    came: list[bytes] = []

    def is_behind_the_first(address: bytes, data: bytes) -> bool:
        if address == guest.address:
            came.append(data)
        return address == guest.address and len(came) > 1

    with monkeypatch.context() as late:
        late.setattr(people.world, "_news", lambda node, frames: None)
        people.say(other, "line 0")
        people.say(host, "/leave")
        people.run(0.2)
    people.loses = is_behind_the_first
    people.run(2.0)  # The gateway gets both from the log, in one turn.
    assert (said_to(guest), guest.losses()) == (1, [])
    people.loses = nothing
    people.move(guest)
    people.run_until(lambda: bool(ends(guest)), 3.0)
    assert (ends(guest)[0].reason, ends(guest)[0].is_whole) == ("closed", True)
    assert (len(guest.losses()), said_to(guest)) == (1, 1)


def test_a_host_that_left_behind_a_restart_of_the_broker_hears_its_room_to_the_end() -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, host, 5, guest)
    people.loses = lambda address, data: address == host.address
    people.world.restart_broker()
    people.say(host, "/leave")
    people.run(1.0)  # The gateway reconciles, and publishes again that the host leaves.
    people.loses = nothing
    people.run_until(lambda: bool(ends(host)), 5.0)
    assert (ends(host)[0].reason, ends(host)[0].is_whole) == ("closed", True)
    assert (len(host.losses()), said_to(host)) == (1, 5)


def test_a_host_that_moves_while_the_end_of_its_room_is_on_its_way_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    people, host, guest = two_who_chat()
    miss_what_comes(people, host, 5, guest)
    with monkeypatch.context() as late:
        late.setattr(people.world, "_news", lambda node, frames: None)
        people.say(host, "/leave")
        people.run(0.2)
        people.move(host)
        people.run(0.5)
    people.run_until(lambda: bool(ends(host)), 5.0)
    assert (ends(host)[0].reason, ends(host)[0].is_whole) == ("closed", True)
    assert (len(host.losses()), said_to(host)) == (1, 5)


def test_the_directory_forgets_a_closed_room_with_its_members_of_version_2() -> None:
    people, host, _ = two_who_chat()
    directory = people.world.broker.core.directory
    people.say(host, "/leave")
    people.run(30.0)
    assert len(directory.members) == 2
    people.run(40.0)
    assert not directory.members
    assert not directory.closed
