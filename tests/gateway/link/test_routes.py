"""gateway/link/routes.py: links and brokers, without sockets; the brokers are as `Cluster` frames describe them."""

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.link.brokers import SEEDS_AGAIN_S
from gateway.link.canary import CANARY_S
from gateway.link.reachability import name_shards, unhealthy_reason
from gateway.link.routes import Routes, unpack_untrusted
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Answer,
    Cluster,
    GetTime,
    Hello,
    Item,
    Measured,
    Publish,
    Request,
    ServerTime,
    Upward,
    Welcome,
)
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.errors import MalformedMessage

A, B, SEED = "tcp://10.0.0.1:9003", "tcp://10.0.0.2:9003", "tcp://brokers:9003"
HELLO = Hello(backbone.VERSION)
SHARDS = 4
CAPACITY = 20


def said(text: str) -> Item:
    return Item(EntryKind.SAID, 1, 2, text, 0)


@dataclass
class Shard:
    """What the store has of a shard, and what its owner has said."""

    term: int = 0
    owner: str | None = None
    accepted: int = 0
    texts: list[str] = field(default_factory=list)


class Gateway:
    """Routes, a clock, and brokers that own shards as the test says."""

    def __init__(self, seeds: tuple[str, ...] = (A,), shards: int = SHARDS) -> None:
        self.routes = Routes(seeds, CAPACITY, 3.0, Counters())
        self.now = 50.0
        self.shards = [Shard() for _ in range(shards)]
        self.lost: set[str] = set()
        """Brokers that hear nothing and say nothing."""
        self.misled: list[tuple[str, int]] = []
        """(broker, shard) of frames for shards that the broker did not own."""

    def cluster(self, by: str = A, *, brokers: tuple[str, ...] = (A, B)) -> Cluster:
        owners = [(each.term, 0 if each.owner is None else brokers.index(each.owner) + 1) for each in self.shards]
        return Cluster(list(brokers), brokers.index(by) + 1, owners)

    def tell(self, by: str = A, at: str = "") -> None:
        self.routes.take_cluster(at or by, self.cluster(by), self.now)

    def own(self, owner: str | None, *shards: int) -> None:
        for shard in shards:
            self.shards[shard].term += owner is not None
            self.shards[shard].owner = owner

    def frames(self) -> dict[str, list[tuple[int | None, Upward]]]:
        return {
            endpoint: [
                (shard, backbone.parse_upward_untrusted(part))
                for frame in frames
                for shard, part in unpack_untrusted(frame)
            ]
            for endpoint, frames in self.routes.frames(self.now)
        }

    def run(self) -> None:
        """Carry frames to and fro until none is left."""
        while frames := self.frames():
            for endpoint, parts in frames.items():
                if endpoint not in self.lost:
                    for shard, message in parts:
                        self.at_broker(endpoint, shard, message)

    def at_broker(self, endpoint: str, number: int | None, message: Upward) -> None:
        if number is None:
            self.answer(endpoint, None, self.cluster(endpoint))
            return
        shard = self.shards[number]
        if shard.owner != endpoint:
            self.misled.append((endpoint, number))
            self.answer(endpoint, None, self.cluster(endpoint))
            return
        match message:
            case Hello():
                is_new = shard.accepted == 0
                self.answer(endpoint, number, Welcome(self.core(number), shard.accepted, is_new, shard.term))
            case Publish(first, items):
                # After a gap all are dropped, as by the broker: frames on a lost connection may be missing.
                fresh = items[shard.accepted + 1 - first :] if first <= shard.accepted + 1 else []
                shard.texts += [item.text for item in fresh]
                shard.accepted += len(fresh)
                self.answer(endpoint, number, backbone.Accepted(shard.accepted))
            case backbone.Canary(canary):
                self.routes.handle_canary(number, self.core(number), canary, self.now)
            case Request(request, GetTime()):
                self.answer(endpoint, number, backbone.Reply(request, ServerTime(number)))

    def core(self, shard: int) -> str:
        return f"{shard}/{self.shards[shard].term}"

    def answer(self, endpoint: str, shard: int | None, message: backbone.Downward) -> None:
        frame = backbone.encode(message)
        carrier = frame if shard is None else backbone.for_shard(shard, frame)
        list(self.routes.receive_untrusted(endpoint, carrier, self.now))

    def connected(self) -> list[str]:
        return list(self.routes.brokers.connected)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(self.now + CANARY_S, until)
            self.routes.tick(self.now)
            self.run()


