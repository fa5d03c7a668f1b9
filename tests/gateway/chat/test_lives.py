"""Gateways and a broker through whole lives: members come, talk, move and leave; gateways freeze, die and come back."""

import random
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.listeners import sockaddr
from gateway.settings import Settings
from tests.support.fakes import FakeClient, FakeGateway, Node, Weather, World
from tests.support.properties import examples
from tsudoi.protocol.backbone import Request, Resume, encode, new_instance
from tsudoi.protocol.names import hash_token

ROOMS = ("den", "attic", "部屋")
ACTIONS = 60
SETTINGS = Settings(idle_timeout_s=1_000.0, move_after_s=1_000.0)
"""Nobody is timed out here: who is gone at the end has left, or its room was closed. Nor may anybody be elsewhere."""
THIEF = sockaddr.pack("198.51.100.7", 666)


class Life:
    """Some clients over two gateways of one name, and a dice that chooses their actions and injects faults."""

    def __init__(self, seed: int, faults: str) -> None:
        self.world = World(seed, settings=SETTINGS)
        self.dice = random.Random(seed)
        self.home: dict[FakeClient, Node] = {}
        self.left: set[FakeClient] = set()
        self.texts = 0
        for _ in range(2):
            self.world.start_gateway("g")
        injected: dict[str, Callable[[], None]] = {"freeze": self.freeze, "kill": self.kill, "steal": self.steal}
        self.actions = [self.enter, *[self.say] * 4, *[self.move] * 2, self.leave, self.register]
        self.actions += [injected[fault] for fault in faults.split()]

    @property
    def alive(self) -> list[Node]:
        return [node for node in self.world.nodes if not node.is_dead]

    @property
    def inside(self) -> list[FakeClient]:
        return [client for client in self.home if client.granted is not None and client not in self.left]

    def live(self, weather: Weather) -> None:
        """Let the dice decide for a while, then let the weather become fine and everybody be heard once more."""
        world = self.world
        world.weather = weather
        for _ in range(ACTIONS):
            self.dice.choice(self.actions)()
            world.run(self.dice.choice((0, 0.02, 0.1, 0.5, 1.0)))
        for node in world.nodes:
            node.is_frozen = False
        world.weather = Weather()
        world.run(8.0)
        for _ in range(2):
            for client in self.inside:
                client.send(self.home[client])
            world.settle()

    # --- what may happen ------------------------------------------------------------------------------------------

    def enter(self) -> None:
        if len(self.home) < 9:
            node = self.dice.choice(self.alive)
            self.home[self.world.enter(node, self.dice.choice(ROOMS))] = node

    def say(self) -> None:
        if self.inside:
            client = self.dice.choice(self.inside)
            self.texts += 1
            client.send(self.home[client], f"text {self.texts}")

    def register(self) -> None:
        if self.inside:
            client = self.dice.choice(self.inside)
            client.send(self.home[client])

    def move(self) -> None:
        if self.inside:
            client = self.dice.choice(self.inside)
            self.home[client] = self.dice.choice(self.alive)
            client.send(self.home[client])

    def leave(self) -> None:
        if self.inside and self.dice.random() < 0.5:
            client = self.dice.choice(self.inside)
            client.send(self.home[client], "/leave")
            self.left.add(client)

    def freeze(self) -> None:
        node = self.dice.choice(self.alive)
        node.is_frozen = self.dice.random() < 0.3 and not node.is_frozen

    def kill(self) -> None:
        if self.dice.random() < 0.3:
            node = self.dice.choice(self.alive)
            self.world.kill(node)
            instance = new_instance("g", f"{len(self.world.nodes) + 1:016x}")
            self.world.add(Node(FakeGateway(instance, SETTINGS)))
            self.home = {
                client: self.dice.choice(self.alive) if home is node else home for client, home in self.home.items()
            }

    def steal(self) -> None:
        """Show a member's token from another host."""
        if self.inside:
            client, node = self.dice.choice(self.inside), self.dice.choice(self.alive)
            for _ in range(self.dice.choice((1, 1, 5))):
                client.send(node, self.dice.choice(("", "stolen", "/leave")), THIEF)

    # --- what must be ---------------------------------------------------------------------------------------------

    def check_what_was_heard(self, *, repeats: bool) -> None:
        """Members of open rooms were sent everything; members of closed rooms that too, and the closing.

        `repeats`: entries and notices may have been sent more than once.
        """
        directory = self.world.broker.core.directory
        for client in self.home:
            if client.granted is None:
                continue
            heard, expected = client.offsets(), self.world.expected(client)
            once = list(dict.fromkeys(heard))
            assert once == heard or repeats
            notices = client.notices()
            assert len(set(notices)) == len(notices) or repeats
            if client in self.left:
                assert once == expected[: len(once)]
                assert set(notices) <= {"closed"}
            else:
                assert once == expected
                assert set(notices) == (set() if client.member.room in directory.rooms else {"closed"})

    def check_ownership(self) -> None:
        """Each member is served by the one gateway that the directory says, and by no other."""
        directory = self.world.broker.core.directory
        # Of closed rooms, only members without a known address are kept: they could not be told.
        assert all(not member.address for room in directory.closed.values() for member in room.members.values())
        entered = {client.member.member for client in self.home if client.granted is not None}
        for node in self.alive:
            served = {member for room in node.gateway.members.rooms.values() for member in room.members}
            known = {member.id for member in directory.served_by(node.gateway.instance)}
            assert served == {member for member in known if not directory.members[member].room.closed_ms}
            assert served <= entered


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(Weather(), id="fine"),
        pytest.param(Weather(delay_s=0.2), id="slow"),
        pytest.param(Weather(delay_s=0.05, dropped_news=0.2), id="news dropped"),
    ],
)
@examples(5)
@given(seed=st.integers(0, 2**32))
def test_members_come_and_go(weather: Weather, seed: int) -> None:
    life = Life(seed, "")
    life.live(weather)
    life.check_what_was_heard(repeats=False)
    life.check_ownership()


