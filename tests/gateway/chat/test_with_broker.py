"""Gateways and a broker together: what is accepted is heard by every member once, in order, whatever the weather."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.config import Limits
from broker.rooms import replays
from gateway.settings import Settings
from tests.support.fakes import FakeClient, Node, Weather, World
from tests.support.properties import examples
from tsudoi.protocol.codes import EntryKind

SEEDS = st.integers(0, 2**32)
ROOMS = ("den", "部屋")

WEATHERS = {
    "fine": Weather(),
    "slow": Weather(delay_s=0.2),
    "news dropped": Weather(delay_s=0.05, dropped_news=0.3, repeated_news=0.1),
    "connections break": Weather(delay_s=0.05, breaks=0.7),
    "broker restarts": Weather(delay_s=0.02, restarts=0.3),
    "everything": Weather(delay_s=0.1, dropped_news=0.1, repeated_news=0.1, breaks=0.3, restarts=0.1),
}


class Crowd:
    """Clients in a few rooms over two gateways, who talk; and what they said that their gateways took."""

    def __init__(self, seed: int, names: tuple[str, str] = ("", "")) -> None:
        self.world = World(seed)
        self.dice = random.Random(seed)
        self.nodes = [self.world.start_gateway(name) for name in names]
        self.home: dict[FakeClient, Node] = {}
        for number in range(5):
            node = self.dice.choice(self.nodes)
            client = self.world.enter_now(node, ROOMS[number % len(ROOMS)])
            self.home[client] = node
        self.world.run(1.0)
        self.texts = 0
        self.taken: list[str] = []

    @property
    def clients(self) -> list[FakeClient]:
        return list(self.home)

    def talk(self, times: int) -> None:
        """Let clients talk."""
        for _ in range(times):
            client = self.dice.choice(self.clients)
            self.say(client)
            self.world.run(self.dice.choice((0, 0, 0, 0.01, 0.05, 0.3)))

    def say(self, client: FakeClient) -> None:
        node = self.home[client]
        before = node.gateway.counters.accepted_messages
        self.texts += 1
        client.send(node, f"text {self.texts}")
        self.taken += [f"text {self.texts}"] * (node.gateway.counters.accepted_messages - before)

    def logged(self) -> list[str]:
        """All that was said, as the logs have it."""
        directory = self.world.broker.core.directory
        entries = [entry for room in directory.rooms for entry in self.world.broker.log(room)]
        return [entry.text for entry in entries if entry.kind == EntryKind.SAID]

    def check(self, *, repeats: bool = False, taken: bool = True) -> None:
        """All was heard once and in order, and what was taken is in a log once.

        Args:
            repeats: what was heard may be heard again, from any place on.
            taken: check what gateways took.
        """
        logged = self.logged()
        assert len(logged) == len(set(logged))
        if taken:
            assert set(self.taken) <= set(logged)
        for client in self.clients:
            heard = client.offsets()
            want = self.world.expected(client)
            assert (list(dict.fromkeys(heard)) if repeats else heard) == want, client.member.user
            assert client.notices() == []


@pytest.mark.parametrize("weather", WEATHERS)
@examples(6)
@given(seed=SEEDS)
def test_every_member_hears_everything_once_and_in_order(weather: str, seed: int) -> None:
    crowd = Crowd(seed)
    crowd.world.weather = WEATHERS[weather]
    crowd.talk(60)
    crowd.world.settle()
    crowd.check()


@examples(10)
@given(seed=SEEDS, named=st.booleans())
def test_members_of_a_killed_gateway_go_on_at_another(seed: int, named: bool) -> None:
    crowd = Crowd(seed, names=("g", "g") if named else ("", ""))
    crowd.world.weather = WEATHERS["slow"]
    crowd.talk(20)
    dead, alive = crowd.nodes
    taken = len(crowd.taken)
    crowd.world.kill(dead)
    crowd.home = dict.fromkeys(crowd.home, alive)
    crowd.talk(20)
    crowd.world.settle()
    if not named:
        for client in crowd.clients:
            client.send(alive)
        crowd.world.settle()
    # What the killed one had not handed over is gone with it; all else is heard.
    assert len(set(crowd.taken) & set(crowd.logged())) >= len(crowd.taken) - taken
    crowd.check(repeats=True, taken=False)


@examples(10)
@given(seed=SEEDS)
def test_a_frozen_gateway_tells_nobody_what_another_told_already(seed: int) -> None:
    crowd = Crowd(seed, names=("g", "g"))
    crowd.talk(20)
    crowd.world.run(2.0)
    frozen, other = crowd.nodes
    frozen.is_frozen = True
    crowd.home = dict.fromkeys(crowd.home, other)
    crowd.talk(20)
    crowd.world.run(3.0)
    crowd.talk(10)
    frozen.is_frozen = False
    crowd.talk(20)
    crowd.world.settle()
    crowd.check(taken=False)


def test_a_gateway_that_stood_still_for_longer_than_the_idle_time_out_keeps_its_members() -> None:
    world = World(1, settings=Settings(idle_timeout_s=20.0))
    frozen, other = world.start_gateway(), world.start_gateway()
    # The host too: with it the room would go.
    host, silent, guest = (world.enter_now(where, "den") for where in (frozen, frozen, other))
    world.run(1.0)
    frozen.is_frozen = True
    for number in range(20):
        guest.send(other, f"text {number}")
        host.send(frozen)
        world.run(3.0)
    frozen.is_frozen = False
    host.send(frozen, "still here")
    world.run(5.0)
    texts = [entry.text for entry in world.broker.log(host.member.room) if entry.kind == EntryKind.SAID]
    assert texts == [*(f"text {number}" for number in range(20)), "still here"]
    for client in (host, guest):
        assert client.offsets() == world.expected(client)
        assert client.notices() == []
    world.run(20.0)
    assert silent.notices() == ["timeout"]


@examples(10)
@given(seed=SEEDS)
def test_a_member_whose_address_comes_late_hears_what_waits_for_it(seed: int) -> None:
    crowd = Crowd(seed)
    crowd.world.weather = WEATHERS["news dropped"]
    late = crowd.world.enter_now(crowd.nodes[0], ROOMS[0], register=False)
    crowd.talk(30)
    assert late.heard == []
    late.send(crowd.nodes[0])
    crowd.home[late] = crowd.nodes[0]
    crowd.talk(30)
    crowd.world.settle()
    crowd.check()


def test_a_new_member_hears_the_last_words_of_before_also_if_they_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "REPLAY_SIZE", 80)
    world = World(1, settings=Settings(history=4))
    node = world.start_gateway()
    host = world.enter_now(node, "den")
    for number in range(20):
        host.send(node, f"{number:09}")
        world.run(0.02)
    late = world.enter(node, "den")
    world.run_until(lambda: late.is_ready)
    late.send(node)
    host.send(node, "next")
    world.settle()
    said = [told.offset for told in world.broker.log(host.member.room) if told.kind == EntryKind.SAID]
    assert late.offsets() == said[-5:]


@pytest.mark.parametrize("weather", ["slow", "news dropped", "everything"])
@examples(6)
@given(seed=SEEDS, size=st.integers(0, 5), register=st.booleans())
def test_a_new_member_hears_the_last_words_of_before_once_and_first(
    weather: str, seed: int, size: int, register: bool
) -> None:
    world = World(seed, settings=Settings(history=size))
    node = world.start_gateway()
    host = world.enter_now(node, "den")
    world.weather = WEATHERS[weather]
    for number in range(6):
        host.send(node, f"text {number}")
        world.run(0.02)
    world.run(2.0)
    late = world.enter(node, "den")
    world.run_until(lambda: late.is_ready or late.refused)
    if late.refused:
        return
    for number in range(6, 12):
        if register or number == 10:
            late.send(node)
        host.send(node, f"text {number}")
        world.run(0.05)
    world.settle()
    said = [told.offset for told in world.broker.log(host.member.room) if told.kind == EntryKind.SAID]
    before = [offset for offset in said if offset < late.member.offset]
    assert late.offsets() == before[len(before) - size :] + [offset for offset in said if offset > late.member.offset]


@pytest.mark.parametrize("weather", ["slow", "news dropped", "everything"])
@examples(6)
@given(
    seed=SEEDS,
    at=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    first_is_killed=st.booleans(),
    broker_restarts=st.booleans(),
)
def test_history_goes_with_the_session_and_is_heard_once(
    weather: str, seed: int, at: list[int], first_is_killed: bool, broker_restarts: bool
) -> None:
    world = World(seed, settings=Settings(history=4))
    nodes = [world.start_gateway(f"g{number}") for number in range(3)]
    host = world.enter_now(nodes[0], "den")
    for number in range(6):
        host.send(nodes[0], f"text {number}")
        world.run(0.02)
    world.run(1.0)
    late = world.enter(nodes[1], "den")
    world.run_until(lambda: late.is_ready or late.refused)
    world.run(0.5)
    if first_is_killed:
        world.kill(nodes[1])
        nodes[1] = nodes[2]
    if broker_restarts:
        world.restart_broker()
    world.weather = WEATHERS[weather]
    for where in at:
        late.send(nodes[where])
        world.run(0.1)
    world.weather = Weather()
    world.run(4.0)
    late.send(nodes[at[-1]])
    world.settle()
    said = [told.offset for told in world.broker.log(host.member.room) if told.kind == EntryKind.SAID]
    assert late.offsets() == said[-4:]


@examples(6)
@given(seed=SEEDS, size=st.integers(1, 12))
def test_a_log_that_was_trimmed_is_a_gap_that_is_counted(seed: int, size: int) -> None:
    world = World(seed, limits=Limits(log_entries=size))
    node = world.start_gateway()
    host, guest = world.enter_now(node, "den"), world.enter_now(node, "den")
    world.run(1.0)
    node.is_frozen = True
    other = world.start_gateway()
    for number in range(30):
        host.send(other, f"text {number}")
        world.run(0.1)
    world.broker.core.trimmed(world.broker.store.trim(size, 0))
    first = world.broker.log(guest.member.room)[0].offset
    guest.send(other)
    world.run(3.0)
    # The log has no more than that; whoever comes to it later is told so by a number, not by silence.
    expected = [offset for offset in world.expected(guest) if offset >= first]
    assert guest.offsets() == expected
    assert other.gateway.counters.lost_entries > 0


def test_the_hosts_last_words_are_heard_before_the_room_closes() -> None:
    world = World(1)
    node, other = world.start_gateway(), world.start_gateway()
    host, guest, far = (world.enter_now(where, "den") for where in (node, node, other))
    world.run(1.0)
    host.send(node, "bye all")
    host.send(node, "/leave")
    world.run(1.0)
    for client in (guest, far):
        assert client.heard[0].startswith(b'{"n":')
        assert client.notices() == ["closed"]
        assert len(client.heard) == 2
    assert world.broker.core.directory.rooms == {}
    assert node.gateway.members.rooms == {}
    assert node.gateway.outbound.topics == []


def test_silent_members_are_timed_out_and_told() -> None:
    world = World(1, settings=Settings(idle_timeout_s=3.0))
    node = world.start_gateway()
    host, guest = world.enter_now(node, "den"), world.enter_now(node, "den")
    for _ in range(10):
        world.run(0.5)
        host.send(node)
    assert guest.notices() == ["timeout"]
    assert host.heard == []
    world.run(5.0)
    assert host.notices() == ["closed"]
    assert world.broker.core.directory.members == {}


def test_members_of_a_dead_gateway_are_timed_out_by_the_broker() -> None:
    world = World(1, settings=Settings(idle_timeout_s=3.0))
    node, other = world.start_gateway(), world.start_gateway()
    host, guest, far = (world.enter_now(where, "den") for where in (node, node, other))
    world.kill(node)
    for _ in range(12):
        world.run(0.5)
        far.send(other)
    assert far.notices() == ["closed"]
    assert (host.heard, guest.heard) == ([], [])
    assert world.broker.core.directory.members == {}


@examples(6)
@given(seed=SEEDS)
def test_requests_whose_answers_are_lost_leave_nobody_behind(seed: int) -> None:
    world = World(seed)
    node = world.start_gateway()
    world.weather = Weather(delay_s=0.05, breaks=2.0)
    clients = []
    for number in range(10):
        clients.append(world.enter(node, f"room {number}"))
        world.run(0.2)
    world.settle()
    entered = {client.member.member for client in clients if client.granted is not None}
    # Members of rooms that are closed stay known for a minute, for gateways that could not tell them.
    members = world.broker.core.directory.members.values()
    assert {member.id for member in members if not member.room.closed_ms} == entered
