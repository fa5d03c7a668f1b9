"""A broker that is started again knows every subscription of a gateway with very many rooms."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq

from tests.support.services import Broker, steady_endpoint
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
    endpoint = steady_endpoint()
    with Broker(bind=endpoint) as broker, subscriber(endpoint) as socket:
        assert topics_told(socket) == TOPICS
        broker.kill()
        with Broker(bind=endpoint):
            assert topics_told(socket) == TOPICS