@examples(8)
@given(seed=st.integers(0, 2**32))
@example(8375)
def test_members_come_and_go_while_connections_break(seed: int) -> None:
    life = Life(seed, "")
    life.live(Weather(delay_s=0.05, dropped_news=0.05, breaks=0.3))
    life.check_what_was_heard(repeats=True)
    life.check_ownership()


@examples(8)
@given(seed=st.integers(0, 2**32))
@example(54320)
def test_members_come_and_go_while_gateways_freeze(seed: int) -> None:
    life = Life(seed, "freeze")
    life.live(Weather(delay_s=0.02))
    life.check_what_was_heard(repeats=True)
    life.check_ownership()


@example(920)  # the gateway gets a member without an address, after its datagram was given up
@example(539)  # a host leaves by a grant that is older than its next gateway
@example(22071722)
@examples(8)
@given(seed=st.integers(0, 2**32))
def test_members_come_and_go_while_gateways_die(seed: int) -> None:
    life = Life(seed, "kill freeze")
    life.live(Weather(delay_s=0.02, restarts=0.02))
    life.check_what_was_heard(repeats=True)
    life.check_ownership()


@examples(8)
@given(seed=st.integers(0, 2**32))
def test_members_come_and_go_while_a_thief_has_their_tokens(seed: int) -> None:
    life = Life(seed, "steal steal steal kill freeze")
    thief = life.world.clients[THIEF] = FakeClient(life.world, 0, "tsudoi")
    life.live(Weather(delay_s=0.05, restarts=0.01))
    assert thief.heard == []
    life.check_what_was_heard(repeats=True)
    life.check_ownership()
    logs = [life.world.broker.log(room) for room in life.world.broker.core.directory.rooms]
    assert all(entry.text != "stolen" for log in logs for entry in log)


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
@examples(4)
@given(seed=st.integers(0, 2**32))
@example(seed=147)  # the gateway that was cut off reconciles between the handover's beginning and its end
def test_a_member_that_comes_back_to_a_gateway_that_was_cut_off_hears_nothing_twice(lost: bool, seed: int) -> None:
    """Its twin has it meanwhile; a question that was held up by the cut then brings it back, whatever its answer."""
    world = World(seed, Weather(delay_s=0.02), SETTINGS)
    cut, twin = world.start_gateway("g"), world.start_gateway("g")
    talker, listener = world.enter_now(twin, "den"), world.enter_now(cut, "den")
    world.run(1.0)

    def owner() -> str:
        return world.broker.core.directory.members[listener.member.member].gateway

    def talk(seconds: float) -> None:
        until = world.now + seconds
        while world.now < until:
            talker.send(twin, "text")
            world.run(0.1)

    talk(0.5)
    world.run(0.5)
    cut.cut_until = world.now + world.dice.uniform(2.5, 4.5)
    question = Request(999, Resume(hash_token(listener.token)))
    world._put(cut.up, encode(question))
    talk(cut.cut_until - world.now - 0.2)
    assert owner() == twin.gateway.instance
    world.run_until(lambda: owner() == cut.gateway.instance)
    if lost:
        world.break_commands(cut)
    talk(2.0)
    world.settle()
    assert listener.offsets() == world.expected(listener)