@pytest.fixture
def gateway() -> Gateway:
    """Two brokers that own two shards each."""
    gateway = Gateway()
    gateway.own(A, 0, 1)
    gateway.own(B, 2, 3)
    gateway.routes.tick(gateway.now)
    gateway.run()
    gateway.wait(CANARY_S)
    return gateway


def test_a_broker_with_one_shard_gets_frames_without_a_prefix() -> None:
    routes = Routes([A], CAPACITY, 3.0, Counters())
    routes.tick(0.0)
    assert list(routes.frames(0.0)) == [(A, [backbone.encode(HELLO)])]
    welcome = Welcome("broker", 0, True, 0)
    assert list(routes.receive_untrusted(A, backbone.encode(welcome), 0.0)) == [(0, welcome)]
    assert routes.publish(0, said("a"))
    assert list(routes.frames(0.0)) == [(A, [backbone.encode(Publish(1, [said("a")]))])]
    assert routes.shard_named("部屋") == 0


def test_of_several_seeds_the_first_that_welcomes_is_the_broker() -> None:
    routes = Routes([A, B], CAPACITY, 3.0, Counters())
    routes.tick(0.0)
    hello = [backbone.encode(HELLO)]
    assert list(routes.frames(0.0)) == [(A, hello), (B, hello)]
    welcome = backbone.encode(Welcome("broker", 0, True, 0))
    assert len(list(routes.receive_untrusted(B, welcome, 0.0))) == 1
    # The other one has a store of its own.
    assert list(routes.receive_untrusted(A, welcome, 0.0)) == []
    assert routes.brokers.unused == A
    routes.publish(0, said("a"))
    assert [endpoint for endpoint, _ in routes.frames(0.0)] == [B]


def test_brokers_that_share_a_store_get_the_frames_of_their_shards(gateway: Gateway) -> None:
    for shard in range(SHARDS):
        gateway.routes.publish(shard, said(f"to {shard}"))
    frames = gateway.frames()
    assert {endpoint: [shard for shard, _ in parts] for endpoint, parts in frames.items()} == {A: [0, 1], B: [2, 3]}
    assert unhealthy_reason(gateway.routes, gateway.now) == ""
    assert gateway.misled == []


def test_each_broker_gets_a_report_once(gateway: Gateway) -> None:
    report = Measured(1, 2, 0, [], [], 0)
    gateway.routes.report(report)
    frames = gateway.frames()
    assert {endpoint: [message for _, message in parts] for endpoint, parts in frames.items()} == {
        A: [report],
        B: [report],
    }
    gateway.own(None, 0, 1)
    gateway.tell()
    gateway.routes.report(report)
    assert report in [message for _, message in gateway.frames()[B]]


def test_a_name_leads_to_its_shard(gateway: Gateway) -> None:
    routes = gateway.routes
    assert routes.shard_named(" 部屋 ") == backbone.shard_named("部屋", SHARDS)
    assert routes.shard_named("\x00") is None


def test_a_shard_that_moves_loses_its_lease_and_no_item(gateway: Gateway) -> None:
    routes = gateway.routes
    gateway.lost.add(B)
    routes.publish(2, said("before"))
    gateway.run()
    assert routes.links[2].canary.has_lease(gateway.now)
    gateway.own(A, 2)
    gateway.tell()
    assert not routes.links[2].canary.has_lease(gateway.now)
    assert routes.links[3].canary.has_lease(gateway.now)
    routes.publish(2, said("after"))
    gateway.run()
    assert gateway.shards[2].texts == ["before", "after"]
    assert routes.links[2].canary.has_lease(gateway.now)


def test_a_shard_without_an_owner_waits(gateway: Gateway) -> None:
    gateway.own(None, 0)
    gateway.tell()
    assert not gateway.routes.is_alive(0, gateway.now)
    assert gateway.routes.publish(0, said("a"))
    answers: list[Answer | None] = []
    gateway.routes.ask_at_once(0, GetTime(), gateway.now, lambda answer, _: answers.append(answer))
    assert answers == [None]
    gateway.routes.ask(0, GetTime(), gateway.now, lambda answer, _: answers.append(answer))
    gateway.wait(2.9)
    assert answers == [None]
    gateway.wait(0.2)
    assert answers == [None, None]
    assert unhealthy_reason(gateway.routes, gateway.now) == "no broker owns shard 0"
    gateway.routes.ask(0, GetTime(), gateway.now, lambda answer, _: answers.append(answer))
    gateway.own(B, 0)
    gateway.tell(B)
    gateway.run()
    assert gateway.shards[0].texts == ["a"]
    assert answers[2:] == [ServerTime(0)]


