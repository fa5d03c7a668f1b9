"""gateway/link/broker_pool.py, with the XPUB sockets of brokers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from gateway.counters import Counters
from gateway.link.broker_pool import BrokerPool
from gateway.link.owners import LISTED_S
from gateway.link.routes import Routes
from tests.support.waiting import until
from tsudoi.protocol.backbone import CLUSTER_TOPIC, Cluster, own_topic, publish_endpoint, room_topic

ROOMS = {0: [10, 20], 1: [11]}
"""Rooms by shard."""
FAR = "tcp://192.0.2.1:9003"


class Broker:
    """The news socket of a broker, which shows what a gateway is subscribed to."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> None:
        self.endpoint = endpoint
        self.commands = context.socket(zmq.ROUTER)
        self.socket = context.socket(zmq.XPUB)
        self.socket.bind(publish_endpoint(endpoint))
        self.topics: set[bytes] = set()

    def listen_for_commands(self) -> None:
        """Open the command socket, to which gateways can connect from now on."""
        self.commands.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.commands.bind(self.endpoint)

    def has(self, *rooms: int) -> Callable[[], bool]:
        """Return a condition: there are subscriptions to these rooms, and to no others."""

        def holds() -> bool:
            while self.socket.poll(0):
                event = self.socket.recv()
                (self.topics.add if event[0] else self.topics.discard)(event[1:])
            return {topic for topic in self.topics if topic[:1] == b"r"} == set(map(room_topic, rooms))

        return holds


@contextmanager
def brokers(tmp_path: Path) -> Iterator[tuple[Broker, Broker]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield Broker(context, f"ipc://{tmp_path}/a"), Broker(context, f"ipc://{tmp_path}/b")
    finally:
        context.destroy(linger=0)


def open_pool(routes: Routes) -> BrokerPool:
    def topics_of(shard: int) -> list[bytes]:
        own = ROOMS.values() if len(routes.links) == 1 else [ROOMS[shard]]
        return [room_topic(room) for rooms in own for room in rooms]

    pool = BrokerPool(routes, "a/1", lambda *_: None, lambda *_: None, topics_of)
    pool.start()
    return pool


def tell(routes: Routes, listed: list[str], *owners: int, term: int = 1, now: float = 0.0) -> None:
    routes.take_cluster(routes.brokers.seeds[0], Cluster(listed, 1, [(term, owner) for owner in owners]), now)


async def test_subscriptions_go_to_the_owner_of_the_shard_and_move_with_it(tmp_path: Path) -> None:
    with brokers(tmp_path) as (one, other):
        routes = Routes([one.endpoint], 100, 3.0, Counters())
        pool = open_pool(routes)
        listed = [one.endpoint, other.endpoint]
        try:
            await until(one.has(10, 20, 11))
            tell(routes, listed, 1, 2)
            pool.follow()
            await until(one.has(10, 20))
            await until(other.has(11))
            assert {own_topic("a/1"), CLUSTER_TOPIC} <= other.topics
            pool.subscribe(1, room_topic(13))
            await until(other.has(11, 13))
            pool.unsubscribe(1, room_topic(13))
            await until(other.has(11))
            # While a shard has no owner, its subscriptions stay where they are.
            tell(routes, listed, 0, 2, term=2)
            pool.follow()
            tell(routes, listed, 2, 2, term=3)
            pool.follow()
            await until(one.has())
            await until(other.has(10, 20, 11))
        finally:
            pool.close()


async def test_a_broker_that_is_no_longer_listed_is_disconnected_later(tmp_path: Path) -> None:
    with brokers(tmp_path) as (one, other):
        routes = Routes([one.endpoint], 100, 3.0, Counters())
        pool = open_pool(routes)
        try:
            tell(routes, [one.endpoint, other.endpoint], 1, 2)
            pool.follow()
            await until(other.has(11))
            for now in (0.0, LISTED_S):
                assert set(pool._sockets) == {one.endpoint, other.endpoint}
                tell(routes, [one.endpoint], 1, 1, term=2, now=now)
                pool.follow()
            assert set(pool._sockets) == {one.endpoint}
            await until(one.has(10, 20, 11))
            # It comes back.
            tell(routes, [one.endpoint, other.endpoint], 1, 2, term=3, now=LISTED_S)
            pool.follow()
            await until(one.has(10, 20))
            await until(other.has(11))
        finally:
            pool.close()


async def test_what_waited_for_a_broker_that_was_not_listed_is_not_sent_under_the_name_of_its_successor(
    tmp_path: Path,
) -> None:
    with brokers(tmp_path) as (one, other):
        routes = Routes([one.endpoint, other.endpoint], 100, 3.0, Counters())
        pool = open_pool(routes)
        try:
            pool.send(other.endpoint, [b"of before"])
            tell(routes, [one.endpoint], 1, 1)
            pool.follow()
            tell(routes, [one.endpoint, other.endpoint], 1, 2, term=2)
            pool.follow()
            pool.send(other.endpoint, [b"of now"])
            other.listen_for_commands()
            await until(lambda: bool(other.commands.poll(0)))
            assert other.commands.recv_multipart() == [b"a/1", b"of now"]
        finally:
            pool.close()


async def test_an_answer_that_waits_at_the_start_may_end_the_connection_to_another_broker(tmp_path: Path) -> None:
    with brokers(tmp_path) as (one, other):
        routes = Routes([one.endpoint, other.endpoint], 100, 3.0, Counters())

        def follow(endpoint: str, frames: list[bytes]) -> None:
            tell(routes, [one.endpoint], 1, 1)
            pool.follow()

        pool = BrokerPool(routes, "a/1", lambda *_: None, follow, lambda _: [])
        try:
            pool.send(one.endpoint, [b"hello"])
            one.listen_for_commands()
            await until(lambda: bool(one.commands.poll(0)))
            one.commands.send_multipart([b"a/1", b"a list of brokers"])
            await until(lambda: bool(pool._sockets[one.endpoint]._dealer.poll(0)))
            pool.start()
            await until(lambda: set(pool._sockets) == {one.endpoint})
        finally:
            pool.close()


@pytest.mark.parametrize("insecure", [False, True])
async def test_without_a_key_there_is_no_connection_to_another_machine_unless_the_operator_says_so(
    tmp_path: Path, insecure: bool
) -> None:
    with brokers(tmp_path) as (one, _):
        routes = Routes([one.endpoint], 100, 3.0, Counters())
        pool = BrokerPool(routes, "a/1", lambda *_: None, lambda *_: None, lambda _: [], insecure=insecure)
        try:
            tell(routes, [one.endpoint, FAR], 1, 2)
            pool.follow()
            assert (FAR in pool._sockets) == insecure
            assert ("give --key FILE" in pool.connect_error) != insecure
            pool.send(FAR, [b"frame"])
        finally:
            pool.close()
