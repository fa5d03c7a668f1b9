"""Gateways that know more, or less, than the broker: what is said then is heard, and members that are out are told."""

import json
import random
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from broker.store.interface import Batch
from broker.store.memory import MemoryStore
from gateway.settings import Settings
from tests.support.fakes import FakeClient, Node, Weather, World
from tests.support.properties import examples
from tsudoi.protocol.codes import LeaveReason


def copy_of(store: MemoryStore, *, new_epochs: bool) -> MemoryStore:
    """Return what a broker opens that is given a copy; it may not notice that it is one."""
    state = store.load()
    chunks = [chunk for room in state.rooms for chunk in store.read(room.id, 0, 2**31)]
    rooms = {room.id: room for room in state.rooms}
    if new_epochs:
        rooms = {
            number: replace(room, epoch=room.epoch + 1_000, epoch_after=state.ends.get(number, (1, 0))[1])
            for number, room in rooms.items()
        }
    copy = MemoryStore()
    members = {member.id: member for member in state.members}
    copy.commit(Batch(rooms, dict(members), chunks, state.accepted, state.delivered))
    return copy


class Restore:
    """Members in two rooms at two gateways, whose broker is given an earlier store."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World(seed, settings=Settings(idle_timeout_s=1_000.0))
        self.nodes = [self.world.start_gateway(name) for name in ("g", "h")]
        self.home: dict[FakeClient, Node] = {}
        self.texts = 0
        for number in range(6):
            self.enter(("den", "attic")[number % 2])

    def enter(self, room: str) -> FakeClient:
        node = self.dice.choice(self.nodes)
        client = self.world.enter_now(node, room)
        self.home[client] = node
        return client

    def talk(self, times: int) -> None:
        for _ in range(times):
            client = self.dice.choice(list(self.home))
            self.texts += 1
            client.send(self.home[client], f"text {self.texts}")
            self.world.run(self.dice.choice((0, 0.01, 0.05, 0.2)))

    def heard_since(self, client: FakeClient, count: int) -> list[str]:
        told = [json.loads(payload) for payload in client.heard[count:]]
        return [fields["text"] for fields in told if "from" in fields]

    def said_since(self, client: FakeClient, last: int) -> list[str]:
        log = self.world.broker.log(client.member.room)
        return [
            entry.text
            for entry in log
            if entry.offset > last and entry.kind == 1 and entry.member != client.member.member
        ]


@examples(15)
@given(seed=st.integers(0, 2**32), new_epochs=st.booleans(), pause_s=st.sampled_from((0.0, 0.3, 5.0)))
@example(seed=1563, new_epochs=False, pause_s=0.0)
def test_what_is_accepted_after_a_restore_is_heard_once_and_lost_members_are_told(
    seed: int, new_epochs: bool, pause_s: float
) -> None:
    here = Restore(seed)
    world, dice = here.world, here.dice
    here.talk(dice.randrange(20))
    world.run(1.0)
    assert isinstance(world.broker.store, MemoryStore)
    backup = copy_of(world.broker.store, new_epochs=new_epochs)
    ends = {room: last for room, (_, last) in backup.load().ends.items()}
    lost = [here.enter("den") for _ in range(dice.randrange(3))]
    here.talk(dice.randrange(60))
    world.run(1.0)
    heard = {client: len(client.heard) for client in here.home}
    world.stop_broker()
    if dice.random() < 0.5:
        here.talk(dice.randrange(10))  # the gateways keep it, and publish it at once
    world.run(pause_s)
    world.broker.store = backup
    world.weather = Weather(delay_s=dice.choice((0.0, 0.1)))
    world.restart_broker()
    here.talk(dice.randrange(60))
    world.settle()
    for client in here.home:
        if client in lost:
            assert client.notices()[-1:] == ["timeout"]
        else:
            assert here.heard_since(client, heard[client]) == here.said_since(client, ends[client.member.room])
            assert client.notices() == []
    rest = {client: len(client.heard) for client in lost}
    here.talk(10)
    world.settle()
    for client in lost:
        assert here.heard_since(client, rest[client]) == []
        assert set(client.notices()[-1:]) == {"timeout"}


@examples(15)
@given(seed=st.integers(0, 2**32), kept=st.sampled_from((1, 5, 1_000)))
def test_a_member_that_was_removed_while_its_gateway_was_away_is_told_and_hears_nothing_more(
    seed: int, kept: int
) -> None:
    """However much of the log is left when the gateway is back."""
    here = Restore(seed)
    world, dice = here.world, here.dice
    world.run(1.0)
    frozen = here.nodes[1]
    here.home[world.enter_now(here.nodes[0], "den")] = here.nodes[0]
    out, stays = world.enter_now(frozen, "den"), world.enter_now(frozen, "den")
    world.run(1.0)
    host = next(client for client in here.home if client.member.room == out.member.room and client.member.is_host)
    here.home[host] = here.nodes[0]
    host.send(here.nodes[0])
    world.run(1.0)
    frozen.is_frozen = True
    directory = world.broker.core.directory
    reason = dice.choice((LeaveReason.KICKED, LeaveReason.BANNED))
    directory.leave(directory.members[out.member.member], reason, world.broker.moment.wall_ms)
    for number in range(dice.randrange(3, 30)):
        host.send(here.nodes[0], f"meanwhile {number}")
        world.run(0.02)
    world.run(dice.choice((0.5, 4.0)))
    if dice.random() < 0.8:
        # Its news were dropped, too: they were more than the broker keeps for it.
        frozen.news.frames.clear()
    world.broker.core.trimmed(world.broker.store.trim(kept, 0))
    frozen.is_frozen = False
    world.settle()
    assert out.notices()[-1] in ("kicked", "timeout")
    count = len(out.heard)
    host.send(here.nodes[0], "private")
    world.settle()
    assert (len(out.heard), here.heard_since(stays, 0)[-1]) == (count, "private")
