"""The rules of the client of version 2, against a model server in pure time.

tests/gateway/sealed/test_lives.py has it in bad networks, with real gateways and a real broker.
"""

from dataclasses import replace
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tsudoi.protocol.sealed import model_server
from tests.tsudoi.protocol.sealed.bad_network import Person, Weather, World
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.client import EARLY, MAX_SAID, SealedClient
from tsudoi.protocol.sealed.client_events import (
    Away,
    Back,
    Delivered,
    Ended,
    Gap,
    Kept,
    LineRefused,
    Moving,
    Reset,
    Told,
)
from tsudoi.protocol.sealed.client_link import SUSPECT_S
from tsudoi.protocol.sealed.client_pings import UNASKED_S
from tsudoi.protocol.sealed.grant import Grant, parse_grant_untrusted
from tsudoi.protocol.sealed.lines import Resume
from tsudoi.protocol.sealed.packets import NO_RUN, Kind, parse_untrusted, serialize_header
from tsudoi.protocol.sealed.suites import cipher

CALM = Weather(loss=0.0, doubling=0.0, jitter_s=0.0, clients=2)


def quiet() -> tuple[World, Person, Person]:
    """Return a world without faults, in which two clients are resumed."""
    world = World(1, CALM)
    world.run(1.0)
    alice, bob = world.people.values()
    return world, alice, bob


def of(person: Person, *kinds: type) -> list[object]:
    return [event for event in person.events if isinstance(event, kinds)]


def test_a_line_is_kept_and_its_event_has_the_position() -> None:
    world, alice, bob = quiet()
    assert world.say(alice, "hello") == 1
    world.run(0.2)
    assert of(alice, Kept) == [Kept(1, 1)]
    assert of(alice, Delivered) == [Delivered(1, world.broker.log[0].encode(), 1, is_own=True)]
    assert of(bob, Delivered) == [Delivered(1, world.broker.log[0].encode(), None)]


def test_a_command_is_kept_without_a_position() -> None:
    world, alice, _ = quiet()
    number = alice.client.say("/who", world.now, is_command=True)
    alice.said[number] = "/who"
    world.broker.members[alice.member.grant.session].muted_texts.clear()
    world._flush(alice)
    world.run(0.1)
    assert of(alice, Kept)[0] == Kept(1, None)


def test_a_refused_line_is_given_up_and_the_next_ones_are_said() -> None:
    world, alice, bob = quiet()
    alice.member.muted_texts.add("no")
    for text in ("one", "no", "two", "three"):
        world.say(alice, text)
    world.run(1.0)
    assert of(alice, LineRefused) == [LineRefused(2, "you are muted")]
    assert of(alice, Kept) == [Kept(1, 1), Kept(3, 2), Kept(4, 3)]
    assert [msgspec.json.decode(event.line)[2] for event in of(bob, Delivered)] == ["one", "two", "three"]  # type: ignore[attr-defined]


def test_a_line_that_came_while_its_client_resumed_is_kept_when_the_membership_ends() -> None:
    world, alice, _ = quiet()
    gateway = world.broker.gateways[0]
    gateway.freeze()
    world.say(alice, "hello")
    alice.client.resume(world.now)
    grant = alice.member.grant
    serving = gateway.serving[grant.session]
    gateway._send_body(serving, b'[0,1]\n[1,"alice","hello",%d,1]' % grant.member)
    gateway._send_body(serving, b'{"ended":"kicked","last":1}')
    world.run(0.1)
    assert of(alice, Kept, Ended) == [Kept(1, 1), Ended("kicked", "", True)]


def test_while_a_client_resumes_no_line_is_refused() -> None:
    """The next server has not refused it, and waits for it."""
    world, alice, _ = quiet()
    gateway = world.broker.gateways[0]
    gateway.freeze()
    world.say(alice, "hello")
    alice.client.resume(world.now)
    gateway._send_body(gateway.serving[alice.member.grant.session], b'{"refused":1,"text":"no"}')
    world.run(0.1)
    gateway.thaw()
    world.run(2.0)
    assert of(alice, Kept, LineRefused) == [Kept(1, 1)]


def test_a_client_that_learns_of_another_epoch_resumes() -> None:
    world, alice, _ = quiet()
    world.broker.epoch += 1
    alice.client._link.ping(world.now)
    alice.client.tick(world.now)
    world._flush(alice)
    world.run(1.0)
    assert of(alice, Reset) == [Reset()]
    assert alice.client.position == (world.broker.epoch, 0)


