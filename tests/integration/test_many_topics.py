"""A broker that is started again knows every subscription of a gateway with very many rooms."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from gateway.net.stream import StreamBackbone
from tests.support.services import Broker
from tsudoi.protocol.backbone import TOPIC_SIZE, publish_endpoint, room_topic

TOPICS = 100_000
PATIENCE_S = 60.0


@contextmanager
def subscriber(endpoint: str) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        # As the gateway has it: above this mark, subscriptions would be dropped in silence.
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(publish_endpoint(endpoint))
        for room in range(TOPICS):
            socket.setsockopt(zmq.SUBSCRIBE, room_topic(room))
        yield socket


def topics_told(socket: "zmq.Socket[bytes]") -> int:
    """Return on how many topics a position came."""
    told: set[bytes] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(told) < TOPICS and time.monotonic() < deadline:
        if socket.poll(1000):
            told.add(socket.recv()[:TOPIC_SIZE])
    return len(told)


@pytest.mark.slow
def test_every_topic_is_live_again_after_the_broker_was_killed() -> None:
    with Broker() as broker:
        endpoint = broker.endpoint
        with subscriber(endpoint) as socket:
            assert topics_told(socket) == TOPICS
            broker.kill()
            with Broker(bind=endpoint):
                assert topics_told(socket) == TOPICS


@pytest.mark.slow
def test_every_topic_is_live_again_on_one_machine(tmp_path: Path) -> None:
    async def scenario(endpoint: str) -> None:
        told: set[bytes] = set()
        backbone = StreamBackbone(
            endpoint, "g/1", lambda news: told.update(each[:TOPIC_SIZE] for each in news), lambda _: None
        )
        backbone.start()

        async def all_are_told() -> None:
            async with asyncio.timeout(PATIENCE_S):
                while len(told) < TOPICS:  # noqa: ASYNC110 (nothing tells)
                    await asyncio.sleep(0.01)

        try:
            with Broker(bind=endpoint) as broker:
                for room in range(TOPICS):
                    backbone.subscribe(room_topic(room))
                backbone.send([])
                await all_are_told()
                broker.kill()
            told.clear()
            with Broker(bind=endpoint):
                begun = time.monotonic()
                await all_are_told()
                print(f"live again in {time.monotonic() - begun:.2f} s")
        finally:
            backbone.close()

    asyncio.run(scenario(f"unix://{tmp_path}/b"))