def test_one_broker_that_answers_no_more_is_named(gateway: Gateway) -> None:
    gateway.lost.add(B)
    gateway.wait(2.5)
    assert unhealthy_reason(gateway.routes, gateway.now) == (
        f"nothing came back from the broker for 2.5 s at {B} for shards 2-3"
    )


@pytest.mark.parametrize(
    ("shards", "words"), [([3], "shard 3"), ([0, 1, 2, 5], "shards 0-2, 5"), (list(range(0, 40, 2)), "20 shards")]
)
def test_shards_are_named_in_ranges(shards: list[int], words: str) -> None:
    assert name_shards(shards) == words


def test_what_a_former_owner_says_counts_for_nothing(gateway: Gateway) -> None:
    routes = gateway.routes
    routes.tick(gateway.now)
    ((_, canary),) = [part for part in gateway.frames()[B] if part[0] == 2]
    assert isinstance(canary, backbone.Canary)
    former = gateway.core(2)
    gateway.own(A, 2)
    gateway.tell()
    assert routes.handle_canary(2, former, canary.number, gateway.now)
    assert not routes.links[2].canary.has_lease(gateway.now)
    gateway.answer(B, 2, Welcome(former, 7, False, 0))
    assert not routes.is_alive(2, gateway.now)
    gateway.run()
    assert routes.publish(2, said("not there"))
    gateway.answer(B, 2, backbone.Accepted(1))
    gateway.run()
    assert gateway.shards[2].texts == ["not there"]
    # Nor if it knew a canary that was sent to the new owner.
    routes.tick(gateway.now)
    (fresh,) = [message for number, message in gateway.frames()[A] if number == 2]
    assert isinstance(fresh, backbone.Canary)
    back_at = routes.links[2].canary.back_at
    assert routes.handle_canary(2, former, fresh.number, gateway.now + 1.0)
    assert routes.links[2].canary.back_at == back_at
    assert routes.handle_canary(2, gateway.core(2), fresh.number, gateway.now + 1.0)
    assert routes.links[2].canary.back_at == gateway.now + 1.0


def test_a_welcome_of_an_earlier_term_of_the_same_broker_counts_for_nothing(gateway: Gateway) -> None:
    late = Welcome(gateway.core(0), 0, True, gateway.shards[0].term)
    gateway.own(B, 0)
    gateway.tell(B)
    assert gateway.routes.publish(0, said("at B"))
    gateway.run()
    gateway.own(A, 0)
    gateway.tell(B)
    assert gateway.routes.publish(0, said("at A again"))
    gateway.answer(A, 0, late)
    gateway.run()
    assert gateway.shards[0].texts == ["at B", "at A again"]


def test_shards_without_an_owner_leave_room_for_the_others(gateway: Gateway) -> None:
    gateway.own(None, 0, 1)
    gateway.tell()
    routes = gateway.routes
    assert [routes.publish(number % 2, said("a")) for number in range(12)] == [True] * 10 + [False] * 2
    gateway.lost.add(B)
    assert [routes.publish(2, said("b")) for _ in range(12)] == [True] * 10 + [False] * 2
    # What members do is kept all the same; their number bounds it.
    assert routes.publish(0, Item(EntryKind.LEFT, 1, 2, "", 0))
    assert routes.unaccepted == CAPACITY + 1


def test_all_shards_are_asked_and_answer_once(gateway: Gateway) -> None:
    gateway.own(None, 1)
    gateway.tell()
    found: list[list[Answer | None]] = []
    gateway.routes.ask_all(GetTime(), gateway.now, lambda answers, _: found.append(answers))
    gateway.run()
    assert found == [[ServerTime(0), None, ServerTime(2), ServerTime(3)]]