def test_a_reset_is_told_once_although_a_slow_server_answers_several_resumes() -> None:
    world = World(1, replace(CALM, delay_s=0.7))
    world.broker.epoch += 1
    world.run(12.0)
    assert len(world.down_nonces) > len(world.people), "each resume was the only one"
    assert [of(person, Reset) for person in world.people.values()] == [[Reset()]] * 2


def test_a_line_that_is_refused_for_now_is_said_after_a_second() -> None:
    world, alice, _ = quiet()
    world.broker.gateways[0].again = 1
    world.say(alice, "slowly")
    world.say(alice, "then this")
    world.run(0.9)
    assert not world.broker.log
    world.run(0.5)
    assert [entry.text for entry in world.broker.log] == ["slowly", "then this"]


def test_a_server_that_is_silent_is_away_after_ten_seconds_and_back_when_it_answers() -> None:
    world, alice, bob = quiet()
    world.broker.gateways[0].freeze()
    world.say(alice, "anybody?")
    world.run(9.9)
    assert not of(alice, Away)
    world.run(0.3)
    assert of(alice, Away) == [Away()]
    assert alice.client.waiting == 1
    world.broker.gateways[0].start()
    world.broker.gateways[0].thaw()
    world.run(5.0)
    assert of(alice, Back) == [Back(0)]
    assert of(alice, Kept) == [Kept(1, 1)]
    assert not of(bob, Away)


def test_another_address_of_the_server_is_tried_within_three_seconds() -> None:
    world = World(1, Weather(loss=0.0, doubling=0.0, jitter_s=0.0, gateways=2))
    world.run(1.0)
    alice = world.people["person-0"]
    world.broker.gateways[0].freeze()
    world.say(alice, "hello")
    world.run(3.0)
    assert of(alice, Kept) == [Kept(1, 1)]
    assert alice.client.server == 1
    assert not of(alice, Away)


def test_what_the_log_no_longer_has_is_a_gap() -> None:
    world, alice, bob = quiet()
    address = bob.address
    world._addresses.pop(address)
    for number in range(10):
        world.say(alice, f"line {number}")
        world.run(0.1)
    world.broker.trim(4)
    world._addresses[address] = bob.name
    world.run(30.0)
    assert of(bob, Gap) == [Gap(1, 6)]
    assert [event.offset for event in of(bob, Delivered)] == [7, 8, 9, 10]  # type: ignore[attr-defined]


def test_the_time_in_which_a_client_stood_still_counts_as_no_slow_network() -> None:
    """The answer has waited in its socket for an hour; holes must not wait for minutes now."""
    world = World(1, CALM)
    world.run(1.0)
    bob = world.people["person-1"]
    held: list[bytes] = []
    world._arrive = lambda address, data, gateway: held.append(data)  # type: ignore[method-assign]
    bob.client._link.ping(world.now)
    bob.client.tick(world.now)
    world._flush(bob)
    world.run(0.2)
    assert held
    for data in held:
        bob.client.receive(data, world.now + 3_600.0)
    assert bob.client.round_trip_s < 1.5


def test_leaving_ends_it() -> None:
    world, alice, _ = quiet()
    world.leave(alice)
    world.run(0.2)
    assert of(alice, Ended) == [Ended("left", "bye")]
    assert alice.client.deadline is None