def test_listed_brokers_take_the_place_of_the_seeds() -> None:
    gateway = Gateway((SEED, B))
    gateway.own(A, 0, 1, 2, 3)
    assert gateway.connected() == [SEED, B]
    gateway.tell(A, at=SEED)
    assert gateway.connected() == [A, B]
    gateway.now += SEEDS_AGAIN_S + 0.1
    gateway.routes.tick(gateway.now)
    assert gateway.connected() == [A, B, SEED]
    assert (None, HELLO) in gateway.frames()[SEED]
    gateway.tell(A, at=SEED)
    assert gateway.connected() == [A, B]


def test_a_store_that_moves_to_several_brokers_takes_what_waits_along() -> None:
    gateway = Gateway()
    gateway.own(A, 0, 1)
    gateway.own(B, 2, 3)
    routes = gateway.routes
    taken: list[Item] = []
    routes.on_split = taken.extend
    routes.tick(gateway.now)
    list(routes.receive_untrusted(A, backbone.encode(Welcome("one", 0, True, 0)), gateway.now))
    routes.publish(0, said("a"))
    answers: list[Answer | None] = []
    routes.ask(0, GetTime(), gateway.now, lambda answer, _: answers.append(answer))
    gateway.tell()
    assert taken == [said("a")]
    assert answers == [None]
    assert len(routes.links) == SHARDS
    # What an earlier run of this gateway would have sent has nothing to do with what waits now.
    gateway.shards[0].accepted = 5
    routes.publish(0, said("b"))
    gateway.run()
    assert gateway.shards[0].texts == ["b"]


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_no_bytes_raise_anything_else(frames: list[bytes]) -> None:
    gateway = Gateway()
    gateway.own(A, 0, 1, 2, 3)
    gateway.tell()
    for frame in frames:
        for carrier in (frame, backbone.for_shard(0, frame), backbone.PACKED + frame):
            try:
                list(gateway.routes.receive_untrusted(A, carrier, gateway.now))
            except MalformedMessage:
                continue


@st.composite
def faults(draw: st.DrawFn) -> list[tuple[str, int, str]]:
    """(what happens, to which shard, with which broker)"""
    deed = st.sampled_from(["say", "say", "move", "free", "tell", "tell late", "lose", "wait"])
    step = st.tuples(deed, st.integers(0, SHARDS - 1), st.sampled_from([A, B]))
    return draw(st.lists(step, max_size=40))


@example([("say", 0, A), ("lose", 0, B), ("say", 2, A), ("lose", 0, B), ("say", 2, A)])
@given(faults())
def test_whatever_happens_each_item_is_taken_once_and_in_order(steps: list[tuple[str, int, str]]) -> None:
    gateway = Gateway((A, B))
    gateway.own(A, 0, 1)
    gateway.own(B, 2, 3)
    late = [gateway.cluster(A), gateway.cluster(B)]
    gateway.tell()
    sent: list[list[str]] = [[] for _ in range(SHARDS)]
    for number, (deed, shard, broker) in enumerate(steps):
        match deed:
            case "say":
                if gateway.routes.publish(shard, said(str(number))):
                    sent[shard].append(str(number))
            case "move":
                gateway.own(broker, shard)
                late.append(gateway.cluster(broker))
            case "free":
                gateway.own(None, shard)
            case "tell":
                gateway.tell(broker)
            case "tell late":
                gateway.routes.take_cluster(broker, late[number % len(late)], gateway.now)
            case "lose":
                gateway.lost ^= {broker}
            case "wait":
                gateway.wait(CANARY_S)
        owners = gateway.routes.owners
        assert owners is not None
        assert all(owners.term(each) <= gateway.shards[each].term for each in range(SHARDS))
        gateway.run()
    gateway.lost.clear()
    for shard, each in enumerate(gateway.shards):
        if each.owner is None:
            gateway.own(A, shard)
    gateway.tell(A)
    gateway.tell(B)
    gateway.wait(5.0)
    assert [each.texts for each in gateway.shards] == sent
    assert unhealthy_reason(gateway.routes, gateway.now) == ""


def test_another_connection_to_a_broker_puts_what_it_gave_in_doubt_and_nothing_of_others() -> None:
    gateway = Gateway((A, B))
    gateway.own(A, 0, 2)
    gateway.own(B, 1, 3)
    gateway.tell()
    gateway.routes.reconnected(B)
    assert [link.requests.in_doubt for link in gateway.routes.links] == [False, True, False, True]