@pytest.mark.parametrize("reason", ["left", "closed"])
def test_one_that_leaves_is_told_of_no_gap(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a host that leaves, the server says that the room is closed."""

    serialize = model_server.line

    def line(**fields: object) -> bytes:
        return serialize(**fields | ({"ended": reason, "last": 1} if "ended" in fields else {}))

    world, alice, bob = quiet()
    monkeypatch.setattr(model_server, "line", line)
    address = alice.address
    world._addresses.pop(address)
    world.say(bob, "lost, with its repeats")
    world.run(0.5)
    world._addresses[address] = alice.name
    world.leave(alice)
    world.run(15.0)
    assert [event.reason for event in of(alice, Ended)] == [reason]  # type: ignore[attr-defined]
    assert of(alice, Gap, Delivered) == []


def test_an_idle_client_pings_every_20_to_25_seconds() -> None:
    world, alice, _ = quiet()
    before = len(world.up_nonces)
    world.run(100.0)
    assert 2 * 4 <= len(world.up_nonces) - before <= 2 * 5
    assert not of(alice, Away)


def test_one_that_only_listens_notices_soon_after_a_room_has_become_quiet_that_it_hears_nothing() -> None:
    world, alice, bob = quiet()
    world.run(10.0)
    world.say(alice, "the last line")
    world.run(0.5)
    assert len(of(bob, Delivered)) == 1
    world._addresses.pop(bob.address)
    world.run(4.0 - 0.5)
    resumed = [bob.client.is_resumed]
    world.run(1.0 + SUSPECT_S + 0.1)
    assert [*resumed, bob.client.is_resumed, alice.client.is_resumed] == [True, False, True]


def test_a_lost_tail_is_found_some_seconds_after_a_room_has_become_quiet() -> None:
    world, alice, bob = quiet()
    address = bob.address
    world.say(alice, "heard")
    world.run(0.1)
    world._addresses.pop(address)
    world.say(alice, "lost, with its repeats")
    world.run(0.5)
    world._addresses[address] = bob.name
    world.run(UNASKED_S)
    assert [event.offset for event in of(bob, Delivered)] == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("each_s", "most"), [(1.0, 5), (3.5, 5), (7.0, 10), (30.0, 8)], ids=["busy", "talking", "slow", "almost silent"]
)
def test_what_a_quiet_room_asks_of_those_who_only_listen(each_s: float, most: int) -> None:
    """In a busy room no more than in one that is silent; in any other a ping in 10 s at the most."""
    world, alice, bob = quiet()
    before = len([nonce for nonce in world.up_nonces if nonce.startswith(bob.member.grant.session)])
    for number in range(int(100 / each_s)):
        world.say(alice, f"line {number}")
        world.run(each_s)
    after = len([nonce for nonce in world.up_nonces if nonce.startswith(bob.member.grant.session)])
    assert 4 <= after - before <= most
    assert len(of(bob, Delivered)) == int(100 / each_s)


def test_forged_replayed_and_changed_packets_change_nothing() -> None:
    world, alice, bob = quiet()
    heard: list[bytes] = []
    arrive = world._arrive

    def listen(address: str, data: bytes, gateway: int) -> None:
        heard.append(data)
        arrive(address, data, gateway)

    world._arrive = listen  # type: ignore[method-assign]
    world.say(alice, "hello")
    world.run(1.0)
    seen, sent = len(bob.events), len(world.up_nonces)
    dice = Random(1)
    grant = bob.member.grant
    gone = serialize_header(Kind.GONE, grant.session, bytes(6), 1) + bytes(16)
    forged = [*heard, gone, *(serialize_header(Kind.BODY, grant.session, NO_RUN, n) + bytes(40) for n in range(9))]
    for data in heard:
        at = dice.randrange(len(data))
        forged.append(data[:at] + bytes((data[at] ^ 1 << dice.randrange(8),)) + data[at + 1 :])
        forged.append(data[:at])
    for data in forged:
        bob.client.receive(data, world.now)
        world._flush(bob)
    assert (len(bob.events), len(world.up_nonces)) == (seen, sent)


def test_forged_packets_take_no_place_of_those_that_overtake_the_answer_to_a_resume() -> None:
    dice = Random(1)
    session, run = dice.randbytes(16), dice.randbytes(6)
    grant = Grant(session, "aes-128-gcm", bytes(16), dice.randbytes(16), bytes(32), "bob", 1, 1, 0)
    client = SealedClient(grant, 0.0, Random(1))
    client.tick(0.0)
    (asked,) = client.datagrams_to_send()
    seal = cipher(grant.suite, grant.down).encrypt

    def sealed(count: int, body: bytes) -> bytes:
        header = serialize_header(Kind.BODY, session, run, count)
        return header + seal(header[18:], body, header)

    client.receive(sealed(2, b'[0,1]\n[1,"alice","hello"]'), 0.1)
    for kind in (Kind.BODY, Kind.PART):
        for count in range(EARLY):
            client.receive(serialize_header(kind, session, dice.randbytes(6), count) + bytes(60), 0.1)
    to = parse_untrusted(asked.data).count
    answer = b'{"resumed":{"to":%d,"epoch":1,"offset":0,"said":0,"name":"bob","state":"complete"}}' % to
    client.receive(sealed(1, answer), 0.2)
    assert [event.offset for event in client.events() if isinstance(event, Delivered)] == [1]


@given(st.binary(max_size=1_300))
def test_any_bytes_are_dropped(data: bytes) -> None:
    grant = Grant(bytes(16), "aes-128-gcm", bytes(16), bytes(16), bytes(32), "bob", 1, 1, 0)
    client = SealedClient(grant, 0.0, Random(1))
    client.receive(data, 0.0)
    client.receive(serialize_header(Kind.BODY, grant.session, NO_RUN, 1) + data, 0.0)
    assert client.malformed == 2
    assert client.events() == []


@given(st.lists(st.sampled_from([b"{}", b"[]", b'{"kept":9}', b"[0,3]", b'[1,"a","b"]',
    b'{"n":2,"notice":"joined"}', b"[3,2]", b'{"refused":1}', b'{"pong":1,"epoch":7,"last":99}',
    b'{"ended":"kicked","text":""}', b'{"notice":"help"}', b'{"resumed":1}', b"\xff", b""]), max_size=6))  # fmt: skip
def test_any_lines_of_a_server_are_taken_or_dropped(lines: list[bytes]) -> None:
    world, alice, _ = quiet()
    world.say(alice, "one")
    serving = world.broker.gateways[0].serving[alice.member.grant.session]
    world.broker.gateways[0]._send_body(serving, b"\n".join(lines))
    world.run(2.0)
    offsets = [event.offset for event in of(alice, Delivered)]  # type: ignore[attr-defined]
    assert offsets == sorted(set(offsets)) or of(alice, Reset)


def test_answers_without_a_position_are_told() -> None:
    world, alice, _ = quiet()
    answer = b'{"notice":"answer","code":"time-is","text":"It is late."}'
    world.broker.gateways[0]._send_body(world.broker.gateways[0].serving[alice.member.grant.session], answer)
    world.run(0.1)
    assert of(alice, Told) == [Told(answer)]


def test_a_session_that_an_old_resume_has_taken_away_is_fetched_back_at_once() -> None:
    world = World(1, Weather(loss=0.0, doubling=0.0, jitter_s=0.0, gateways=2))
    world.run(1.0)
    alice, bob = [*world.people.values()][:2]
    world.broker.gateways[0].freeze()
    world.say(alice, "hello")
    world.run(3.0)
    assert alice.client.server == 1
    # The frozen gateway has a `resume` with a good cookie among what waits for it.
    world.broker.gateways[0]._cookies[b"c" * 12] = alice.member.grant.session, alice.address
    epoch, offset = alice.client.position
    old = Resume(cookie=(b"c" * 12).hex(), epoch=epoch, offset=offset, next=1)
    world.broker.gateways[0].thaw()
    world.broker.gateways[0]._resume(alice.member.grant.session, 2, old, alice.address)
    assert alice.member.grant.session not in world.broker.gateways[1].serving
    world.run(1.0)
    world.say(bob, "still there?")
    world.run(1.0)
    assert [msgspec.json.decode(event.line)[2] for event in of(alice, Delivered)][-1] == "still there?"  # type: ignore[attr-defined]


def test_what_comes_right_after_a_resumed_is_looked_into_when_that_time_is_over() -> None:
    """Another gateway takes the session in the moment in which the client takes no sign of it."""
    world = World(1, Weather(loss=0.0, doubling=0.0, jitter_s=0.0, gateways=2))
    world.run(1.0)
    alice, bob = [*world.people.values()][:2]
    first, session = world.broker.gateways[0], alice.member.grant.session
    alice.client.resume(world.now)
    world._flush(alice)
    world.run(0.1)
    assert alice.client.is_resumed
    first._cookies[b"c" * 12] = session, alice.address
    epoch, offset = alice.client.position
    first._resume(session, 1, Resume(cookie=(b"c" * 12).hex(), epoch=epoch, offset=offset, next=1), alice.address)
    world.say(bob, "the last line for long")
    world.run(1.0)
    assert [msgspec.json.decode(event.line)[2] for event in of(alice, Delivered)] == ["the last line for long"]  # type: ignore[attr-defined]


def test_a_replayed_retry_does_not_make_a_client_resume() -> None:
    world, alice, _ = quiet()
    retries: list[bytes] = []
    arrive = world._arrive

    def listen(address: str, data: bytes, gateway: int) -> None:
        if data[1] == Kind.RETRY:
            retries.append(data)
        arrive(address, data, gateway)

    world._arrive = listen  # type: ignore[method-assign]
    world.take_address(alice)
    alice.client.resume(world.now)
    world._flush(alice)
    world.run(2.0)
    assert retries
    sent = len(world.up_nonces)
    for data in retries:
        alice.client.receive(data, world.now)
        world._flush(alice)
    assert alice.client.is_resumed
    assert len(world.up_nonces) == sent


def test_notices_have_keys_of_their_own() -> None:
    world, alice, _ = quiet()
    notice = b'{"n":1,"notice":"renamed","name":"a","to":"b","by":"c","reason":"","why":"","text":""}'
    body = b"[0,1]\n" + notice
    world.broker.gateways[0]._send_body(world.broker.gateways[0].serving[alice.member.grant.session], body)
    world.run(0.1)
    assert of(alice, Delivered) == [Delivered(1, notice)]


def test_a_text_that_is_too_long_is_refused_here() -> None:
    world, alice, _ = quiet()
    with pytest.raises(ValueError, match="at most 3807"):
        alice.client.say("x" * (MAX_SAID + 1), world.now)
    world.say(alice, "x" * MAX_SAID)
    world.run(1.0)
    assert of(alice, Kept) == [Kept(1, 1)]


def test_the_first_packet_is_a_resume_without_a_cookie() -> None:
    grant = Grant(bytes(16), "plain", b"", b"", b"", "bob", 1, 1, 41)
    client = SealedClient(grant, 0.0, Random(1))
    client.tick(0.0)
    (datagram,) = client.datagrams_to_send()
    packet = parse_untrusted(datagram.data)
    assert (packet.kind, packet.run, packet.count) == (Kind.BODY, NO_RUN, 1)
    assert packet.rest == b'{"resume":{"cookie":"","epoch":1,"offset":41,"next":1}}'


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b'{"session":"00","suite":"plain","name":"bob","member":1,"epoch":1,"offset":2}',
        b'{"session":"%s","suite":"rot13","name":"bob","member":1,"epoch":1,"offset":2}' % (b"00" * 16),
        b'{"session":"%s","suite":"aes-128-gcm","name":"bob","member":1,"epoch":1,"offset":2}' % (b"00" * 16),
    ],
)
def test_a_bad_grant_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_grant_untrusted(payload)


def test_a_grant_shows_no_secret() -> None:
    text = b'{"session":"%s","suite":"plain","name":"bob","member":1,"epoch":1,"offset":2}' % (b"ab" * 16)
    assert "ab" * 16 not in repr(parse_grant_untrusted(text))


def moving(world: World, person: Person, **about: object) -> None:
    """Let the gateway of a person tell it to go on elsewhere."""
    gateway = world.broker.gateways[person.client.server]
    gateway._send_body(gateway.serving[person.member.grant.session], msgspec.json.encode({"moving": about}))


def test_clients_go_on_at_another_address_spread_over_the_time_and_lose_nothing() -> None:
    world = World(1, Weather(loss=0.1, doubling=0.1, gateways=2, clients=8, lines=20, lasts_s=6.0))
    world.run(1.0)
    at: dict[str, float] = {}
    before = {name: person.client.server for name, person in world.people.items()}
    for person in world.people.values():
        moving(world, person, within=4.0)
        moving(world, person, within=3.9)
    begun = world.now
    for number in range(45):
        world.say(next(iter(world.people.values())), f"line {number}")
        world.run(0.1)
        for name, person in world.people.items():
            if person.client.is_resumed and person.client.server != before[name]:
                at.setdefault(name, world.now - begun)
    assert len(at) == 8
    assert max(at.values()) <= 4.0 + 0.5
    assert max(at.values()) - min(at.values()) > 1.0
    world.play()
    world.check()
    assert not any(of(person, Away) for person in world.people.values())


def test_a_client_is_told_where_to_go_on_if_the_server_names_a_place() -> None:
    world, alice, _ = quiet()
    moving(world, alice, within=1.0, to=["other.example:9001:9002"])
    world.run(1.2)
    assert of(alice, Moving) == [Moving(("other.example:9001:9002",))]
    assert alice.client.is_resumed


@pytest.mark.parametrize("about", [{}, {"within": -1}, {"within": "soon"}, {"within": 1, "to": "x"}, {"within": 1e9}])
def test_other_words_about_moving_are_malformed(about: dict[str, object]) -> None:
    world, alice, _ = quiet()
    moving(world, alice, **about)
    world.run(2.0)
    assert alice.client.malformed == 1
    assert not of(alice, Moving)
